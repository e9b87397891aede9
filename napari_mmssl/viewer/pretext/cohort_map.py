"""A cohort as a map, made by a run's encoder, in the Pretext widget; a click on a point opens its case."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_mmssl.cohorts.case import Case
from napari_mmssl.errors import RunFailed
from napari_mmssl.viewer.parts.panel import Panel, beside
from napari_mmssl.viewer.parts.theming import keep_no_background, text_colour
from napari_mmssl.viewer.pretext.map_values import CohortMap
from napari_mmssl.viewer.runs.monitor import Launch, last_words
from napari_mmssl.viewer.runs.split_groups import groups_of
from napari_mmssl.workflows.launch import Job

_HEIGHT, _SIZE, _SIZE_IN_HAND = 230, 10, 16


class CohortMapView(QWidget):
    """A button that makes the map, the plot, and what its points are coloured by.

    Parameters
    ----------
    panel
        Whose session and threads are used.
    launch
        What starts a process.
    say
        Called with what came of it.
    """

    def __init__(self, panel: Panel, launch: Launch, say: Callable[[str], None]) -> None:
        super().__init__()
        self._panel, self._launch, self._say = panel, launch, say
        self._job: Job | None = None
        self._run: Path | None = None
        #: The map, once there is one.
        self.map: CohortMap | None = None
        self.make: QPushButton = panel.button(
            "Map the cohort",
            "map_cohort",
            "Put each case where this run's encoder has it, beside the cases it takes for alike; minutes for hundreds",
            self.start,
        )
        self._column = panel.part(QComboBox(), "map_colours", "What the points are coloured by")
        self._column.currentTextChanged.connect(lambda _words: self._draw())
        self._plot = pg.PlotWidget(background=None)
        keep_no_background(self._plot)
        panel.part(self._plot, "cohort_map", "Each point is a case; click one to open it")
        self._plot.setFixedHeight(_HEIGHT)
        self._plot.hideButtons()
        self._plot.setAspectLocked(True)
        # Principal components have no unit that says anything.
        for side in ("left", "bottom"):
            self._plot.hideAxis(side)
        self._points = pg.ScatterPlotItem(pxMode=True, hoverable=True, tip=None)
        self._points.sigClicked.connect(self._clicked)
        self._points.sigHovered.connect(self._hovered)
        self._plot.addItem(self._points)
        self._legend = QLabel()
        self._legend.setWordWrap(True)
        self._shown = QWidget()
        column = QVBoxLayout(self._shown)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(beside(QLabel("colours"), self._column, wide=self._column))
        column.addWidget(self._legend)
        column.addWidget(self._plot)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.make)
        column.addWidget(self._shown)
        self._shown.hide()
        panel.at_end(self._end)
        panel.listen(panel.viewer.events.theme, self.follow_theme)
        panel.listen(panel.session.case_changed, lambda _case: self._draw())
        panel.listen(panel.session.cohort_changed, lambda _cohort: self.forget())
        self.follow_theme()

    @property
    def active(self) -> bool:
        """Whether a map is being made."""
        return self._job is not None

    def set_run(self, run: Path | None) -> None:
        """Make maps with the encoder of ``run``; what another run made is forgotten."""
        if run != self._run:
            self.forget()
        self._run = run
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done."""
        self.make.setEnabled(self._run is not None and self._panel.session.cohort is not None and not self.active)

    def start(self) -> None:
        """Let ``mmssl embed`` make the map, in a process."""
        cohort, run = self._panel.session.cohort, self._run
        if cohort is None or run is None or self.active:
            return
        out = Path(tempfile.mkdtemp(prefix="mmssl-map-")) / "map.json"
        job = self._job = self._launch(["embed", str(cohort.root), "--weights", str(run), "--out", str(out)])

        def work() -> CohortMap:
            try:
                job.process.wait()
                failure = last_words(job)
                if failure is not None:
                    raise RunFailed(failure)
                return CohortMap(json.loads(out.read_text(encoding="utf-8")), groups_of(cohort, run)[0])
            finally:
                # It names cases and tells their clinical values.
                shutil.rmtree(out.parent, ignore_errors=True)

        self._say(f"encoding {len(cohort.cases)} cases ...")
        self.refresh()
        self._panel.in_thread(work, self.show_map, self._failed)

    def show_map(self, found: CohortMap) -> None:
        """Show ``found`` in place of the map shown before."""
        self._job, self.map = None, found
        self._column.blockSignals(True)
        self._column.clear()
        self._column.addItems(found.columns())
        self._column.blockSignals(False)
        self._shown.show()
        self._draw()
        x, y = found.explained
        self._say(
            f"{len(found.points)} cases; the plane shows {x + y:.0%} of how they differ. Click a point to open it."
        )
        self.refresh()
        # Below the fold on a small screen; laid out first.
        QTimer.singleShot(0, self._reveal)

    def _reveal(self) -> None:
        """Scroll to the map."""
        above = self.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if above is not None and self._shown.isVisible():
            above.ensureWidgetVisible(self._shown, 0, 0)

    def open_case(self, name: str) -> None:
        """Ask for the case ``name``, which the Cases widget opens."""
        cohort = self._panel.session.cohort
        cases: list[Case] = [] if cohort is None else [case for case in cohort.cases if case.id == name]
        if cases:
            self._panel.session.open_asked.emit(cases[0])

    def forget(self) -> None:
        """Take the map away."""
        self.map = None
        self._shown.hide()
        self.refresh()

    def _end(self) -> None:
        if self._job is not None:
            self._job.process.kill()

    def follow_theme(self, event: Any = None) -> None:
        """Take the colours of the viewer's theme."""
        self._draw()

    def _draw(self) -> None:
        found = self.map
        if found is None:
            return
        colours, legend = found.colours(self._column.currentText())
        case = self._panel.session.case
        in_hand = [case is not None and point.case == case.id for point in found.points]
        ring = text_colour(self._panel.viewer)
        self._points.setData(
            x=[point.x for point in found.points],
            y=[point.y for point in found.points],
            data=[point.case for point in found.points],
            brush=[pg.mkBrush(one) for one in colours],
            pen=[pg.mkPen(ring, width=2 if here else 0.5) for here in in_hand],
            size=[_SIZE_IN_HAND if here else _SIZE for here in in_hand],
        )
        entries = [f'<span style="color:{colour}">●</span>&nbsp;{value}' for value, colour in legend.items()]
        self._legend.setText("&nbsp; ".join(entries))

    def _clicked(self, _plot: Any, points: Any, _event: Any = None) -> None:
        if len(points):
            self.open_case(str(points[0].data()))

    def _hovered(self, _plot: Any, points: Any, _event: Any = None) -> None:
        if self.map is not None and len(points):
            self._plot.setToolTip(self.map.words(str(points[0].data()), self._column.currentText()))
            self._plot.setCursor(Qt.CursorShape.PointingHandCursor)
        else:
            self._plot.setToolTip("Each point is a case; click one to open it")
            self._plot.unsetCursor()

    def _failed(self, sentence: str) -> None:
        self._job = None
        self._say(sentence)
        self.refresh()
