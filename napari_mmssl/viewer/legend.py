"""Volumes per class of a label map: the numbers and the table that shows them with names and colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_mmssl.volumes.volume import LabelClass


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
    """One row per class: colour, name, volume in ml; the last row is the sum."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setObjectName("legend")
        self.setHorizontalHeaderLabels(["", "class", "ml"])
        self.verticalHeader().hide()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(120)

    def show_volumes(self, volumes: Sequence[ClassVolume]) -> None:
        """Show ``volumes`` in place of what was shown before."""
        self.setRowCount(0)
        for volume in volumes:
            self._add_row(volume.label.colour, volume.label.name, volume.volume_ml)
            self.item(self.rowCount() - 1, 1).setToolTip(f"value {volume.label.value}, {volume.voxels} voxels")
        if len(volumes) > 1:
            self._add_row(None, "together", sum(volume.volume_ml for volume in volumes))

    def _add_row(self, colour: str | None, name: str, volume_ml: float) -> None:
        row = self.rowCount()
        self.insertRow(row)
        patch = QTableWidgetItem("■" if colour else "")
        if colour:
            patch.setForeground(QColor(colour))
        for column, item in enumerate((patch, QTableWidgetItem(name), QTableWidgetItem(f"{volume_ml:.1f}"))):
            self.setItem(row, column, item)
