"""Live curves of a run: one line per loss term above, metrics between 0 and 1 below."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyqtgraph as pg
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mmssl.tasks.conventions import PALETTE
from napari_mmssl.viewer.theming import text_colour

_TITLES = {"loss": "loss", "metric": "on unseen subjects"}


@dataclass
class Curve:
    """Values by step, ascending."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> None:
        """Append a value; a resumed run writes some steps anew, and the new ones count."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)


def curves_in(events: Iterable[dict[str, Any]], curves: dict[tuple[str, str], Curve]) -> None:
    """Add the losses and validation metrics in ``events`` to ``curves``, by ``("loss" | "metric", name)``."""
    for event in events:
        if event["kind"] == "step":
            values = {("loss", name): value for name, value in event.get("losses", {}).items()}
        elif event["kind"] == "validation":
            values = {("metric", name): value for name, value in event.get("metrics", {}).items()}
        else:
            continue
        for key, value in values.items():
            if value is not None:
                curves.setdefault(key, Curve()).add(event["step"], value)


class CurvesView(QWidget):
    """Two plots over the same steps, in the colours of the theme of ``viewer``, each under its legend."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setObjectName("curves")
        self.curves: dict[tuple[str, str], Curve] = {}
        self._viewer = viewer
        self._lines: dict[tuple[str, str], Any] = {}
        self._plots: dict[str, Any] = {}
        self._legends: dict[str, QLabel] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for kind, title in _TITLES.items():
            legend, plot = QLabel(f"<b>{title}</b>"), pg.PlotWidget(background=None)
            legend.setWordWrap(True)
            plot.setObjectName(f"plot_{kind}")
            plot.setMinimumHeight(110)
            plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
            plot.setMouseEnabled(x=True, y=False)
            layout.addWidget(legend)
            layout.addWidget(plot, 1)
            self._plots[kind], self._legends[kind] = plot, legend
        self._plots["metric"].setYRange(0, 1)
        self._plots["metric"].setXLink(self._plots["loss"])
        viewer.events.theme.connect(self._follow_theme)
        self._follow_theme()

    def clear(self) -> None:
        """Forget all curves."""
        for (kind, _), line in self._lines.items():
            self._plots[kind].removeItem(line)
        self.curves.clear()
        self._lines.clear()
        self._write_legends()

    def add(self, events: Iterable[dict[str, Any]]) -> None:
        """Add what is in ``events`` and draw it."""
        curves_in(events, self.curves)
        for key, curve in self.curves.items():
            if key[0] == "loss" or is_score(key[1], curve):
                line = self._lines.get(key) or self._new_line(key)
                line.setData(curve.steps, curve.values)

    def _new_line(self, key: tuple[str, str]) -> Any:
        colour = PALETTE[sum(other[0] == key[0] for other in self._lines) % len(PALETTE)]
        # Metrics are measured now and then; a dot marks each time.
        dots = {"symbol": "o", "symbolSize": 5, "symbolBrush": colour, "symbolPen": None} if key[0] == "metric" else {}
        line = self._plots[key[0]].plot(pen=pg.mkPen(colour, width=2), **dots)
        line.setDownsampling(auto=True, method="mean")
        line.setClipToView(True)
        self._lines[key] = line
        self._write_legends()
        return line

    def _write_legends(self) -> None:
        for kind, title in _TITLES.items():
            lines = {name: line for (of, name), line in self._lines.items() if of == kind}
            entries = [
                f'<span style="color:{line.opts["pen"].color().name()}">■</span>&nbsp;{words}'
                for line, words in zip(lines.values(), short_names(list(lines)), strict=True)
            ]
            self._legends[kind].setText("&nbsp; ".join([f"<b>{title}</b>", *entries]))

    def _follow_theme(self, event: Any = None) -> None:
        colour = text_colour(self._viewer)
        for plot in self._plots.values():
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(colour)
                plot.getAxis(side).setTextPen(colour)


def short_names(names: list[str]) -> list[str]:
    """Return ``names`` without the objective's name before the point, where there is only one objective."""
    if len({name.rpartition(".")[0] for name in names if "." in name}) == 1:
        names = [name.rpartition(".")[2] for name in names]
    return [name.replace("_", " ") for name in names]


def is_score(name: str, curve: Curve) -> bool:
    """Whether a metric says how good the network is, between 0 and 1; errors and losses would crowd those out."""
    if name.startswith("loss.") or name.endswith("error"):
        return False
    return 0 <= min(curve.values) <= max(curve.values) <= 1
