"""Stands in for ``mmssl``: writes a run folder as the real one does, without torch. Started as a process.

``fake_run.py HOW OUT [CASE]``, where HOW says what becomes of it.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap

STEPS = 4


def train(run: RunFolder, how: str) -> None:
    run.set_status("running", step=0, total=STEPS)
    for step in range(1, STEPS + 1):
        run.emit("step", step=step, losses={"puzzle.matching": 3.0 / step, "total": 4.0 / step}, metrics={})
        run.emit("validation", step=step, metrics={"tile_accuracy": step / 10, "loss.total": 4.0})
        run.set_status("running", step=step, total=STEPS, eta_s=2.0)
        if how == "fail" and step == 2:
            run.set_status("failed", reason="the GPU has too little memory; take a smaller patch")
            run.emit("ended", state="failed", reason="the GPU has too little memory; take a smaller patch")
            sys.exit(1)
        if how == "die" and step == 2:
            sys.exit(3)
    while how == "deaf":
        time.sleep(60)
    while how == "wait":
        pending = run.pending()
        if pending:
            run.answer(pending[-1])
            state = {"stop": "stopped", "cancel": "cancelled", "pause": "paused"}[pending[-1].order]
            run.set_status(state, step=STEPS, total=STEPS)
            run.emit("ended", state=state, step=STEPS)
            return
        time.sleep(0.02)
    run.set_status("done", step=STEPS, total=STEPS)
    run.emit("ended", state="done", step=STEPS)


def predict(run: RunFolder, case: str) -> None:
    affine = np.array([[0, 0, -2.0, 20], [0, -2.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])
    label = np.zeros((10, 12, 14), np.uint8)
    label[3, 4, 5:9] = 1
    lesion = LabelClass(1, "lesion", "#d55e00")
    write_label_map(run.path / f"{case}.nii.gz", LabelMap(label, Geometry(label.shape, affine), (lesion,)))
    run.set_status("done", step=1, total=1)
    run.emit("ended", state="done", step=1)


if __name__ == "__main__":
    how, out, *rest = sys.argv[1:]
    if how == "refuse":
        sys.exit("mmssl pretrain: no case in 'here' has a modality to learn from")
    if how == "slow":
        time.sleep(60)
    if how == "dry":
        # As mmssl pretrain --dry-run --json says it, after the warning of a library.
        found = {"device": "cpu", "step_s": 7.5, "total_s": 3000.0, "memory_gib": 1.25, "free_gib": 20.0, "fits": True}
        print("a warning", json.dumps(found | {"proposal": []}, indent=2), sep="\n")
        sys.exit(0)
    resumed = RunFolder.is_run(Path(out))
    kind = "predict" if rest else "compare" if how == "compare" else "pretrain"
    folder = RunFolder.open(Path(out)) if resumed else RunFolder.create(Path(out), kind, {})
    predict(folder, rest[0]) if rest else train(folder, how)
