"""Compare predicted label maps with a cohort's own: Dice, HD95 and NSD per class and region."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from napari_mmssl.cohorts.case import Cohort, ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.reading import label_names_in, read_label
from napari_mmssl.cohorts.synthetic import refuse_synthetic
from napari_mmssl.errors import ConfigError, GeometryError, LayoutError, ReadError
from napari_mmssl.metrics.overlap import dice
from napari_mmssl.metrics.surface_distance import percentile_95, share_within, surface_distances_mm
from napari_mmssl.tasks.conventions import READY, LabelConvention, choose_for, named, read_table
from napari_mmssl.tasks.partial_labels import doubt_of_whole
from napari_mmssl.volumes.geometry import two_grids
from napari_mmssl.volumes.image_files import is_image, read_label_map, stem
from napari_mmssl.volumes.reindex import in_order_of, same_voxels
from napari_mmssl.volumes.volume import LabelMap

#: Newest form of ``predictions.json`` that is understood here.
FORMAT = 1
#: What a label map is scored by.
METRICS = ("dice", "hd95_mm", "nsd")
NSD_TOLERANCE_MM = 2.0


class Pair(NamedTuple):
    """A predicted label map and the reference it is compared with."""

    case_id: str
    prediction: Path
    reference: ScanFile


@dataclass(frozen=True)
class Scores:
    """How well one class or region of one case was found; NaN where that is undefined."""

    dice: float
    hd95_mm: float
    nsd: float


@dataclass(frozen=True)
class CaseResult:
    """The scores of one case by class and by region name.

    ``trained_on`` and ``seen_in`` say whether, and in which of ``pretraining`` and ``fine-tuning``,
    the network met this person.
    """

    classes: dict[str, Scores]
    regions: dict[str, Scores]
    trained_on: bool = False
    seen_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Scores of every case that was predicted and has a reference; ``notes`` say what is odd about them."""

    convention: LabelConvention
    cases: dict[str, CaseResult]
    notes: tuple[str, ...] = ()
    tolerance_mm: float = NSD_TOLERANCE_MM

    def results(self, trained_on: bool) -> list[CaseResult]:
        """Return the cases the network was, or was not, trained on."""
        return [case for case in self.cases.values() if case.trained_on == trained_on]

    def to_json(self) -> dict[str, Any]:
        """Return the stable form that ``mmssl evaluate --json`` prints; undefined is null.

        ``mean`` is taken over the ``n`` cases that the network was not trained on and is null when
        there is none; ``mean_trained_on`` over the others. A value that is undefined in a case is
        left out of the mean; ``undefined`` counts in how many cases of ``mean`` that happened.
        """
        unseen, seen = self.results(False), self.results(True)
        return {
            "cases": {name: _case_json(result) for name, result in self.cases.items()},
            "mean": _both(unseen, _mean) if unseen else None,
            "n": len(unseen),
            "undefined": _both(unseen, _count_undefined),
            "mean_trained_on": _both(seen, _mean) if seen else None,
            "n_trained_on": len(seen),
            "convention": self.convention.name,
            "nsd_tolerance_mm": self.tolerance_mm,
            "notes": list(self.notes),
        }


