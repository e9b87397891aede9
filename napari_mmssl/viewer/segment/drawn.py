"""What a prediction wrote of one case, read; and what there is to tell of a label map. Knows no Qt and no napari."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.errors import GeometryError, MmsslError, ReadError
from napari_mmssl.tasks.conventions import LabelConvention, one_per_value, read_table
from napari_mmssl.tasks.partial_labels import doubt_of_whole
from napari_mmssl.viewer.layers.layer_data import values_in
from napari_mmssl.volumes.image_files import read_label_map, read_volume
from napari_mmssl.volumes.reindex import how_apart, reindexed
from napari_mmssl.volumes.volume import LabelMap, Volume
from napari_mmssl.workflows.difference import Difference, compare_label_maps
from napari_mmssl.workflows.evaluate import gives_values, read_record
from napari_mmssl.workflows.lesions import Lesion, find_lesions, find_unsure

#: Smaller places of doubt than this are borders of one voxel.
_LEAST_UNSURE_ML = 0.05


#: Gives a label map the names of its classes, where they are known.
Named: TypeAlias = Callable[[LabelMap], LabelMap]


def _as_it_is(label_map: LabelMap) -> LabelMap:
    return label_map


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn of a case.

    Parameters
    ----------
    case, file, labels
        Whose it is, where it lies, and the label map.
    probabilities, entropy
        What else the network wrote, if it was asked to.
    record
        ``predictions.json``; empty for label maps made elsewhere.
    reference
        The label map of the cohort, if there is one.
    without
        Modalities that the network was not given.
    unsure
        Where it is unsure, the largest place first.
    """

    case: Case
    file: Path
    labels: LabelMap
    probabilities: dict[str, Volume] = field(default_factory=dict)
    entropy: Volume | None = None
    record: dict[str, Any] = field(default_factory=dict)
    reference: LabelMap | None = None
    without: tuple[str, ...] = ()
    unsure: tuple[Lesion, ...] = ()

    @property
    def lacking(self) -> tuple[str, ...]:
        """Modalities that the network knows and the case has not, beside those it was not given."""
        missing = self.record.get("cases", {}).get(self.case.id, {}).get("missing", {})
        return tuple(name for name in missing if name not in self.without)

    @property
    def mean_entropy(self) -> float | None:
        """Mean entropy of the voxels with any: how unsure the network is where it is not plainly background."""
        if self.entropy is None:
            return None
        chosen = self.entropy.array[self.entropy.array > 0.01]
        return float(chosen.mean()) if chosen.size else 0.0


@dataclass(frozen=True, eq=False)
class Measured:
    """What is to tell of a label map: its lesions and, if there is a reference, the difference.

    ``remark`` says why there is none, or of what it is not.
    """

    lesions: tuple[Lesion, ...]
    difference: Difference | None
    remark: str = ""


def read_drawn(folder: Path, case: Case, without: Sequence[str] = (), named: Named = _as_it_is) -> Drawn:
    """Read what ``mmssl predict`` wrote for ``case`` into ``folder``.

    ``named`` gives a reference without class names those that its cohort tells.

    Raises
    ------
    MmsslError
        If something cannot be read.
    """
    file = folder / f"{case.id}.nii.gz"
    labels = read_label_map(file)
    entropy_file = folder / "entropy" / file.name
    entropy = read_volume(entropy_file) if entropy_file.is_file() else None
    found = sorted((folder / "probabilities").glob(f"{case.id}_*.nii.gz"))
    words = {path: path.name.removeprefix(f"{case.id}_").removesuffix(".nii.gz") for path in found}
    unsure = () if entropy is None else tuple(find_unsure(entropy, least_ml=_LEAST_UNSURE_ML))
    return Drawn(
        case,
        file,
        labels,
        {word: read_volume(path) for path, word in words.items()},
        entropy,
        read_record(folder) or {},
        None if case.label is None else named(read_label(case.label)),
        tuple(without),
        unsure,
    )


