"""Train one cell of a comparison, through the same functions as any other training."""

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.errors import RunFailed
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.comparison.cells import Cell
from napari_mmssl.workflows.comparison.scoring import probes_of, scores_of, stop_if_asked
from napari_mmssl.workflows.comparison.settings import FROM_SCRATCH, CellKey, CompareSettings
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.running import Interruption, Listener

#: Starts a training, or with true goes on with it.
Train = Callable[[bool], RunFolder]


def make_cell(
    settings: CompareSettings, cohort: Cohort, key: CellKey, runs: Path, listener: Listener, stop: Interruption
) -> Cell:
    """Pretrain (unless another share of the labels did), fine-tune and measure one cell.

    Raises
    ------
    RunFailed
        If a training fails or ``stop`` comes; what was learned is kept and gone on with the next time.
    """
    pretrained = None
    if key.arm not in FROM_SCRATCH:
        out = _pretraining_folder(settings, key, runs)
        how = pretrain_settings(flags=_pretraining(settings, key))
        pretrained = _done(
            out, lambda resume: pretrain(how, out, resume=resume, listener=listener, interruption=stop), stop
        )
    run = _fine_tuned(settings, key, pretrained, runs / f"finetune_{key.name}", listener, stop)
    cost = {"finetune_s": _seconds_of_steps(run)}
    if pretrained is not None:
        cost["pretrain_s"] = _seconds_of_steps(pretrained)
    used = run.provenance()["used"]
    persons, values, held_out = scores_of(run, cohort, settings, stop)
    return Cell(
        key,
        persons,
        labelled=len({cohort.case(case_id).subject for case_id in used["train"]}),
        unlabelled=len(pretrained.provenance()["used"]["train"]) if pretrained else 0,
        cost=cost,
        made_by=_made_by(),
        probes={} if pretrained is None else probes_of(settings, key, pretrained),
        values=values,
        held_out=held_out,
    )


def with_probes(settings: CompareSettings, cell: Cell, runs: Path) -> Cell:
    """Return ``cell`` with its probes: as it is, unless it has none and its pretraining still lies in ``runs``."""
    pretrained = _pretraining_folder(settings, cell.key, runs)
    if cell.probes or cell.key.arm in FROM_SCRATCH or not _is_done(pretrained):
        return cell
    return replace(cell, probes=probes_of(settings, cell.key, RunFolder(pretrained)))


def _pretraining_folder(settings: CompareSettings, key: CellKey, runs: Path) -> Path:
    return runs / (f"pretrain_{key.arm}_d{key.draw}" if settings.pretrain_cohort is None else f"pretrain_{key.arm}")


def _pretraining(settings: CompareSettings, key: CellKey) -> dict[str, Any]:
    """Return the settings of a pretraining: objectives from the recipe, everything else from the protocol."""
    common, data = _common(settings, key), dict[str, Any](patch=settings.patch)
    if settings.pretrain_cohort is not None:
        # Nobody there is measured on, so nobody need be held out; and it is the same for every draw.
        common |= {"cohort": str(settings.pretrain_cohort), "seed": 0}
        data["test_share"] = 0.0
    return {
        **common,
        "recipe": key.arm,
        "data": data,
        "optimisation": {
            "steps": settings.pretrain_steps,
            "batch_size": settings.pretrain_batch,
            "learning_rate": settings.pretrain_learning_rate,
            "weight_decay": 1e-4,
        },
        "validate_every": settings.pretrain_steps,
    }


def _fine_tuned(
    settings: CompareSettings,
    key: CellKey,
    pretrained: RunFolder | None,
    out: Path,
    listener: Listener,
    stop: Interruption,
) -> RunFolder:
    task: dict[str, Any] = {"name": settings.task}
    if settings.task == "segmentation":
        task["convention"] = settings.regions
    elif settings.task == "classification":
        task["target"] = settings.target
    if key.arm == "scratch_no_dropout":
        task["drop_modality"] = 0.0
    how = finetune_settings(
        flags={
            **_common(settings, key),
            "weights": "none" if pretrained is None else str(pretrained.path),
            "label_fraction": key.fraction,
            "augmentation": settings.finetune_augmentation,
            "task": task,
            "data": {"patch": settings.finetune_patch},
            "optimisation": {
                "steps": settings.finetune_steps,
                "batch_size": settings.finetune_batch,
                "learning_rate": settings.finetune_learning_rate,
            },
            # One look, at the end: to choose the best of several would use labels that a small share does not have.
            "validate_every": settings.finetune_steps,
        }
    )
    return _done(out, lambda resume: finetune(how, out, resume=resume, listener=listener, interruption=stop), stop)


def _common(settings: CompareSettings, key: CellKey) -> dict[str, Any]:
    """Return what all trainings of a draw share; its seed holds out the same people in each of them."""
    return {
        "cohort": str(settings.cohort),
        "seed": key.draw,
        "device": settings.device,
        "encoder": settings.encoder.model_dump(exclude_none=True),
    }


def _done(out: Path, train: Train, stop: Interruption) -> RunFolder:
    """Return the finished run in ``out``: as it lies there, gone on with, or made now."""
    run = RunFolder(out)
    if not _is_done(out):
        run = train(RunFolder.is_run(out))
    stop_if_asked(stop)
    if run.status()["state"] != "done":
        raise RunFailed(f"'{out}' was {run.status()['state']}; give the same command again to go on")
    return run


def _is_done(out: Path) -> bool:
    return RunFolder.is_run(out) and RunFolder(out).status()["state"] == "done"


def _seconds_of_steps(run: RunFolder) -> float:
    """Return the time of all steps by their median, which neither looks at unseen people nor a pause are in."""
    events, _ = run.events()
    times = [event["time_s"] for event in events if event["kind"] == "step"]
    return round(float(np.median(np.diff(times))) * len(times), 1) if len(times) > 1 else 0.0


def _made_by() -> dict[str, Any]:
    packages = ("napari-mmssl", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
