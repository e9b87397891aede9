"""Volumes per class of a label map, and its scores: the numbers and the table that shows them with colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_mmssl.volumes.volume import LabelClass
from napari_mmssl.workflows.difference import Difference
from napari_mmssl.workflows.evaluate import Scores

_HEADS = ("", "class", "ml", "Dice", "HD95", "NSD")
_TIPS = (
    "",
    "",
    "Millilitres",
    "Overlap with the reference: 1 is equal",
    "Of the distances between both surfaces in mm, the one that 95 % stay below",
    "Share of both surfaces within 2 mm of the other one",
)
_N_PLAIN = 3


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


class LegendTable(QTableWidget):
    """One row per class: colour, name, ml, and scores where there is a reference; then the sum and the regions."""

    def __init__(self) -> None:
        super().__init__(0, len(_HEADS))
        self.setObjectName("legend")
        self.setHorizontalHeaderLabels(list(_HEADS))
        for column, tip in enumerate(_TIPS):
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.horizontalHeader().setMinimumSectionSize(20)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setDefaultSectionSize(24)
        self.setMinimumHeight(150)
        self._volumes: Sequence[ClassVolume] = ()
        self.show_volumes([])

    def show_volumes(self, volumes: Sequence[ClassVolume], difference: Difference | None = None) -> None:
        """Show ``volumes``, and the scores of ``difference``, in place of what was shown before."""
        self.setRowCount(0)
        for column in range(_N_PLAIN, len(_HEADS)):
            self.setColumnHidden(column, difference is None)
        classes: Mapping[str, Scores] = {} if difference is None else difference.classes
        for volume in volumes:
            self._add_row(volume.label.colour, volume.label.name, volume.volume_ml, classes.get(volume.label.name))
            self.item(self.rowCount() - 1, 1).setToolTip(f"value {volume.label.value}, {volume.voxels} voxels")
        if len(volumes) > 1:
            self._add_row(None, "together", sum(volume.volume_ml for volume in volumes), None)
        for name, scores in ({} if difference is None else difference.regions).items():
            self._add_row(None, name, None, scores)

    def _add_row(self, colour: str | None, name: str, volume_ml: float | None, scores: Scores | None) -> None:
        row = self.rowCount()
        self.insertRow(row)
        patch = QTableWidgetItem("■" if colour else "")
        if colour:
            patch.setForeground(QColor(colour))
        words = [name, "" if volume_ml is None else f"{volume_ml:.1f}"]
        if scores is not None:
            words += [_number(scores.dice, 2), _number(scores.hd95_mm, 1), _number(scores.nsd, 2)]
        for column, item in enumerate((patch, *(QTableWidgetItem(word) for word in words))):
            if column > 1:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
