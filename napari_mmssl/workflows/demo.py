"""The main job on an embedded sample cohort: from scans to a segmentation over them, a puzzle solved on the way."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from napari_mmssl.atomic import make_folder, write_json, write_text
from napari_mmssl.errors import RunFailed, WriteError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings
from napari_mmssl.workflows.demo_report import render_report
from napari_mmssl.workflows.display import has_display, virtual_display
from napari_mmssl.workflows.evaluate import Evaluation, evaluate
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.inspect import inspect
from napari_mmssl.workflows.predict import predict
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.running import Interruption, Listener, ignore
from napari_mmssl.workflows.sample import make_sample

_MARK = "demo.json"
_SCREENSHOT_LIMIT_S = 600
_GRACE_S = 10


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does; the default fits in ten minutes on two cores."""

    cases: int = 14
    pretrain_steps: int = 400
    finetune_steps: int = 250
    label_fraction: float = 0.4
    seed: int = 0


def demo(
    out: Path,
    *,
    window: bool = True,
    size: DemoSize | None = None,
    say: Callable[[str], None] = lambda text: None,
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> dict[str, Any]:
    """Run the demo into ``out`` and return its summary, which is also written as ``summary.json``.

    Parameters
    ----------
    out
        A folder that does not exist, is empty, or holds an earlier demo, which is replaced.
    window
        Show the result in napari if there is a display; without one, or with false, the same pictures
        are taken on a virtual display.
    size
        How much to do.
    say
        Told in a sentence what comes next.
    listener
        Told of every event of the trainings.
    interruption
        Watched during the trainings.

    Raises
    ------
    WriteError
        If ``out`` holds something that is no demo.
    RunFailed
        If a training fails or is interrupted, or the viewer took no pictures; the report is there all the same.
    """
    began = time.monotonic()
    size = size or DemoSize()
    stop = interruption or Interruption()
    _make_room(out)
    say(f"1/6 making {size.cases} sample people (phantoms on real average anatomy)")
    cohort = make_sample("glioma", out / "cohort", size.cases, size.seed, 2.0)
    inspection = inspect(cohort)
    write_json(out / "inspection.json", inspection.to_json())
    say(f"2/6 pretraining on puzzles, {size.pretrain_steps} steps, without labels")
    steps = {"optimisation": {"steps": size.pretrain_steps}, "seed": size.seed}
    pretrained = pretrain(
        pretrain_settings(flags={"cohort": str(cohort), "recipe": "taleb2020", **steps}),
        out / "pretrain",
        listener=listener,
        interruption=stop,
    )
    _stop_if_asked(stop)
    evaluations = {}
    for number, (arm, weights) in enumerate({"scratch": "none", "pretrained": str(pretrained.path)}.items(), start=3):
        start = "from scratch" if weights == "none" else "from the pretrained weights"
        say(f"{number}/6 fine-tuning {start}, {size.label_fraction:.0%} of the labels, and predicting")
        evaluations[arm] = _segment(cohort, out, arm, weights, size, listener, stop)
    accuracy = puzzle_accuracy(pretrained)
    summary: dict[str, Any] = {
        "puzzle_accuracy_before": accuracy[0],
        "puzzle_accuracy_after": accuracy[1],
        "dice_scratch": _mean_dice(evaluations["scratch"]),
        "dice_pretrained": _mean_dice(evaluations["pretrained"]),
        "dice_is": "mean over regions WT, TC and ET of people the network never saw",
        "n_test": len(evaluations["pretrained"].results(False)),
        "cohort": "phantoms, not patients",
        "sizes": vars(size),
    }
    say("5/6 showing it in napari")
    without_pictures: RunFailed | None = None
    try:
        _take_pictures(out, next(iter(evaluations["pretrained"].cases)), keep_open=False)
    except RunFailed as error:
        # Minutes of training are not lost for want of a window.
        without_pictures = error
    shown = sorted(path.name for path in out.glob("*.png"))
    summary |= {"screenshots": shown, "seconds": round(time.monotonic() - began, 1)}
    say("6/6 writing the report")
    write_json(out / "summary.json", summary)
    write_text(out / "report.html", render_report(out, summary, evaluations))
    if without_pictures is not None:
        raise without_pictures
    if window and has_display():
        _take_pictures(out, next(iter(evaluations["pretrained"].cases)), keep_open=True)
    return summary


def _make_room(out: Path) -> None:
    if (out / _MARK).is_file():
        shutil.rmtree(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WriteError(f"'{out}' holds something that is no demo; choose another --out")
    make_folder(out)
    write_json(out / _MARK, {"format": 1})


def _stop_if_asked(stop: Interruption) -> None:
    if stop():
        raise RunFailed("the demo was interrupted; what it made so far is kept")


def _segment(
    cohort: Path, out: Path, arm: str, weights: str, size: DemoSize, listener: Listener, stop: Interruption
) -> Evaluation:
    flags = {
        "cohort": str(cohort),
        "weights": weights,
        "seed": size.seed,
        "label_fraction": size.label_fraction,
        "optimisation": {"steps": size.finetune_steps},
    }
    run = finetune(finetune_settings(flags=flags), out / f"finetune_{arm}", listener=listener, interruption=stop)
    _stop_if_asked(stop)
    predictions = predict(cohort, run.path, out / f"predictions_{arm}", which="test", interruption=stop)
    _stop_if_asked(stop)
    evaluation = evaluate(predictions.path, cohort)
    write_json(out / f"evaluation_{arm}.json", evaluation.to_json())
    return evaluation


def puzzle_accuracy(run: RunFolder) -> tuple[float | None, float | None]:
    """Return the tile accuracy on unseen people before the first step and after the last."""
    events, _ = run.events()
    values = [event["metrics"].get("tile_accuracy") for event in events if event["kind"] == "validation"]
    return (values[0], values[-1]) if values else (None, None)


def _mean_dice(evaluation: Evaluation) -> float | None:
    mean = evaluation.to_json()["mean"]
    values = [scores["dice"] for scores in (mean or {}).get("regions", {}).values() if scores["dice"] is not None]
    return sum(values) / len(values) if values else None


def _take_pictures(out: Path, case_id: str, *, keep_open: bool) -> None:
    """Have a viewer of its own process show the results, and leave pictures of them unless it is kept open."""
    command = [sys.executable, "-m", "napari_mmssl.viewer.screenshots"]
    for name, path in {
        "cohort": out / "cohort",
        "pretrain": out / "pretrain",
        "finetune": out / "finetune_pretrained",
        "predictions": out / "predictions_pretrained",
        "out": out,
    }.items():
        command += [f"--{name}", str(path)]
    command += ["--case", case_id]
    if keep_open:
        subprocess.run([*command, "--keep-open"], check=False)
        return
    wrapper = [] if has_display() else virtual_display()
    log = out / "viewer.log"
    code = run_for([*wrapper, *command], log, _SCREENSHOT_LIMIT_S)
    if code is None:
        raise RunFailed(f"the viewer was not done in {_SCREENSHOT_LIMIT_S} s; the report in '{out}' has what there is")
    if code:
        raise RunFailed(f"the viewer could not take its pictures (see '{log}'); 'mmssl doctor' says what it lacks")


def run_for(command: Sequence[str], log: Path, limit_s: float) -> int | None:
    """Run ``command`` with its output in ``log``; return its exit code, or ``None`` if it was ended at the limit.

    With it ends what it started: a virtual display and the program that draws on it outlive their wrapper.
    """
    with log.open("wb") as output, psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            return int(process.wait(limit_s))
        except psutil.TimeoutExpired:
            started = process.children(recursive=True)
            for one in (process, *started):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(started, _GRACE_S)
            return None
