"""A plot of curves over steps, with its legend above it, in the colours of napari's theme."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mmssl.viewer.parts.theming import is_dark, keep_no_background, text_colour
from napari_mmssl.viewer.runs.curve_values import Curve, smoothed

#: Okabe and Ito's colours, which the colour-blind tell apart too; on white, yellow and sky blue are darkened.
_ON_DARK = ("#56b4e9", "#e69f00", "#2fc79b", "#cc79a7", "#f0e442", "#ff7f3f", "#7f9fff", "#bbbbbb")
_ON_LIGHT = ("#0072b2", "#b87500", "#007a58", "#a8427f", "#7d7400", "#d55e00", "#3344cc", "#555555")
#: Further lines repeat the colours in another style.
_STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)
#: How strong the values themselves are drawn behind their smoothed line, of 255.
_FAINT = 70


class LinesPlot(QWidget):
    """Draws the curves it is given; each keeps its colour for as long as it is shown.

    Parameters
    ----------
    viewer
        Whose theme is followed.
    name
        Object name of the plot.
    title
        What stands before the legend.
    dots
        Mark each value, for what is measured now and then.
    share
        Whether values lie between 0 and 1.
    """

    def __init__(self, viewer: Any, name: str, title: str, *, dots: bool = False, share: bool = False) -> None:
        super().__init__()
        self._viewer, self._title, self._dots, self._share = viewer, title, dots, share
        self._curves: dict[str, Curve] = {}
        self._lines: dict[str, tuple[Any, Any]] = {}
        self._over, self._log = 1, False
        self.legend, self.plot = QLabel(), pg.PlotWidget(background=None)
        keep_no_background(self.plot)
        self.legend.setWordWrap(True)
        self.plot.setObjectName(name)
        self.plot.setMinimumHeight(110)
        self.plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.plot.setMouseEnabled(x=True, y=False)
        self.plot.hideButtons()
        self.plot.setToolTip("Wheel: zoom along the steps. Drag: shift. Right click: more, such as export")
        if share:
            self.plot.setYRange(0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.legend)
        column.addWidget(self.plot, 1)
        self.follow_theme()

    def show_curves(self, curves: Mapping[str, Curve]) -> None:
        """Draw these, and nothing else."""
        gone = [name for name in self._lines if name not in curves]
        for name in gone:
            for line in self._lines.pop(name):
                self.plot.removeItem(line)
        self._curves = dict(curves)
        new = [name for name in curves if name not in self._lines]
        self._lines |= {name: (self._new_line(), self._new_line()) for name in new}
        if new or gone:
            self._dress()
        self._redraw()

    def set_smoothing(self, over: int) -> None:
        """Draw the mean over so many steps; the values themselves stand faintly behind it."""
        self._over = over
        self._redraw()

    def set_log(self, log: bool) -> None:
        """Draw logarithms; what is not above 0 is left out."""
        self._log = log and not self._share
        self.plot.setLogMode(y=self._log)
        self._redraw()

    def follow_theme(self, event: Any = None) -> None:
        """Take the colours of the viewer's theme."""
        colour = text_colour(self._viewer)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(colour)
        self._dress()

    def _dress(self) -> None:
        """Give each line its colour, and the legend its words; only what changed is drawn at each new value."""
        palette = _ON_DARK if is_dark(self._viewer) else _ON_LIGHT
        entries = []
        for n, (name, (raw, line)) in enumerate(self._lines.items()):
            colour, style = palette[n % len(palette)], _STYLES[n // len(palette) % len(_STYLES)]
            faint = QColor(colour)
            faint.setAlpha(_FAINT)
            raw.setPen(pg.mkPen(faint, width=1))
            line.setPen(pg.mkPen(colour, width=2, style=style))
            if self._dots:
                line.setSymbolBrush(colour)
            entries.append(f'<span style="color:{colour}">■</span>&nbsp;{name}')
        self.legend.setText("&nbsp; ".join([f"<b>{self._title}</b>", *entries] if self._title else entries))
        self._give_room()

    def _new_line(self) -> Any:
        dots = {"symbol": "o", "symbolSize": 5, "symbolPen": None} if self._dots else {}
        line = self.plot.plot(**dots)
        line.setDownsampling(auto=True, method="mean")
        line.setClipToView(True)
        return line

    def _redraw(self) -> None:
        for name, (raw, line) in self._lines.items():
            self._draw(raw, line, self._curves[name])
        # What the legend needs is not known before it was shown once.
        self._give_room()

    def resizeEvent(self, event: Any) -> None:
        """Keep the whole legend seen in a narrow dock."""
        super().resizeEvent(event)
        self._give_room()

    def _give_room(self) -> None:
        # A layout may take lines away from text that wraps; the plot shall give way instead.
        self.legend.setMinimumHeight(max(0, self.legend.heightForWidth(self.width())))

    def _draw(self, raw: Any, line: Any, curve: Curve) -> None:
        values = np.asarray(curve.values, dtype=np.float64)
        over = 1 if self._dots else self._over
        mean = smoothed(values, over)
        if self._log:
            values, mean = (np.where(one > 0, one, np.nan) for one in (values, mean))
        if over > 1 or raw.xData is not None:
            raw.setData(curve.steps if over > 1 else [], values if over > 1 else [], connect="finite")
        line.setData(curve.steps, mean, connect="finite")
