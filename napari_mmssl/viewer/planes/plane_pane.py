"""One anatomical plane on the screen: slices in true millimetres, letters at the edges, a crosshair to drag."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QTransform
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_mmssl.viewer.layers.anatomy import PLANES, edge_letters
from napari_mmssl.viewer.planes.slices import Slice

#: Bright on every grey and none of the colours that classes get.
CROSSHAIR = "#00ffff"
#: Scans are read on black, whatever the theme: a white surround hides faint lesions.
_BACKGROUND, _INK = "#000000", "#ffffff"
_MARGIN = 4
#: Left free around the point, so that what is looked at is seen, in pixels.
_GAP = 8
_MOST_ZOOM = 20.0
_NOTCH = 120


class PlanePane(QWidget):
    """Shows the slices it is given around a point, and says where a person points.

    Coordinates are napari's ``(S, A, R)`` in mm. The patient faces as the viewer's camera says.
    """

    #: Another point was chosen in this plane: ``(S, A, R)``.
    pointed = Signal(object)
    #: The person asks for another slice: this many on.
    stepped = Signal(int)

    def __init__(self, plane: str, slices: Callable[[str], Sequence[Slice]]) -> None:
        super().__init__()
        self.setObjectName(f"pane_{plane}")
        self.plane = plane
        self._slices = slices
        self._point = np.zeros(3)
        self._box: tuple[np.ndarray, np.ndarray] | None = None
        self._senses = ("up", "left")
        self._zoom, self._shift = 1.0, np.zeros(2)
        self._grabbed: QPointF | None = None
        self.setMinimumSize(110, 110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip(
            f"The {plane} plane. Click or drag: move the crosshair. Wheel or Up/Down: next slice. Ctrl+wheel: zoom. "
            "Right drag: shift. Double-click: fit"
        )

    def show_at(self, point: np.ndarray, box: tuple[np.ndarray, np.ndarray] | None, senses: tuple[str, str]) -> None:
        """Draw around ``point``; ``box`` is what is fitted into the pane, ``senses`` where the axes grow to."""
        self._point, self._box, self._senses = point, box, senses
        self.update()

    def world_at(self, position: QPointF) -> np.ndarray:
        """Return the point ``(S, A, R)`` that is drawn at a place of the widget."""
        inverse, _ = self._transform().inverted()
        mapped = inverse.map(position)
        world = self._point.copy()
        _, vertical, horizontal = PLANES[self.plane]
        world[vertical], world[horizontal] = mapped.y(), mapped.x()
        return world

    def place_of(self, world: np.ndarray) -> QPointF:
        """Return where a point ``(S, A, R)`` is drawn."""
        _, vertical, horizontal = PLANES[self.plane]
        return self._transform().map(QPointF(world[horizontal], world[vertical]))

    # -- drawing ------------------------------------------------------------------------------

    def _transform(self) -> QTransform:
        """Return the map from (horizontal, vertical) millimetres to pixels of the widget."""
        axes = list(PLANES[self.plane][1:])
        low, high = (np.zeros(2), np.ones(2)) if self._box is None else (self._box[0][axes], self._box[1][axes])
        size = np.maximum(high - low, 1e-6)
        room = np.array([self.height(), self.width()]) - 2 * _MARGIN
        pixels_per_mm = max(1e-6, float((room / size).min())) * self._zoom
        centre = (low + high) / 2 + self._shift
        transform = QTransform()
        transform.translate(self.width() / 2, self.height() / 2)
        up, right = (-1 if self._senses[0] == "up" else 1), (1 if self._senses[1] == "right" else -1)
        transform.scale(right * pixels_per_mm, up * pixels_per_mm)
        transform.translate(-centre[1], -centre[0])
        return transform

    def paintEvent(self, event: Any) -> None:
        """Draw slices, letters and crosshair."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(_BACKGROUND))
        if self._box is not None:
            painter.setTransform(self._transform())
            for one in self._slices(self.plane):
                _draw_slice(painter, one)
            painter.resetTransform()
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
            painter.setOpacity(1.0)
            self._draw_crosshair(painter)
            self._draw_letters(painter)
        if self.hasFocus():
            painter.setPen(QPen(QColor(_INK), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_crosshair(self, painter: QPainter) -> None:
        at = self.place_of(self._point)
        x, y = at.x(), at.y()
        painter.setPen(QPen(QColor(CROSSHAIR), 1))
        for x0, y0, x1, y1 in (
            (0, y, x - _GAP, y),
            (x + _GAP, y, self.width(), y),
            (x, 0, x, y - _GAP),
            (x, y + _GAP, x, self.height()),
        ):
            painter.drawLine(QPointF(x0, y0), QPointF(x1, y1))

    def _draw_letters(self, painter: QPainter) -> None:
        letters = edge_letters(PLANES[self.plane][1:], *self._senses)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        inside = QRectF(self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN))
        flags = Qt.AlignmentFlag
        where = {
            "top": flags.AlignHCenter | flags.AlignTop,
            "bottom": flags.AlignHCenter | flags.AlignBottom,
            "left": flags.AlignVCenter | flags.AlignLeft,
            "right": flags.AlignVCenter | flags.AlignRight,
        }
        for edge, letter in letters.items():
            self._write(painter, inside, where[edge], letter)
        font.setBold(False)
        painter.setFont(font)
        self._write(painter, inside, flags.AlignLeft | flags.AlignTop, self.plane)

    def _write(self, painter: QPainter, inside: QRectF, where: Any, words: str) -> None:
        # A shadow of the background keeps the words readable over bright tissue.
        painter.setPen(QColor(_BACKGROUND))
        for dx, dy in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
            painter.drawText(inside.translated(dx, dy), int(where), words)
        painter.setPen(QColor(_INK))
        painter.drawText(inside, int(where), words)

    # -- hands --------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:
        """Move the crosshair here, or take hold of the picture."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.pointed.emit(self.world_at(event.position()))
        elif event.button() == Qt.MouseButton.RightButton:
            self._grabbed = event.position()

    def mouseMoveEvent(self, event: Any) -> None:
        """Drag the crosshair, or the picture."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.pointed.emit(self.world_at(event.position()))
        elif event.buttons() & Qt.MouseButton.RightButton and self._grabbed is not None:
            axes = list(PLANES[self.plane][1:])
            moved = self.world_at(event.position()) - self.world_at(self._grabbed)
            self._shift = self._shift - moved[axes]
            self._grabbed = event.position()
            self.update()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Fit the picture into the pane again."""
        self._zoom, self._shift = 1.0, np.zeros(2)
        self.update()

    def wheelEvent(self, event: Any) -> None:
        """Go to another slice, or zoom around the mouse with Ctrl."""
        turns = event.angleDelta().y() / _NOTCH
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            axes = list(PLANES[self.plane][1:])
            before = self.world_at(event.position())[axes]
            self._zoom = float(np.clip(self._zoom * 1.2**turns, 1.0, _MOST_ZOOM))
            self._shift = self._shift + before - self.world_at(event.position())[axes]
            self.update()
        elif turns:
            self.stepped.emit(1 if turns > 0 else -1)
        event.accept()

    def keyPressEvent(self, event: Any) -> None:
        """Go to another slice with the arrow and page keys."""
        keys = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageUp: 5, Qt.Key.Key_PageDown: -5}
        if event.key() in keys:
            self.stepped.emit(keys[event.key()])
        else:
            super().keyPressEvent(event)


def _draw_slice(painter: QPainter, one: Slice) -> None:
    rgba = np.ascontiguousarray(one.rgba)
    rows, columns = rgba.shape[:2]
    image = QImage(rgba.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
    modes = QPainter.CompositionMode
    painter.setCompositionMode(modes.CompositionMode_Plus if one.additive else modes.CompositionMode_SourceOver)
    painter.setOpacity(one.opacity)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, one.smooth)
    target = QRectF(one.low[1], one.low[0], one.high[1] - one.low[1], one.high[0] - one.low[0])
    painter.drawImage(target, image)
