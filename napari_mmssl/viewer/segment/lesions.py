"""The table of separate lesions, and the way from one to the next, or to the next place of doubt."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QCheckBox, QPushButton

from napari_mmssl.viewer.layers.placing import display_place
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.parts.read_only_table import ReadOnlyTable
from napari_mmssl.volumes.geometry import Geometry, to_canonical
from napari_mmssl.workflows.lesions import Lesion

_HEADS = (
    ("", "Class"),
    ("ml", "Millilitres"),
    ("mm", "Longest diameter in mm, in any direction"),
    ("R", "Centroid in the scanner's mm, to the patient's right"),
    ("A", "Centroid in the scanner's mm, to the front"),
    ("S", "Centroid in the scanner's mm, to the head"),
)
#: A table of a thousand specks helps nobody; the rest is told in words.
_MOST_ROWS = 200
#: So many are seen without scrolling, and more where there is room.
_LEAST_SEEN = 3


class LesionTable(ReadOnlyTable):
    """Lesions of a label map, the largest first; a click goes there.

    Parameters
    ----------
    panel
        Whose viewer is moved; buttons and words are added to its column by :meth:`add_to`.
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(_HEADS)
        self._panel = panel
        panel.part(self, "lesions", "Separate lesions; click one to go there")
        self.cellClicked.connect(lambda row, _column: self.go_to(row))
        self._lesions: tuple[Lesion, ...] = ()
        self._unsure: tuple[Lesion, ...] = ()
        self._geometry: Geometry | None = None
        self._unsure_at = -1
        self._together = panel.part(
            QCheckBox("classes together"), "together", "Touching voxels of different classes make one lesion"
        )
        self._together.setChecked(True)
        #: Emits when lesions are to be found anew.
        self.together_changed = self._together.toggled
        self._next = panel.part(QPushButton("Next lesion"), "next_lesion", "Go to the next separate lesion (key L)")
        self._next.setShortcut("L")
        self._doubt = panel.part(
            QPushButton("Next uncertain"), "next_uncertain", "Go to the next place where the network is unsure (key U)"
        )
        self._doubt.setShortcut("U")
        self._next.clicked.connect(self.next_lesion)
        self._doubt.clicked.connect(self.next_uncertain)
        self._enable()

    def sizeHint(self) -> QSize:
        """Ask for no more than what is always seen: a column that scrolls gives each part what it asks for."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def add_to(self, panel: Panel) -> None:
        """Add the table, its buttons and its words to the column of ``panel``."""
        panel.row(self._next, self._doubt)
        panel.column.addWidget(self._together)
        panel.column.addWidget(self, 1)
        self._words = panel.text("lesion_words")

    @property
    def together(self) -> bool:
        """Whether touching classes make one lesion."""
        return bool(self._together.isChecked())

    def show_lesions(self, lesions: Sequence[Lesion], geometry: Geometry | None) -> None:
        """Show ``lesions`` of a label map on the grid ``geometry``."""
        self._lesions, self._geometry = tuple(lesions), geometry
        self.forget_rows()
        for lesion in self._lesions[:_MOST_ROWS]:
            self._add_lesion(lesion)
        self.setMinimumHeight(self.height_of(min(len(lesions), _LEAST_SEEN)))
        self.setMaximumHeight(self.height_of(self.rowCount()))
        self.updateGeometry()
        total = sum(lesion.volume_ml for lesion in lesions)
        more = f", the largest {_MOST_ROWS} of them listed" if len(lesions) > _MOST_ROWS else ""
        self._words.setText(f"{len(lesions)} separate, {total:.1f} ml{more}" if lesions else "")
        self._enable()

    def show_unsure(self, places: Sequence[Lesion]) -> None:
        """Take ``places`` for where the network is unsure."""
        self._unsure, self._unsure_at = tuple(places), -1
        self._enable()

    def next_lesion(self) -> None:
        """Go to the lesion below the selected one; after the last comes the first."""
        if self.rowCount():
            self.go_to((self.currentRow() + 1) % self.rowCount())

    def next_uncertain(self) -> None:
        """Go to the next place of doubt; after the last comes the first."""
        if self._unsure:
            self._unsure_at = (self._unsure_at + 1) % len(self._unsure)
            place = self._unsure[self._unsure_at]
            self._look_at(place)
            self._words.setText(
                f"uncertain place {self._unsure_at + 1} of {len(self._unsure)}: {place.volume_ml:.2f} ml"
            )

    def go_to(self, row: int) -> None:
        """Show the slices through the lesion in ``row``."""
        if 0 <= row < min(len(self._lesions), _MOST_ROWS):
            self.setCurrentCell(row, 1)
            self._look_at(self._lesions[row])

    def _look_at(self, lesion: Lesion) -> None:
        if self._geometry is None:
            return
        # napari draws a tilted scan straight, so scanner positions go through the voxels.
        canonical = to_canonical(self._geometry).apply_to(self._geometry)
        place = display_place(self._geometry)
        point = np.asarray(canonical.world_to_index(lesion.inside_mm)) * place.scale + place.translate
        viewer = self._panel.viewer
        first = viewer.dims.ndim - 3
        viewer.dims.set_point(range(first, first + 3), point)

    def _add_lesion(self, lesion: Lesion) -> None:
        # Below 0.1 ml a second digit tells specks apart.
        size = f"{lesion.volume_ml:.1f}" if lesion.volume_ml >= 0.1 else f"{lesion.volume_ml:.2f}"
        centroid = (str(round(value)) for value in lesion.centroid_mm)
        tip = f"{lesion.label.name}, {lesion.voxels} voxels"
        self.add_row((lesion.label.colour, size, f"{lesion.longest_mm:.1f}", *centroid), tip=tip)

    def _enable(self, _event: Any = None) -> None:
        self._next.setEnabled(bool(self._lesions))
        self._doubt.setEnabled(bool(self._unsure))
