"""Draw label maps over the cases of a cohort, in the space of their own files."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import known_modalities
from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.training.run_folder import RunFolder, State
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.volumes.image_files import classes_file
from napari_mmssl.workflows.running import Interruption, Listener, ignore, seen_cases, set_threads, starting

Which = Literal["test", "all"]


class _Stopped(Exception):
    """A viewer or a signal ended the prediction between two windows."""


def predict(
    path: Path,
    weights: Path,
    out: Path,
    *,
    which: Which = "all",
    case_ids: Collection[str] = (),
    device: str = "auto",
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> RunFolder:
    """Write ``<case id>.nii.gz`` for each case into the run folder ``out``, and ``predictions.json``.

    Parameters
    ----------
    path
        A cohort, one case folder, or one file.
    weights
        A fine-tuning's run folder or a weights folder.
    out
        A folder that does not exist or is empty.
    which
        ``test``: only subjects that the fine-tuning held out; ``all``: every case.
    case_ids
        Only these, where given.
    device, listener, interruption
        As in ``pretrain``.

    Raises
    ------
    MmsslError
        If the weights, the cohort or ``out`` do not do.
    """
    card = read_card(weights)
    parent = RunFolder(weights_folder(weights).parent)
    origin = parent.provenance() if RunFolder.is_run(parent.path) else {}
    cohort = find_cohort(path)
    # All of them before the first is begun: an hour's work should not end at the last case's header.
    cases = [
        known_modalities(case, card.get("modalities", ())) for case in _chosen(cohort.cases, which, case_ids, origin)
    ]
    table = {"kind": "predict", "path": str(path.resolve()), "weights": str(weights.resolve()), "cases": which}
    with starting(out, "predict", table) as run:
        from napari_mmssl.inference.prediction import load_predictor
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.volumes.image_files import write_label_map

        set_threads()
        predictor = load_predictor(weights, choose_device(device))
        stop = interruption or Interruption()
        run.set_status("running", step=0, total=len(cases))
        seen = seen_cases(origin)
        done: dict[str, Any] = {}

        def between() -> None:
            if stop() or run.pending():
                raise _Stopped

        state: State = "done"
        try:
            for number, case in enumerate(cases, start=1):
                label_map = predictor.predict(case, between)
                write_label_map(out / f"{case.id}.nii.gz", label_map)
                done[case.id] = {"trained_on": case.id in seen, "seen_in": seen.get(case.id, [])}
                _write_index(out, card, weights, done)
                run.set_status("running", step=number, total=len(cases))
                fields = {"step": number, "total": len(cases), "case": case.id}
                run.emit("step", **fields)
                listener({"kind": "step", **fields})
        except _Stopped:
            state = _answer(run, done)
        except Exception as error:
            run.set_status("failed", reason=str(error))
            run.emit("ended", state="failed", reason=str(error))
            raise
        run.set_status(state, step=len(done), total=len(cases))
        run.emit("ended", state=state, step=len(done))
    return run


def _answer(run: RunFolder, done: dict[str, Any]) -> State:
    """Carry out the orders left in the folder: *cancel* discards what is written, any other keeps it."""
    orders = run.pending()
    cancelled = any(request.order == "cancel" for request in orders)
    if cancelled:
        for case_id in done:
            (run.path / f"{case_id}.nii.gz").unlink()
            classes_file(run.path / f"{case_id}.nii.gz").unlink(missing_ok=True)
        (run.path / "predictions.json").unlink(missing_ok=True)
        done.clear()
    for request in orders:
        run.answer(request)
    return "cancelled" if cancelled else "stopped"


def _chosen(
    cases: tuple[Case, ...], which: Which, case_ids: Collection[str], origin: dict[str, Any]
) -> tuple[Case, ...]:
    if case_ids:
        known = {case.id for case in cases}
        for case_id in case_ids:
            if case_id not in known:
                raise ConfigError(unknown_name("case", case_id, known))
        cases = tuple(case for case in cases if case.id in case_ids)
    if which == "test":
        held_out = origin.get("split", {}).get("test", [])
        cases = tuple(case for case in cases if case.subject in held_out)
    cases = tuple(case for case in cases if case.modalities)
    if not cases:
        raise ConfigError(
            "no case to predict: none of them was held out as test" if which == "test" else "no case to predict"
        )
    return cases


def _write_index(out: Path, card: dict[str, Any], weights: Path, done: dict[str, Any]) -> None:
    write_json(
        out / "predictions.json",
        {"format": 1, "convention": card.get("convention"), "weights": str(weights.resolve()), "cases": done},
    )
