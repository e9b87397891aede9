"""Draw label maps over the cases of a cohort, in the space of their own files; or tell values of each case."""

import csv
import io
import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_mmssl.atomic import make_folder, write_json, write_text
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import known_modalities
from napari_mmssl.cohorts.synthetic import refuse_synthetic
from napari_mmssl.errors import ConfigError, RunFailed, WriteError
from napari_mmssl.registry import unknown_name
from napari_mmssl.tasks import tasks
from napari_mmssl.training.run_folder import RunFolder, State
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.volumes.image_files import classes_file
from napari_mmssl.workflows.leaks import SeenBefore
from napari_mmssl.workflows.running import Interruption, Listener, ignore, set_threads, starting

if TYPE_CHECKING:
    from napari_mmssl.inference.missing import Missing

Which = Literal["test", "all"]
#: What of a card tells an evaluation how to read values.
_TASK_FACTS = ("task", "task_settings", "age_years", "edges_days", "days", "target", "classes", "class_weights")


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extras:
    """What a segmentation is asked for beside one look and a label map.

    Parameters
    ----------
    mirrored
        Let each network see the left-right mirror image too, and average.
    probabilities
        Write ``probabilities/<case id>_<class>.nii.gz``, from 0 to 1.
    entropy
        Write ``entropy/<case id>.nii.gz``: from 0, sure, to 1, all classes alike.
    """

    mirrored: bool = False
    probabilities: bool = False
    entropy: bool = False


class _Stopped(Exception):
    """A viewer or a signal ended the prediction between two windows."""