def read_elsewhere(file: Path, case: Case, named: Named = _as_it_is) -> Drawn:
    """Read a label map that another program made of ``case``, onto the grid of its scans.

    ``named`` gives a label map without class names those that the cohort tells.

    Raises
    ------
    GeometryError
        If it lies on none of the case's grids.
    ReadError
        If it cannot be read.
    """
    labels = read_label_map(file)
    moved = [reindexed(labels, scan.geometry) for scan in case.modalities.values()]
    placed = next((one for one in moved if one is not None), None)
    if placed is None:
        first = next(iter(case.modalities.values()), None)
        if first is None:
            raise ReadError(f"case '{case.id}' has no scan on which '{file.name}' could lie")
        apart = how_apart(labels.geometry, first.geometry)
        raise GeometryError(f"'{file.name}' does not lie on the scans of '{case.id}': {apart}; nothing is resampled")
    reference = None if case.label is None else named(read_label(case.label))
    return Drawn(case, file, named(placed), reference=reference)


def measure(drawn: Drawn, labels: LabelMap, *, together: bool) -> Measured:
    """Return lesions of ``labels``, perhaps a correction of what was drawn, and how they differ from the reference."""
    lesions = tuple(find_lesions(labels, together=together))
    if drawn.reference is None:
        return Measured(lesions, None)
    table = drawn.record.get("convention")
    try:
        meaning = _named_classes(drawn, labels) if table is None else read_table(dict(table))
        difference = compare_label_maps(labels, drawn.reference, meaning)
    except MmsslError as error:
        return Measured(lesions, None, f"no scores: {error}")
    return Measured(lesions, difference, _remark(drawn, drawn.reference, meaning))


def _remark(drawn: Drawn, reference: LabelMap, meaning: LabelConvention | None) -> str:
    """Return what should be known before the scores are believed."""
    if meaning is None:
        return ""
    doubt = doubt_of_whole(values_in(reference.array), meaning)
    if doubt:
        return f"the label map of the case {doubt}"
    return "" if "convention" in drawn.record else _left_aside(reference, meaning, drawn.file)


def _named_classes(drawn: Drawn, labels: LabelMap) -> LabelConvention | None:
    """Return the classes that a label map made elsewhere names, and those painted since.

    A program that was asked for the liver is not held against a reference of fifty organs. ``None`` if it names
    none, or the reference calls the same values something else: then all values count, and their union.
    """
    names = {one.value: one.name for one in drawn.labels.classes}
    theirs = {one.value: one.name for one in drawn.reference.classes} if drawn.reference else {}
    if not names or any(theirs.get(value, name) != name for value, name in names.items()):
        return None
    return replace(one_per_value({*names, *values_in(labels.array)}, names), unlisted="background")


def _left_aside(reference: LabelMap, meaning: LabelConvention, file: Path) -> str:
    others = set(values_in(reference.array)) - {0, *meaning.claimed}
    if not others:
        return ""
    more = f"{len(others)} classes" if len(others) > 1 else "one class"
    return f"scores are of what '{file.name}' names; the label map of the case has {more} more"


def mean_dice(difference: Difference | None) -> float | None:
    """Return the mean Dice of the classes, those that are undefined left out."""
    values = [] if difference is None else [one.dice for one in difference.classes.values() if not np.isnan(one.dice)]
    return sum(values) / len(values) if values else None


def value_words(folder: Path, case_id: str) -> str:
    """Return what a network that gives values of a whole case said of it, in words.

    Raises
    ------
    ReadError
        If it wrote nothing of the case.
    """
    record = read_record(folder)
    if record is None or not gives_values(record) or case_id not in record["cases"]:
        raise ReadError(f"'{folder}' holds no values of '{case_id}'")
    entry = record["cases"][case_id]
    said = _said(entry["values"])
    return f"{said} The network was trained on this person." if entry.get("trained_on") else said


def _said(values: dict[str, Any]) -> str:
    if "days" in values:
        median = f"survival: {values['days']:.0f} days (median)"
        if "interval_80_days" not in values:
            return f"{median}; the model gives no interval."
        (low50, high50), (low80, high80) = values["interval_50_days"], values["interval_80_days"]
        return f"{median}, half of such people {low50:.0f} to {high50:.0f}, four of five {low80:.0f} to {high80:.0f}."
    if "probabilities" in values:
        ranked = sorted(values["probabilities"].items(), key=lambda pair: -pair[1])
        return "; ".join(f"{name}: {share:.0%}" for name, share in ranked) + "."
    return "; ".join(f"{name}: {value}" for name, value in values.items()) + "."
