"""One label map against a reference: scores of each class and region, and where the two differ."""

from dataclasses import dataclass

import numpy as np

from napari_mmssl.errors import GeometryError
from napari_mmssl.tasks.conventions import LabelConvention, one_per_value
from napari_mmssl.volumes.reindex import how_apart, reindexed
from napari_mmssl.volumes.volume import LabelClass, LabelMap
from napari_mmssl.workflows.evaluate import NSD_TOLERANCE_MM, Scores, score

#: Of Okabe and Ito's colours, told apart with every common kind of colour blindness.
MISSED = LabelClass(1, "missed", "#0072b2")
ADDED = LabelClass(2, "added", "#e69f00")
OTHER_CLASS = LabelClass(3, "other class", "#cc79a7")


@dataclass(frozen=True, eq=False)
class Difference:
    """How a label map differs from a reference.

    Parameters
    ----------
    classes, regions
        Scores by name; NaN where undefined.
    where
        On the grid of the label map: what it missed, what it added, and what it gave another class.
    """

    classes: dict[str, Scores]
    regions: dict[str, Scores]
    where: LabelMap


def compare_label_maps(
    labels: LabelMap,
    reference: LabelMap,
    convention: LabelConvention | None = None,
    tolerance_mm: float = NSD_TOLERANCE_MM,
) -> Difference:
    """Compare ``labels`` with ``reference``.

    Parameters
    ----------
    labels, reference
        On one grid; axes may be stored in another order.
    convention
        What the values of both mean. ``None``: equal values mean the same, and *any label* is all of them together.
    tolerance_mm
        Of NSD.

    Raises
    ------
    GeometryError
        If they lie on different grids; nothing is resampled.
    ConfigError
        If values do not fit the convention.
    """
    moved = reindexed(reference, labels.geometry)
    if moved is None:
        apart = how_apart(reference.geometry, labels.geometry)
        raise GeometryError(f"the label map and the reference cannot be compared: {apart}, and nothing is resampled")
    meaning = convention or _by_value(labels, moved)
    found, true = meaning.to_classes(labels.array), meaning.to_classes(moved.array)
    scores = score(found, true, meaning, labels.geometry.spacing_mm, tolerance_mm)
    where = np.zeros(found.shape, np.uint8)
    where[(found == 0) & (true > 0)] = MISSED.value
    where[(found > 0) & (true == 0)] = ADDED.value
    where[(found > 0) & (true > 0) & (found != true)] = OTHER_CLASS.value
    return Difference(scores.classes, scores.regions, LabelMap(where, labels.geometry, (MISSED, ADDED, OTHER_CLASS)))


def _by_value(labels: LabelMap, reference: LabelMap) -> LabelConvention:
    """Return a coding in which every value met is a class, called as either map calls it."""
    values = {int(value) for array in (labels.array, reference.array) for value in np.unique(array)}
    names = {one.value: one.name for one in (*reference.classes, *labels.classes)}
    # Two empty maps agree; a coding needs a class all the same.
    return one_per_value(values - {0} or set(names) or {1}, names)