def predict(
    path: Path,
    weights: Path | Sequence[Path],
    out: Path,
    *,
    which: Which = "all",
    case_ids: Collection[str] = (),
    without: Collection[str] = (),
    extras: Extras | None = None,
    missing: str = "drop",
    generators: Sequence[Path] = (),
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
        A fine-tuning's run folder or a weights folder; of segmentations also several, whose probabilities are averaged.
    out
        A folder that does not exist or is empty.
    which
        ``test``: only subjects that every fine-tuning held out; ``all``: every case.
    case_ids
        Only these, where given.
    without
        Modalities that are left unread, to see what the networks make of a case that lacks them.
    extras
        What else to do for a segmentation.
    missing
        What stands in for modalities that a case lacks: ``drop``, ``zero``, ``template`` or ``synthesised``.
    generators
        Run folders of ``mmssl synthesize train``, for ``synthesised``.
    device, listener, interruption
        As in ``pretrain``.

    Raises
    ------
    MmsslError
        If the weights, the cohort or ``out`` do not do.
    """
    weights = [weights] if isinstance(weights, Path) else list(weights)
    cards = [read_card(one) for one in weights]
    origins = [_origin(one) for one in weights]
    gives_values = _gives_values(cards, extras)
    cohort = find_cohort(path)
    # All of them before the first is begun: an hour's work should not end at the last case's header.
    cases = [_seen_case(case, cards) for case in _without(_chosen(cohort.chosen(case_ids), which, origins), without)]
    refuse_synthetic(cases)
    told = {"kind": "predict", "path": str(path.resolve()), "weights": _said(weights)}
    table = told | {"cases": which, "missing": missing} | ({"without": sorted(without)} if without else {})
    with starting(out, "predict", table) as run:
        set_threads()
        stop = interruption or Interruption()
        before = SeenBefore(cohort, weights)
        done: dict[str, Any] = {}

        def between() -> None:
            if stop() or run.pending():
                raise _Stopped

        if gives_values:
            tell = _value_teller(weights[0], device, (missing, generators), between)
        else:
            tell = _map_drawer(weights, device, (missing, generators), out, extras or Extras(), between)
        # Not before: what fails to start leaves no folder behind.
        run.set_status("running", step=0, total=len(cases))
        state: State = "done"
        try:
            for number, case in enumerate(cases, start=1):
                done[case.id] = {**before.record(case), **tell(case)}
                _write_index(out, cards[0], weights, done)
                run.set_status("running", step=number, total=len(cases))
                fields = {"step": number, "total": len(cases), "case": case.id}
                run.emit("step", **fields)
                listener({"kind": "step", **fields})
        except _Stopped:
            state = _answer(run, done)
        except Exception as error:
            reason = _in_words(error, device)
            _say_failed(run, str(reason))
            if reason is error:
                raise
            raise reason from error
        run.set_status(state, step=len(done), total=len(cases))
        run.emit("ended", state=state, step=len(done))
    return run


def _origin(weights: Path) -> dict[str, Any]:
    parent = RunFolder(weights_folder(weights).parent)
    return parent.provenance() if RunFolder.is_run(parent.path) else {}


def _seen_case(case: Case, cards: Sequence[dict[str, Any]]) -> Case:
    """Return ``case`` with what the networks see of it, if each of them sees anything."""
    known = [known_modalities(case, card.get("modalities", ())) for card in cards]
    return known[0] if len(known) == 1 else case


def _without(cases: Sequence[Case], left_out: Collection[str]) -> list[Case]:
    known = {name for case in cases for name in case.modalities}
    for name in left_out:
        if name not in known:
            raise ConfigError(unknown_name("modality", name, known))
    return [case.only(case.modalities.keys() - set(left_out)) for case in cases]


def _gives_values(cards: Sequence[dict[str, Any]], extras: Extras | None) -> bool:
    """Whether the networks give values of a case; those answer alone and draw nothing."""
    gives_values = [
        card.get("kind") == "finetune" and tasks.get(str(card.get("task"))).gives == "values" for card in cards
    ]
    if any(gives_values) and (len(cards) > 1 or (extras or Extras()) != Extras()):
        raise ConfigError(
            "several weights, mirroring, probabilities and entropy are for segmentations; "
            f"'{cards[gives_values.index(True)]['task']}' gives values of a case: leave them out"
        )
    return any(gives_values)


def _said(weights: Sequence[Path]) -> str | list[str]:
    said = [str(one.resolve()) for one in weights]
    return said[0] if len(said) == 1 else said


def _in_words(error: Exception, device: str) -> Exception:
    """Return ``error``, or a sentence where there was too little memory."""
    from napari_mmssl.networks.device_memory import is_out_of_memory, shortage
    from napari_mmssl.training.device import choose_device

    if not is_out_of_memory(error):
        return error
    where = choose_device(device)
    elsewhere = "" if where.type == "cpu" else ", or predict with --device cpu"
    return RunFailed(f"{shortage(where)} for a single window of this network; end what else uses it{elsewhere}")


def _say_failed(run: RunFolder, reason: str) -> None:
    try:
        run.set_status("failed", reason=reason)
        run.emit("ended", state="failed", reason=reason)
    except WriteError as error:
        # On a full disk the folder cannot say why; the sentence still reaches whoever started the run.
        logger.error("%s", error)


def _map_drawer(
    weights: Sequence[Path],
    device: str,
    missing: tuple[str, Sequence[Path]],
    out: Path,
    extras: Extras,
    between: Callable[[], None],
) -> Callable[[Case], dict[str, Any]]:
    """Return what writes the label map of a case, and what else was asked for: all of it or nothing."""
    from napari_mmssl.inference.missing import missing_from
    from napari_mmssl.inference.prediction import draw, load_predictors
    from napari_mmssl.training.device import choose_device
    from napari_mmssl.volumes.image_files import write_label_map, write_volume

    policy, generators = missing
    where = choose_device(device)
    predictors = [
        replace(predictor, missing=missing_from(policy, path, generators, where))
        for predictor, path in zip(load_predictors(weights, where), weights, strict=True)
    ]

    def draw_case(case: Case) -> dict[str, Any]:
        drawing = draw(
            predictors,
            case,
            mirrored=extras.mirrored,
            probabilities=extras.probabilities,
            entropy=extras.entropy,
            between=between,
        )
        files = _probability_files(out, case.id, list(drawing.probabilities))
        volumes = dict(zip(files, drawing.probabilities.values(), strict=True))
        if drawing.entropy is not None:
            volumes[out / "entropy" / f"{case.id}.nii.gz"] = drawing.entropy
        try:
            for file, volume in volumes.items():
                make_folder(file.parent, parents=False)
                write_volume(file, volume)
            write_label_map(out / f"{case.id}.nii.gz", drawing.label_map)
        except Exception:
            for file in volumes:
                file.unlink(missing_ok=True)
            raise
        return _stood_in(case, [(predictor.missing, predictor.modalities) for predictor in predictors])

    return draw_case


def _probability_files(out: Path, case_id: str, class_names: Sequence[str]) -> list[Path]:
    """Return a file for each class; what two names become alike gets the number of the class behind it."""
    words = ["".join(letter if letter.isalnum() else "-" for letter in name.lower()) for name in class_names]
    told = [f"{word}-{n}" if words.count(word) > 1 else word for n, word in enumerate(words, start=1)]
    return [out / "probabilities" / f"{case_id}_{word}.nii.gz" for word in told]


def _value_teller(
    weights: Path, device: str, missing: tuple[str, Sequence[Path]], between: Callable[[], None]
) -> Callable[[Case], dict[str, Any]]:
    """Return what gives the values of a case."""
    from napari_mmssl.inference.case_prediction import load_case_predictor
    from napari_mmssl.inference.missing import missing_from
    from napari_mmssl.training.device import choose_device

    policy, generators = missing
    where = choose_device(device)
    filling = missing_from(policy, weights, generators, where)
    predictor = replace(load_case_predictor(weights, where), missing=filling)

    def tell(case: Case) -> dict[str, Any]:
        between()
        return {"values": predictor.predict(case), **_stood_in(case, [(filling, predictor.modalities)])}

    return tell


def _stood_in(case: Case, networks: Sequence[tuple["Missing", tuple[str, ...]]]) -> dict[str, Any]:
    """Return what stood in for each modality that ``case`` lacks, and from what it was made, if it was made."""
    missing = {name: how for policy, known in networks for name, how in policy.stand_ins(case, known).items()}
    made = {name: source for policy, known in networks for name, source in policy.plan(case, known).items()}
    return ({"missing": missing} if missing else {}) | ({"synthesised": made} if made else {})


def _answer(run: RunFolder, done: dict[str, Any]) -> State:
    """Carry out the orders left in the folder: *cancel* discards what is written, any other keeps it."""
    orders = run.pending()
    cancelled = any(request.order == "cancel" for request in orders)
    if cancelled:
        for case_id in done:
            (run.path / f"{case_id}.nii.gz").unlink(missing_ok=True)
            classes_file(run.path / f"{case_id}.nii.gz").unlink(missing_ok=True)
        for folder in ("probabilities", "entropy"):
            shutil.rmtree(run.path / folder, ignore_errors=True)
        (run.path / "predictions.json").unlink(missing_ok=True)
        (run.path / "predictions.csv").unlink(missing_ok=True)
        done.clear()
    for request in orders:
        run.answer(request)
    return "cancelled" if cancelled else "stopped"


def _chosen(cases: tuple[Case, ...], which: Which, origins: Sequence[dict[str, Any]]) -> tuple[Case, ...]:
    if which == "test":
        if not all("split" in origin for origin in origins):
            raise ConfigError(
                "weights that were handed on do not say who was held out; leave '--cases test' out, or name cases"
                " by --case"
            )
        held_out = [origin["split"].get("test", []) for origin in origins]
        cases = tuple(case for case in cases if all(case.subject in subjects for subjects in held_out))
    cases = tuple(case for case in cases if case.modalities)
    if not cases:
        raise ConfigError(
            "no case to predict: none of them was held out as test" if which == "test" else "no case to predict"
        )
    return cases


def _write_index(out: Path, card: dict[str, Any], weights: Sequence[Path], done: dict[str, Any]) -> None:
    write_json(
        out / "predictions.json",
        {
            "format": 1,
            "task": card.get("task"),
            "convention": card.get("convention"),
            "task_card": {name: card[name] for name in _TASK_FACTS if name in card},
            "weights": _said(weights),
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
