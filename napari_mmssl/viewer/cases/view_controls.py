"""How the case in hand is looked at: plane, arrangement, side, window; and where the mouse is in the scanner."""

from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton

from napari_mmssl.viewer.layers.anatomy import PLANES, position_words
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.orientation_letters import face_patient, show_plane
from napari_mmssl.viewer.layers.windows import (
    AUTOMATIC,
    CT_WINDOWS,
    PERCENTILES,
    Window,
    automatic_window,
    ct_window,
    looks_like_ct,
    percentile_window,
)
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.workspace import open_planes


class ViewControls:
    """Buttons and read-out in the column of ``panel``, for what ``view`` shows."""

    def __init__(self, panel: Panel, view: CaseView) -> None:
        self._panel, self._view, self._viewer = panel, view, panel.viewer
        self._draw_planes()
        self._draw_arrangement()
        panel.listen(self._viewer.cursor.events.position, self._say_position)

    def case_shown(self) -> None:
        """Show another case through the window that was chosen for the one before."""
        if self._window.currentText() != AUTOMATIC:
            self.apply_window(self._window.currentText())

    def apply_window(self, name: str) -> None:
        """Show our images through the window ``name``; CT windows change CT alone."""
        for layer, origin in self._view.ours():
            if not isinstance(layer, Image) or origin.case is None:
                continue
            window = _window_of(name, layer, origin.role)
            if window is not None:
                low, high = layer.contrast_limits_range
                layer.contrast_limits_range = (min(low, window.low), max(high, window.high))
                layer.contrast_limits = (window.low, window.high)

    # -- drawing ------------------------------------------------------------------------------

    def _draw_planes(self) -> None:
        row = QHBoxLayout()
        for plane in PLANES:
            tip = f"Show the {plane} plane in the large view, head or front up"
            button = self._panel.part(QPushButton(plane.capitalize()), f"show_{plane}", tip)
            button.clicked.connect(lambda _checked=False, plane=plane: show_plane(self._viewer, plane))
            row.addWidget(button)
        self._three = self._panel.part(
            QPushButton("All three"), "three_planes", "Show axial, coronal and sagittal below the large view, linked"
        )
        self._three.clicked.connect(lambda: open_planes(self._viewer))
        self._three.setVisible(hasattr(self._viewer, "window"))
        row.addWidget(self._three)
        self._panel.column.addLayout(row)

    def _draw_arrangement(self) -> None:
        panel = self._panel
        beside = panel.part(
            QCheckBox("side by side"), "side_by_side", "Each sequence in a cell of its own, labels over every one"
        )
        beside.toggled.connect(self._arrange)
        convention = panel.part(
            QComboBox(), "convention", "Radiological: the patient's right is on the left of the screen"
        )
        convention.addItems(["radiological", "neurological"])
        convention.setCurrentText(panel.session.convention)
        convention.currentTextChanged.connect(lambda words: face_patient(self._viewer, words))
        self._window = panel.part(
            QComboBox(),
            "window",
            "Which intensities are shown. automatic: percentiles, soft tissue for CT; CT windows change CT alone",
        )
        self._window.addItems([AUTOMATIC, *PERCENTILES, *(f"CT {name}" for name in CT_WINDOWS)])
        self._window.currentTextChanged.connect(self.apply_window)
        for box in (self._window, convention):
            # The longest word of these two is read without opening the list.
            box.setMinimumContentsLength(9)
        self._position = panel.text("cursor_position")
        self._position.setToolTip("Scanner position under the mouse, true also for tilted scans")
        for first, second in ((beside, self._window), (self._position, convention)):
            panel.row(first, second, wide=first)

    # -- doing --------------------------------------------------------------------------------

    def _arrange(self, side_by_side: bool) -> None:
        if side_by_side:
            self._view.show_side_by_side()
        else:
            self._view.show_stacked()

    def _say_position(self, event: Any = None) -> None:
        if self._viewer.dims.ndim != 3 or not self._panel.isVisible() or not self._view.ours():
            return
        self._position.setText(position_words(self._view.scanner_position(self._viewer.cursor.position).tolist()))


def _window_of(name: str, layer: Image, role: str | None) -> Window | None:
    """Return the window ``name`` for ``layer``, or ``None`` if it is not meant for it."""
    array = np.asarray(layer.data)
    if name == AUTOMATIC:
        return automatic_window(role, array)
    if name in PERCENTILES:
        return percentile_window(array, name)
    return ct_window(name.removeprefix("CT ")) if looks_like_ct(role, array) else None
