"""Draw label maps over the cases of a cohort, in the space of their own files; or tell values of each case."""

import csv
import io
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal

from napari_mmssl.atomic import write_json, write_text
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import known_modalities
from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.tasks import tasks
from napari_mmssl.training.run_folder import RunFolder, State
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.volumes.image_files import classes_file
from napari_mmssl.workflows.running import Interruption, Listener, ignore, seen_cases, set_threads, starting

Which = Literal["test", "all"]
#: What of a card tells an evaluation how to read values.
_TASK_FACTS = ("task", "task_settings", "age_years", "edges_days", "days", "target", "classes", "class_weights")


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
    """Write what a network says of each case into the run folder ``out``.

    That is ``<case id>.nii.gz`` for a segmentation, and ``predictions.csv`` for tasks that give values; in either
    case ``predictions.json`` too.

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
        set_threads()
        gives_values = card.get("kind") == "finetune" and tasks.get(str(card["task"])).gives == "values"
        stop = interruption or Interruption()
        run.set_status("running", step=0, total=len(cases))
        seen = seen_cases(origin)
        done: dict[str, Any] = {}

        def between() -> None:
            if stop() or run.pending():
                raise _Stopped

        tell = (_value_teller if gives_values else _map_drawer)(weights, device, out, between)
        state: State = "done"
        try:
            for number, case in enumerate(cases, start=1):
                done[case.id] = {"trained_on": case.id in seen, "seen_in": seen.get(case.id, []), **tell(case)}
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


def _map_drawer(weights: Path, device: str, out: Path, between: Callable[[], None]) -> Callable[[Case], dict[str, Any]]:
    """Return what writes the label map of a case."""
    from napari_mmssl.inference.prediction import load_predictor
    from napari_mmssl.training.device import choose_device
    from napari_mmssl.volumes.image_files import write_label_map

    predictor = load_predictor(weights, choose_device(device))

    def draw(case: Case) -> dict[str, Any]:
        write_label_map(out / f"{case.id}.nii.gz", predictor.predict(case, between))
        return {}

    return draw


def _value_teller(
    weights: Path, device: str, out: Path, between: Callable[[], None]
) -> Callable[[Case], dict[str, Any]]:
    """Return what gives the values of a case."""
    from napari_mmssl.inference.case_prediction import load_case_predictor
    from napari_mmssl.training.device import choose_device

    predictor = load_case_predictor(weights, choose_device(device))

    def tell(case: Case) -> dict[str, Any]:
        between()
        return {"values": predictor.predict(case)}

    return tell


def _answer(run: RunFolder, done: dict[str, Any]) -> State:
    """Carry out the orders left in the folder: *cancel* discards what is written, any other keeps it."""
    orders = run.pending()
    cancelled = any(request.order == "cancel" for request in orders)
    if cancelled:
        for case_id in done:
            (run.path / f"{case_id}.nii.gz").unlink(missing_ok=True)
            classes_file(run.path / f"{case_id}.nii.gz").unlink(missing_ok=True)
        (run.path / "predictions.json").unlink(missing_ok=True)
        (run.path / "predictions.csv").unlink(missing_ok=True)
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
        {
            "format": 1,
            "task": card.get("task"),
            "convention": card.get("convention"),
            "task_card": {name: card[name] for name in _TASK_FACTS if name in card},
            "weights": str(weights.resolve()),
            "cases": done,
        },
    )
    if any("values" in entry for entry in done.values()):
        rows = [{"case": case_id, **_flat(entry["values"])} for case_id, entry in done.items()]
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(out / "predictions.csv", table.getvalue())


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return numbers and words of ``values`` under one level of names, for a table; curves stay in the JSON."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and name != "curve":
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat |= {f"{prefix}{name}.{end}": number for end, number in zip(("low", "high"), value, strict=True)}
        elif name != "curve":
            flat[prefix + name] = value
    return flat
