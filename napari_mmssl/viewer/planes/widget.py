"""The Planes widget: axial, coronal and sagittal side by side, linked by a crosshair in scanner millimetres.

napari shows one plane at a time, and its canvas cannot be had twice by public means without a second copy of every
layer on the graphics card. These panes are therefore drawn here, from the same layers, colours and windows.
"""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_mmssl.viewer.layers.anatomy import PLANES, position_words
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.layers.orientation_letters import show_plane
from napari_mmssl.viewer.parts.docking import leave_for_below
from napari_mmssl.viewer.parts.listening import Listening
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.planes.plane_pane import PlanePane
from napari_mmssl.viewer.planes.slices import Slice, can_be_cut, cut, value_words
from napari_mmssl.viewer.session import plain
from napari_mmssl.viewer.writers import COPY_ROLE

#: What a person changes on a layer that changes what is drawn here.
_LAYER_EVENTS = ("visible", "opacity", "blending", "contrast_limits", "gamma", "colormap", "data", "set_data", "scale")

#: After which the dock has its size.
_OPENED_MS = 150


class PlanesWidget(QWidget):
    """Three linked planes of what the viewer shows; in a wide dock side by side, in a high one under each other."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.setObjectName("mmssl_planes")
        self.viewer = plain(napari_viewer)
        self._view = CaseView(self.viewer)
        self._listening = Listening(self)
        self._listening.closed(self.deleteLater)
        self.panes = {plane: PlanePane(plane, self._slices) for plane in PLANES}
        self._draw()
        self._listen()
        self.refresh()
        # The large view gets lower when this dock opens; what it shows is fitted into it once that has happened.
        self._fit = QTimer(self)
        self._fit.setSingleShot(True)
        self._fit.timeout.connect(self.viewer.reset_view)
        self._fit.start(_OPENED_MS)
        # Qt does not bear that docks are moved while it shows one.
        self._move = QTimer(self, singleShot=True)
        self._move.timeout.connect(lambda: leave_for_below(self, Panel))
        self._was_shown = False

    def refresh(self, event: Any = None) -> None:
        """Draw what the viewer shows now."""
        point, box = self._point(), self._box()
        senses = tuple(str(sense) for sense in self.viewer.scene.camera.orientation2d)
        for pane in self.panes.values():
            pane.show_at(point, box, (senses[0], senses[1]))
        self._say(point, known=box is not None)

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._cells = QGridLayout()
        self._cells.setContentsMargins(0, 0, 0, 0)
        self._cells.setSpacing(2)
        self._words = QLabel()
        self._words.setObjectName("crosshair_position")
        self._words.setWordWrap(True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setToolTip("Scanner position of the crosshair and what lies there, true also for tilted scans")
        self._words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._follow = QCheckBox("follow the mouse")
        self._follow.setObjectName("follow_mouse")
        self._follow.setToolTip("The crosshair goes with the mouse over the large view; otherwise with a click there")
        swap = QPushButton("large view: next plane")
        swap.setObjectName("next_plane")
        swap.setToolTip("Show axial, coronal and sagittal in turn in the large view")
        swap.clicked.connect(self._next_plane)
        row = QHBoxLayout()
        row.addWidget(self._words, 1)
        row.addWidget(self._follow)
        row.addWidget(swap)
        column = QVBoxLayout(self)
        column.setContentsMargins(2, 2, 2, 2)
        column.setSpacing(2)
        column.addLayout(self._cells, 1)
        column.addLayout(row)
        for pane in self.panes.values():
            pane.pointed.connect(self._go_to)
            pane.stepped.connect(lambda by, pane=pane: self._step(pane, by))
        self._lay_out()

    def _lay_out(self) -> None:
        high = self.height() > 1.4 * self.width()
        for n, pane in enumerate(self.panes.values()):
            self._cells.addWidget(pane, n if high else 0, 0 if high else n)

    def showEvent(self, event: Any) -> None:
        """Go below the large view at first, if the other widgets stand where napari opened this one."""
        super().showEvent(event)
        if not self._was_shown:
            self._was_shown = True
            self._move.start()

    def resizeEvent(self, event: Any) -> None:
        """Put the panes side by side, or under each other where the dock is high."""
        self._lay_out()
        super().resizeEvent(event)

    # -- listening ----------------------------------------------------------------------------

    def _listen(self) -> None:
        viewer, on = self.viewer, self._listening.on
        on(viewer.dims.events.point, self.refresh)
        on(viewer.scene.camera.events.orientation, self.refresh)
        on(viewer.layers.events.inserted, self._added)
        on(viewer.layers.events.removed, self._taken)
        on(viewer.layers.events.reordered, self.refresh)
        on(viewer.cursor.events.position, self._mouse_moved)
        for layer in viewer.layers:
            self._hear(layer)
        self._listening.undo(self._hear_nothing)
        viewer.mouse_drag_callbacks.append(self._clicked)
        self._listening.undo(self._forget_clicks)

    def _hear(self, layer: Any) -> None:
        for name in _LAYER_EVENTS:
            if hasattr(layer.events, name):
                getattr(layer.events, name).connect(self._changed)

    def _hear_no_more(self, layer: Any) -> None:
        for name in _LAYER_EVENTS:
            if hasattr(layer.events, name):
                getattr(layer.events, name).disconnect(self._changed)

    def _hear_nothing(self) -> None:
        for layer in self.viewer.layers:
            self._hear_no_more(layer)

    def _added(self, event: Any) -> None:
        self._hear(event.value)
        self.refresh()

    def _taken(self, event: Any) -> None:
        self._hear_no_more(event.value)
        self.refresh()

    def _changed(self, event: Any = None) -> None:
        for pane in self.panes.values():
            pane.update()

    def _forget_clicks(self) -> None:
        if self._clicked in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._clicked)

    # -- what is shown ------------------------------------------------------------------------

    def _shown(self) -> Iterator[Any]:
        """Yield the layers that are drawn, undermost first; the copies that napari's grid needs are not.

        Side by side, a label map stands in the list below scans of other cells, which would cover it here.
        """
        grid = self.viewer.canvas.grid.enabled
        for layer in sorted(self.viewer.layers, key=lambda layer: grid and isinstance(layer, Labels)):
            origin = layer.metadata.get(METADATA_KEY)
            if can_be_cut(layer) and getattr(origin, "role", None) != COPY_ROLE:
                yield layer

    def _slices(self, plane: str) -> list[Slice]:
        point = self._point()
        found: list[Slice] = []
        for layer in self._shown():
            one = cut(layer, plane, point) if layer.visible else None
            if one is None:
                continue
            hides = one.smooth and one.opacity >= 1 and not one.additive
            found = [one] if hides and _covers(one, found) else [*found, one]
        return found

    def _point(self) -> np.ndarray:
        point = np.zeros(3)
        shown = np.asarray(self.viewer.dims.point[-3:], dtype=np.float64)
        point[3 - len(shown) :] = shown
        return point

    def _box(self) -> tuple[np.ndarray, np.ndarray] | None:
        extents = [layer.extent.world for layer in self._shown()]
        if not extents:
            return None
        return np.min([one[0] for one in extents], axis=0), np.max([one[1] for one in extents], axis=0)

    def _say(self, point: np.ndarray, *, known: bool) -> None:
        if not known:
            self._words.setText("Open a case to see it in three planes.")
            return
        position = position_words(self._view.scanner_position(point.tolist()).tolist())
        values = (html.escape(words) for words in value_words(self._shown(), point))
        self._words.setText(" &nbsp; ".join([f"<b>{position}</b>", *values]))

    # -- hands --------------------------------------------------------------------------------

    def _go_to(self, world: np.ndarray) -> None:
        first = self.viewer.dims.ndim - 3
        if first >= 0:
            self.viewer.dims.set_point(range(first, first + 3), tuple(float(value) for value in world))

    def _step(self, pane: PlanePane, by: int) -> None:
        first = self.viewer.dims.ndim - 3
        if first >= 0:
            axis = first + PLANES[pane.plane][0]
            self.viewer.dims.set_point(axis, self.viewer.dims.point[axis] + by * self.viewer.dims.range[axis].step)

    def _next_plane(self) -> None:
        order = tuple(axis - (self.viewer.dims.ndim - 3) for axis in self.viewer.dims.order[-3:])
        names = list(PLANES)
        now = next((name for name in names if PLANES[name] == order), names[-1])
        show_plane(self.viewer, names[(names.index(now) + 1) % len(names)])

    def _clicked(self, viewer: Any, event: Any) -> Iterator[None]:
        """Move the crosshair to a click in the large view, if it was no drag and no tool is in hand."""
        layer = viewer.layers.selection.active
        tool = layer is not None and str(layer.mode) not in ("pan_zoom", "transform")
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        if not dragged and not tool and viewer.dims.ndisplay == 2 and viewer.dims.ndim == 3:
            self._go_to(np.asarray(viewer.cursor.position, dtype=np.float64))

    def _mouse_moved(self, event: Any = None) -> None:
        if self._follow.isChecked() and self.isVisible() and self.viewer.dims.ndisplay == 2:
            position = np.asarray(self.viewer.cursor.position, dtype=np.float64)
            if len(position) == 3:
                self._go_to(position)


def _covers(one: Slice, others: list[Slice]) -> bool:
    return all(
        one.low[axis] <= other.low[axis] and one.high[axis] >= other.high[axis] for other in others for axis in (0, 1)
    )