def evaluate(
    predictions: Path,
    folder: Path,
    regions: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tolerance_mm: float = NSD_TOLERANCE_MM,
) -> Evaluation:
    """Score the label maps in ``predictions`` against those of the cohort in ``folder``.

    Parameters
    ----------
    predictions
        What ``mmssl predict`` wrote, or any folder of label maps named after the cases.
    folder
        The cohort with the reference label maps.
    regions
        Name of the label coding (``lesion``, ``brats2018`` ...). ``None``: the one the network was
        trained with; for label maps made elsewhere, the one the references are written in.
    progress
        Called with the number of cases done and their total.
    tolerance_mm
        Distance up to which two surfaces count as the same in NSD.

    Raises
    ------
    ReadError, LayoutError
        If a folder or file cannot be read, or no prediction belongs to a labelled case.
    GeometryError
        If a prediction lies on another grid than its reference.
    ConfigError
        If label values do not fit the coding, or the coding cannot be told.
    """
    if not predictions.is_dir():
        raise ReadError(f"'{predictions}' is not a folder; name the one that mmssl predict wrote")
    record = read_record(predictions)
    if gives_values(record):
        raise ReadError(f"'{predictions}' holds values of whole cases and no label maps")
    cohort = find_cohort(folder)
    pairs, notes = _pair_up(predictions, cohort)
    refuse_synthetic(cohort.case(pair.case_id) for pair in pairs)
    convention, reason = _find_convention(record, regions, cohort, pairs)
    convention = convention.called(cohort.label_names or _names_in_files(pairs))
    notes += [reason] if reason else []
    if record is None:
        notes.append(f"'{predictions}' has no predictions.json: whether a network was trained on these is not known")
    cases: dict[str, CaseResult] = {}
    values: dict[str, set[int]] = {}
    for pair in pairs:
        progress(len(cases), len(pairs))
        result, values[pair.case_id] = _compare(pair, convention, tolerance_mm)
        trained_on, seen_in = _seen(record, pair.case_id)
        cases[pair.case_id] = replace(result, trained_on=trained_on, seen_in=seen_in)
        if regions is None and convention.name in READY and convention.name != "lesion":
            _refuse_other_codings(cohort, values)
    progress(len(cases), len(pairs))
    notes += _doubts(values, convention)
    if all(result.trained_on for result in cases.values()):
        notes.append("the network was trained on every one of these cases, so there is no honest mean")
    return Evaluation(convention, cases, tuple(notes), tolerance_mm)


def score(
    prediction: npt.NDArray[np.uint8],
    reference: npt.NDArray[np.uint8],
    convention: LabelConvention,
    spacing_mm: tuple[float, float, float],
    tolerance_mm: float = NSD_TOLERANCE_MM,
) -> CaseResult:
    """Compare two arrays of class indices ``(z, y, x)`` class by class and region by region."""

    def compare(indices: Iterable[int]) -> Scores:
        a, b = (np.isin(array, list(indices)) for array in (prediction, reference))
        forth, back = surface_distances_mm(a, b, spacing_mm)
        return Scores(dice(a, b), percentile_95(forth, back), share_within(forth, back, tolerance_mm))

    return CaseResult(
        {one.name: compare([index]) for index, one in enumerate(convention.classes, start=1)},
        {region: compare(convention.indices_of(region)) for region in convention.regions},
    )


def _pair_up(predictions: Path, cohort: Cohort) -> tuple[list[Pair], list[str]]:
    """Return the labelled cases with the file of their prediction, and a note on each file that has none."""
    files = {stem(path): path for path in sorted(predictions.iterdir()) if path.is_file() and is_image(path)}
    by_id = {case.id: case for case in cohort.cases}
    notes = []
    for name, path in files.items():
        if name not in by_id:
            notes.append(f"'{path.name}' belongs to no case of '{cohort.root}' and was left out")
        elif by_id[name].label is None:
            notes.append(f"case '{name}' has no reference label map and was left out")
    pairs = [
        Pair(case.id, files[case.id], case.label)
        for case in cohort.cases
        if case.id in files and case.label is not None
    ]
    if not pairs:
        raise LayoutError(
            f"no label map in '{predictions}' belongs to a labelled case of '{cohort.root}' "
            f"(files are called like cases there: {', '.join(list(by_id)[:3])} ...)"
        )
    return pairs, notes


def read_record(predictions: Path) -> dict[str, Any] | None:
    """Return the ``predictions.json`` of a folder, or ``None`` if it has none.

    Raises
    ------
    ReadError
        If it is damaged or of a newer version.
    """
    path = predictions / "predictions.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        newest = int(record["format"])
        if not isinstance(record["cases"], dict):
            raise TypeError("cases are a table")
        if not isinstance(record["task_card" if gives_values(record) else "convention"], dict):
            raise TypeError("convention and task_card are tables")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"'{path}' is damaged ({error}); predict again, or remove it") from error
    if newest > FORMAT:
        raise ReadError(f"'{path}' was written by a newer napari-mmssl; update napari-mmssl to evaluate it")
    return dict(record)


def gives_values(record: dict[str, Any] | None) -> bool:
    """Return whether a ``predictions.json`` holds values of whole cases; see :mod:`.evaluate_values`."""
    return record is not None and any("values" in entry for entry in record["cases"].values())


def _seen(record: dict[str, Any] | None, case_id: str) -> tuple[bool, tuple[str, ...]]:
    entry = record["cases"].get(case_id, {}) if record else {}
    return bool(entry.get("trained_on", False)), tuple(entry.get("seen_in", ()))


