"""Volumes per class of a label map, and its scores: the numbers and the table that shows them with colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_mmssl.viewer.parts.read_only_table import ReadOnlyTable
from napari_mmssl.volumes.volume import LabelClass
from napari_mmssl.workflows.difference import Difference
from napari_mmssl.workflows.evaluate import Scores

_HEADS = (
    ("", ""),
    ("class", ""),
    ("ml", "Millilitres"),
    ("Dice", "Overlap with the reference: 1 is equal"),
    ("HD95", "Of the distances between both surfaces in mm, the one that 95 % stay below"),
    ("NSD", "Share of both surfaces within 2 mm of the other one"),
)
_N_PLAIN = 3
#: Regions of tumours whose names are short.
_SPELT_OUT = {"WT": "whole tumour", "TC": "tumour core", "ET": "enhancing tumour", "RC": "resection cavity"}
#: So many are seen at once.
_MOST_ROWS = 8


@dataclass(frozen=True)
class ClassVolume:
    """How much of a label map one class takes."""

    label: LabelClass
    voxels: int
    volume_ml: float


def class_volumes(array: np.ndarray, voxel_ml: float, classes: Sequence[LabelClass]) -> list[ClassVolume]:
    """Return the volume of each of ``classes`` in a label array, in their order; absent ones have 0 ml.

    Parameters
    ----------
    array
        Whole numbers of any shape.
    voxel_ml
        Volume of one voxel in millilitres.
    classes
        What to count.
    """
    found = []
    for one in classes:
        voxels = int(np.count_nonzero(array == one.value))
        found.append(ClassVolume(one, voxels, voxels * voxel_ml))
    return found


class LegendTable(ReadOnlyTable):
    """One row per class: colour, name, ml, and scores where there is a reference; then the sum and the regions."""

    def __init__(self) -> None:
        super().__init__(_HEADS, name=1)
        self.setObjectName("legend")
        self._difference: Difference | None = None
        self.show_volumes([])

    def show_painted(self, volumes: Sequence[ClassVolume]) -> None:
        """Show ``volumes`` while somebody paints; rows stay where they are, and scores are open until measured."""
        self._show(volumes, self._difference, measured=False)

    def show_volumes(self, volumes: Sequence[ClassVolume], difference: Difference | None = None) -> None:
        """Show ``volumes``, and the scores of ``difference``, in place of what was shown before."""
        self._difference = difference
        self._show(volumes, difference, measured=True)

    def _show(self, volumes: Sequence[ClassVolume], difference: Difference | None, *, measured: bool) -> None:
        words_of = _score_words if measured else _open_words
        self.forget_rows()
        for column in range(_N_PLAIN, len(_HEADS)):
            self.setColumnHidden(column, difference is None)
        classes: Mapping[str, Scores] = {} if difference is None else difference.classes
        for volume in volumes:
            one = volume.label
            words = (one.colour, one.name, f"{volume.volume_ml:.1f}", *words_of(classes.get(one.name)))
            self.add_row(words, tip=f"value {one.value}, {volume.voxels} voxels")
        if len(volumes) > 1:
            self.add_row(("", "together", f"{sum(volume.volume_ml for volume in volumes):.1f}"))
        for name, scores in ({} if difference is None else difference.regions).items():
            if name in classes or len(classes) == 1:
                continue  # A region of one class is that class again.
            self.add_row(("", name, "", *words_of(scores)), tip=_SPELT_OUT.get(name, ""))
        # No empty room below the last row, and a bar to scroll with where there are many classes.
        self.setFixedHeight(self.height_of(min(self.rowCount(), _MOST_ROWS)))


def _score_words(scores: Scores | None) -> tuple[str, ...]:
    if scores is None:
        return ()
    return _number(scores.dice, 2), _number(scores.hd95_mm, 1), _number(scores.nsd, 2)


def _open_words(scores: Scores | None) -> tuple[str, ...]:
    return () if scores is None else ("...", "...", "...")


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
