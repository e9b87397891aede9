"""Several runs in one plot: the same quantity of each, over the steps."""

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_mmssl.viewer.runs.curve_values import Curve
from napari_mmssl.viewer.runs.curves import plot_controls
from napari_mmssl.viewer.runs.lines_plot import LinesPlot

Key = tuple[str, str]
_FIRST: tuple[Key, ...] = (("metric", "dice"), ("metric", "tile_accuracy"), ("metric", "loss.total"), ("loss", "total"))


class RunComparison(QWidget):
    """A plot with a choice of what to compare: what the runs at hand have measured."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setObjectName("comparison")
        self._runs: dict[str, dict[Key, Curve]] = {}
        self._plot = LinesPlot(viewer, "plot_comparison", "")
        self._quantity = QComboBox()
        self._quantity.setObjectName("quantity")
        self._quantity.setToolTip("What is compared")
        self._quantity.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._quantity.setMinimumContentsLength(8)
        self._quantity.currentIndexChanged.connect(self._draw)
        row = QHBoxLayout()
        row.addWidget(QLabel("compare"))
        row.addWidget(self._quantity, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(plot_controls(self._plot))
        column.addWidget(self._plot, 1)

    @property
    def shown(self) -> dict[str, Curve]:
        """The curves in the plot, by the name of their run."""
        key = self._quantity.currentData()
        return {name: curves[key] for name, curves in self._runs.items() if key in curves}

    def show_runs(self, runs: Mapping[str, Mapping[Key, Curve]]) -> None:
        """Compare these; the quantity chosen before stays chosen if one of them has it."""
        self._runs = {name: dict(curves) for name, curves in runs.items()}
        keys = sorted({key for curves in self._runs.values() for key in curves}, key=_rank)
        if keys != [self._quantity.itemData(n) for n in range(self._quantity.count())]:
            before = self._quantity.currentData()
            self._quantity.blockSignals(True)
            self._quantity.clear()
            for kind, name in keys:
                where = "loss, " if kind == "loss" else "on unseen subjects, "
                self._quantity.addItem(where + name.replace("_", " "), (kind, name))
            self._quantity.setCurrentIndex(max(0, keys.index(before) if before in keys else 0))
            self._quantity.blockSignals(False)
        self._draw()

    def follow_theme(self, event: Any = None) -> None:
        """Take the colours of the viewer's theme."""
        self._plot.follow_theme()

    def _draw(self, _row: int = 0) -> None:
        self._plot.show_curves(self.shown)


def _rank(key: Key) -> tuple[int, Key]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST)), key