def _find_convention(
    record: dict[str, Any] | None, regions: str | None, cohort: Cohort, pairs: list[Pair]
) -> tuple[LabelConvention, str]:
    """Return the coding to compare in and, where it had to be found out, the reason for it."""
    if regions is not None and regions != "values":
        return named(regions), ""
    if record is not None and regions is None:
        return read_table(record["convention"]), ""
    values = {pair.case_id: _values(read_label(pair.reference)) for pair in pairs}
    if regions == "values":
        predicted = [_values(read_label_map(pair.prediction)) for pair in pairs]
        return named("values", set().union(*values.values(), *predicted)), ""
    return choose_for(cohort, values)


def _names_in_files(pairs: Iterable[Pair]) -> dict[int, str]:
    """Return what the files of the references call their values, where all agree."""
    met: dict[int, set[str]] = {}
    for pair in pairs:
        for value, name in label_names_in(pair.reference).items():
            met.setdefault(value, set()).add(name)
    return {value: names.pop() for value, names in met.items() if len(names) == 1}


def _refuse_other_codings(cohort: Cohort, values: dict[str, set[int]]) -> None:
    """Refuse references that cannot all be in one coding: their mean would mix different things."""
    if set().union(*values.values()) - {0}:
        choose_for(cohort, values)


def _doubts(values: dict[str, set[int]], convention: LabelConvention) -> list[str]:
    doubts = {case: doubt_of_whole(met, convention) for case, met in values.items()}
    return [f"the reference of '{case}' {doubt}" for case, doubt in doubts.items() if doubt]


def _values(label_map: LabelMap) -> set[int]:
    return set(np.unique(label_map.array).tolist())


def _compare(pair: Pair, convention: LabelConvention, tolerance_mm: float) -> tuple[CaseResult, set[int]]:
    """Return the scores of one case and the label values of its reference."""
    prediction, reference = read_label_map(pair.prediction), read_label(pair.reference)
    if not same_voxels(prediction.geometry, reference.geometry):
        predicted_grid = f"prediction '{pair.prediction}'", prediction.geometry
        reference_grid = f"reference '{pair.reference.path}'", reference.geometry
        raise GeometryError(
            f"{two_grids(*predicted_grid, *reference_grid)}; predict from the scans this reference was drawn on, "
            "or take it back from an aligned cohort: mmssl align PREDICTIONS --back ALIGNED --out DIR"
        )
    indices = []
    predicted = in_order_of(prediction.array, prediction.geometry, reference.geometry)
    for array, path in ((predicted, pair.prediction), (reference.array, pair.reference.path)):
        try:
            indices.append(convention.to_classes(array))
        except ConfigError as error:
            raise ConfigError(f"'{path}': {error}") from error
    result = score(indices[0], indices[1], convention, reference.geometry.spacing_mm, tolerance_mm)
    return result, _values(reference)


def _or_null(number: float) -> float | None:
    return None if math.isnan(number) else number


def _case_json(result: CaseResult) -> dict[str, Any]:
    return {
        "classes": {name: _scores_json(scores) for name, scores in result.classes.items()},
        "regions": {name: _scores_json(scores) for name, scores in result.regions.items()},
        "trained_on": result.trained_on,
        "seen_in": list(result.seen_in),
    }


def _scores_json(scores: Scores) -> dict[str, float | None]:
    return {name: _or_null(getattr(scores, name)) for name in METRICS}


def _both(results: list[CaseResult], reduce: Callable[[list[float]], float | int | None]) -> dict[str, Any]:
    """Reduce the values of all cases, by class and by region, by name, by metric."""

    def table(groups: list[dict[str, Scores]]) -> dict[str, dict[str, float | int | None]]:
        return {
            name: {metric: reduce([getattr(group[name], metric) for group in groups]) for metric in METRICS}
            for name in (groups[0] if groups else ())
        }

    return {"classes": table([r.classes for r in results]), "regions": table([r.regions for r in results])}


def _mean(numbers: list[float]) -> float | None:
    defined = [number for number in numbers if not math.isnan(number)]
    return sum(defined) / len(defined) if defined else None


def _count_undefined(numbers: list[float]) -> int:
    return sum(math.isnan(number) for number in numbers)
