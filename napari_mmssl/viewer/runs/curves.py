"""Live curves of a run: one line per loss term above, metrics between 0 and 1 below; smoothed or logarithmic."""

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_mmssl.viewer.runs.curve_values import Curve, curves_in, is_score, short_names
from napari_mmssl.viewer.runs.lines_plot import LinesPlot

SMOOTHINGS = {"each step": 1, "10 steps": 10, "50 steps": 50, "200 steps": 200}

#: So many values are drawn anew at most every two seconds.
_MANY, _MANY_MS = 20_000, 2000


class CurvesView(QWidget):
    """Two plots over the same steps, in the colours of the theme of ``viewer``, each under its legend."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setObjectName("curves")
        self.curves: dict[tuple[str, str], Curve] = {}
        self._losses = LinesPlot(viewer, "plot_loss", "loss")
        self._metrics = LinesPlot(viewer, "plot_metric", "on unseen subjects", dots=True, share=True)
        self._metrics.plot.setXLink(self._losses.plot)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(plot_controls(self._losses))
        column.addWidget(self._losses, 1)
        column.addWidget(self._metrics, 1)
        # Long curves take tens of milliseconds to draw; they are drawn less often, and not while nobody sees them.
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)
        #: What has new values that are not drawn.
        self._stale = {"loss", "metric"}
        self._redraw()

    def clear(self) -> None:
        """Forget all curves."""
        self.curves.clear()
        self._stale = {"loss", "metric"}
        self._redraw()

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Add what is in ``events`` and draw it, many values a little later."""
        self._stale |= {kind for kind, _ in curves_in(events, self.curves)}
        if not self._stale or not self.isVisible() or self._timer.isActive():
            return
        if sum(len(curve.steps) for curve in self.curves.values()) > _MANY:
            self._timer.start(_MANY_MS)
        else:
            self._redraw()

    def showEvent(self, event: Any) -> None:
        """Draw what came while it was not seen."""
        super().showEvent(event)
        self._redraw()

    def follow_theme(self, event: Any = None) -> None:
        """Take the colours of the viewer's theme."""
        self._losses.follow_theme()
        self._metrics.follow_theme()

    def _redraw(self) -> None:
        stale, self._stale = self._stale, set()
        for plot, wanted in ((self._losses, "loss"), (self._metrics, "metric")):
            if wanted in stale:
                found = {name: curve for (kind, name), curve in self.curves.items() if kind == wanted}
                if wanted == "metric":
                    found = {name: curve for name, curve in found.items() if is_score(name, curve)}
                plot.show_curves(dict(zip(short_names(list(found)), found.values(), strict=True)))


def plot_controls(plot: LinesPlot) -> QHBoxLayout:
    """Return a row with the smoothing and the scale of ``plot``."""
    smoothing, log = QComboBox(), QCheckBox("log")
    smoothing.setObjectName("smoothing")
    smoothing.setToolTip("Draw the mean over so many steps; the values themselves stay faintly behind it")
    smoothing.addItems(list(SMOOTHINGS))
    smoothing.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    smoothing.setMinimumContentsLength(4)
    smoothing.currentTextChanged.connect(lambda words: plot.set_smoothing(SMOOTHINGS[words]))
    log.setObjectName("log_scale")
    log.setToolTip("Draw the logarithm of the losses; what is not above 0 is left out")
    log.toggled.connect(plot.set_log)
    row = QHBoxLayout()
    row.addWidget(QLabel("mean of"))
    row.addWidget(smoothing, 1)
    row.addWidget(log)
    return row
