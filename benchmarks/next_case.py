"""How long the next case takes to be there, from the click on *Next* on, in one process.

    python benchmarks/next_case.py [--cohort FOLDER]

Two times, in milliseconds. ``replaced`` is ours: the neighbour was read ahead and its arrays take the place of those
in the layers. ``painted`` goes on until the canvas has drawn them, which without a graphics card is mostly software
OpenGL. The peer is what the same viewer does without reading ahead and without keeping layers: read the files, remove
the layers, add new ones. The promise is ``replaced`` under 200 ms for four modalities and a label map of 240 x 240 x
155. Needs a display (``xvfb-run`` does).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np

PATIENCE_S = 120
SHAPE = (155, 240, 240)


def wait(condition: Callable[[], bool], what: str) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not happen within {PATIENCE_S} s")
        QApplication.processEvents()
        time.sleep(0.005)


def painted() -> None:
    from qtpy.QtWidgets import QApplication

    # What is drawn is drawn when the events that asked for it have been answered.
    for _ in range(3):
        QApplication.processEvents()


def made_up_cohort(folder: Path, cases: int) -> Path:
    """Write cases of the usual size with noise in a ball; how they look does not matter here."""
    from napari_mmssl.volumes.geometry import Geometry
    from napari_mmssl.volumes.image_files import write_label_map, write_volume
    from napari_mmssl.volumes.volume import LabelMap, Volume

    rng = np.random.default_rng(0)
    grid = Geometry(SHAPE, np.array([[0, 0, 1.0, -120], [0, 1.0, 0, -120], [1.0, 0, 0, -77], [0, 0, 0, 1]]))
    z, y, x = np.indices(SHAPE, sparse=True)
    ball = ((z - 77) / 70) ** 2 + ((y - 120) / 95) ** 2 + ((x - 120) / 80) ** 2 < 1
    for n in range(cases):
        case = folder / f"case{n}"
        case.mkdir(parents=True)
        for name in ("t1", "t1ce", "t2", "flair"):
            array = (rng.normal(300, 60, SHAPE) * ball).astype(np.int16)
            write_volume(case / f"{name}.nii.gz", Volume(array, grid))
        label = ((z - 60 - n) ** 2 + (y - 100) ** 2 + (x - 150) ** 2 < 400).astype(np.uint8)
        write_label_map(case / "seg.nii.gz", LabelMap(label, grid))
    return folder


def anew(viewer: Any, case: Any, layout: str) -> None:
    """Open ``case`` as a viewer does that keeps nothing."""
    from napari.layers import Image, Labels

    from napari_mmssl.viewer.reading import read_case

    opened = read_case(case, layout)
    viewer.layers.selection.clear()
    viewer.layers.clear()
    for data, state, kind in opened.layers:
        viewer.add_layer((Labels if kind == "labels" else Image)(data, **state))


def measure(args: argparse.Namespace) -> list[harness.Result]:
    os.environ["NAPARI_CONFIG"] = ""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMSSL_HOME"] = folder
        cohort = args.cohort or made_up_cohort(Path(folder) / "cohort", 4)
        return compare(cohort, args.runs)


def compare(cohort: Path, runs: int) -> list[harness.Result]:
    """Go through the cases of ``cohort``, back and forth, and open each the other way too."""
    import napari

    from napari_mmssl.viewer.workspace import PLUGIN, open_workspace

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1400, 900)
    open_workspace(viewer)
    widget = viewer.window.dock_widgets[f"Cases ({PLUGIN})"]
    session = widget.session
    widget.open_cohort(cohort)
    wait(lambda: session.cohort is not None, "opening the cohort")
    cases = widget.cases()
    widget.open_case(cases[0])
    wait(lambda: session.case is not None, "opening a case")
    replaced, busy, drawn, peer = [], [], [], []
    by = 1
    for _ in range(runs):
        if session.case is cases[-1] or session.case is cases[0]:
            by = 1 if session.case is cases[0] else -1
        after = cases[cases.index(session.case) + by]
        wait(lambda after=after: widget.is_ready(after), "reading ahead")
        painted()
        start, start_cpu = time.perf_counter(), time.thread_time()
        widget.step(by)
        replaced.append((time.perf_counter() - start) * 1000)
        busy.append((time.thread_time() - start_cpu) * 1000)
        assert session.case is after
        painted()
        drawn.append((time.perf_counter() - start) * 1000)
    viewer.layers.selection.clear()
    viewer.layers.clear()
    for n in range(runs):
        start = time.perf_counter()
        anew(viewer, cases[n % len(cases)], session.cohort.layout)
        painted()
        peer.append((time.perf_counter() - start) * 1000)
    viewer.close()
    # On a machine that does other things meanwhile, the time of this thread alone tells more.
    more = {
        "cpu_ms": round(float(np.median(busy)), 1),
        "modalities": len(cases[0].modalities),
        "shape": list(next(iter(cases[0].modalities.values())).geometry.shape),
    }
    return [
        harness.compared("next_case_replaced", replaced, peer, peer_name="read and add layers", unit="ms", **more),
        harness.compared("next_case_painted", drawn, peer, peer_name="read and add layers", unit="ms", **more),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, help="a folder of at least two cases; by default four are made up")
    parser.add_argument("--runs", type=int, default=12)
    harness.run(measure, parser)
