"""The Runs widget: every run folder, at work or ended, here or on a shared disk; show, order, compare."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSplitter,
    QTableView,
)

from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import Order, RunFolder
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.parts.two_step_button import TwoStepButton
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.runs.comparison import RunComparison
from napari_mmssl.viewer.runs.curve_values import Curve
from napari_mmssl.viewer.runs.rows import RunReader, RunRow
from napari_mmssl.viewer.runs.table import RunTable
from napari_mmssl.viewer.runs.unanswered import Unanswered
from napari_mmssl.viewer.workspace import open_dock

#: How often folders are looked through while the table is seen.
_EVERY_MS = 3000
#: Of the first column, in pixels.
_NAME_WIDTH = 150
_NOTHING = (
    "No run in this folder yet. Runs that are started in the Train widget come here; choose another folder to see "
    "those of the command line or of another machine."
)

#: Rows, and the curves of those that are selected.
_Found = tuple[list[RunRow], dict[str, dict[tuple[str, str], Curve]]]


class RunsWidget(Panel):
    """A table of runs, buttons for the selected ones, and their curves in one plot."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "mmssl_runs")
        self._folder = runs_folder()
        self._reader, self._looking, self._again = RunReader(), False, False
        self._unanswered = Unanswered(self)
        self._unanswered.changed.connect(self._answered)
        self._draw()
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self.look)
        self.listen(self.viewer.events.theme, self._comparison.follow_theme)
        self._refresh()

    def set_folder(self, folder: Path) -> None:
        """Show the runs in ``folder`` and below it."""
        self._folder, self._reader = folder, RunReader()
        self._tell_folder()
        self.table.show([])
        self.look()

    def look(self) -> None:
        """Look through the folder on a thread; while a look goes on, what is asked meanwhile is looked at after it."""
        if self._looking:
            self._again = True
            return
        self._looking, self._again = True, False
        folder, reader, chosen = self._folder, self._reader, [row.path for row in self.selected()]

        def work() -> _Found:
            rows = reader.rows(folder)
            return rows, {path.name: dict(reader.curves(path)) for path in chosen}

        self.in_thread(work, lambda found: self._looked(folder, found), self._not_looked)

    def selected(self) -> list[RunRow]:
        """Return the selected runs, from top to bottom."""
        indices = self._view.selectionModel().selectedRows()
        return [self.table.rows[index.row()] for index in sorted(indices, key=lambda index: index.row())]

    def order(self, order: Order) -> None:
        """Leave an order for each selected run that is at work."""
        for row in self.selected():
            try:
                if row.at_work:
                    run = RunFolder.open(row.path)
                    run.request(order)
                    self._unanswered.wait_for(run, order)
            except MmsslError as error:
                show_error(str(error))
        self._say(f"asked to {order}; a run answers after its step")

    def resume(self) -> None:
        """Go on with the selected run, in a process that the Train widget watches."""
        (row,) = self.selected()
        open_dock(self.viewer, "Train")
        self.session.resume_asked.emit(row.path)

    def attach(self) -> None:
        """Show the selected run in the Train widget, with its whole curve."""
        (row,) = self.selected()
        # The dock first: a widget that is made by it can hear.
        open_dock(self.viewer, "Train")
        self.session.attach_asked.emit(row.path)

    def use(self) -> None:
        """Hand the selected run to the widgets that start from weights."""
        (row,) = self.selected()
        self.session.run = row.path
        show_info(f"'{row.path.name}' is offered as weights in Train, Pretext and Segment")

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        row = QHBoxLayout()
        self._folder_name = self.told("runs_folder", "no folder", "")
        self._tell_folder()
        choose = self.part(QPushButton("Folder..."), "choose_runs", "Look elsewhere, such as on a shared disk")
        choose.clicked.connect(self._ask_folder)
        row.addWidget(self._folder_name, 1)
        row.addWidget(choose)
        self.column.addLayout(row)
        self.table = RunTable(self)
        self._view = self.part(
            QTableView(), "run_table", "Select several to compare them; double-click shows one in Train"
        )
        self._view.setModel(self.table)
        self._view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._view.verticalHeader().hide()
        self._view.verticalHeader().setDefaultSectionSize(24)
        self._view.horizontalHeader().setResizeContentsPrecision(50)
        # The last heading is seen where its column reaches out of the dock.
        self._view.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self._view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        # Names are long and begin alike; their ends tell them apart, and the best value should be seen too.
        self._view.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self._view.horizontalHeader().resizeSection(0, _NAME_WIDTH)
        self._view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._view.setMinimumHeight(120)
        self._view.selectionModel().selectionChanged.connect(self._chosen)
        self.table.modelReset.connect(self._refresh)
        self._view.doubleClicked.connect(lambda _index: self.attach())
        self._comparison = RunComparison(self.viewer)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self._view)
        split.addWidget(self._comparison)
        split.setChildrenCollapsible(False)
        split.setSizes([180, 300])
        self._draw_buttons()
        self._about = self.text("about_run")
        self.column.addWidget(split, 1)

    def _draw_buttons(self) -> None:
        texts = (
            ("Show in Train", "attach", "Show curves, pictures and log, and give orders there", self.attach),
            ("Use as weights", "use_weights", "Offer it in Train, Pretext and Segment", self.use),
            ("Pause", "pause", "Write a checkpoint and end the process", lambda: self.order("pause")),
            ("Resume", "resume", "Go on from the last checkpoint", self.resume),
            ("Stop and keep", "stop", "End after this step and keep what was learned", lambda: self.order("stop")),
        )
        self._buttons: dict[str, QPushButton] = {}
        for words, name, tip, call in texts:
            self._buttons[name] = self.part(QPushButton(words), name, tip)
            self._buttons[name].clicked.connect(lambda _checked=False, call=call: call())
        cancel = TwoStepButton("Cancel and discard", "Really discard?")
        self._buttons["cancel"] = self.part(
            cancel, "cancel", "End it and drop what was learned; asks for a second click"
        )
        cancel.confirmed.connect(lambda: self.order("cancel"))
        grid = QGridLayout()
        for n, button in enumerate(self._buttons.values()):
            grid.addWidget(button, n // 2, n % 2)
        self.column.addLayout(grid)
        self._end = self.button(
            "End its process",
            "end_process",
            "It did not answer: end it at once; the last checkpoint stays whole",
            lambda: self._unanswered.end([row.path for row in self.selected() if row.path in self._unanswered.late]),
        )
        self.column.addWidget(self._end)
        self._end.hide()

    # -- following ----------------------------------------------------------------------------

    def _tell_folder(self) -> None:
        self._folder_name.setText(self._folder.name)
        self._folder_name.setToolTip(f"Runs in this folder and below it\n{self._folder}")

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder with runs", str(self._folder))
        if folder:
            self.set_folder(Path(folder))

    def _looked(self, folder: Path, found: _Found) -> None:
        self._looking = False
        if folder != self._folder or self._again:
            self.look()
        if folder != self._folder:
            return
        rows, curves = found
        before = {row.path for row in self.selected()}
        self.table.show(rows)
        self._select(before)
        self._comparison.show_runs(curves)
        self._refresh()

    def select(self, paths: Iterable[Path]) -> None:
        """Select these runs, and no others."""
        self._view.clearSelection()
        self._select(set(paths))

    def _select(self, paths: set[Path]) -> None:
        """Select the rows of ``paths`` again where the table was made anew."""
        selection = self._view.selectionModel()
        if paths and not selection.hasSelection():
            flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
            for n, row in enumerate(self.table.rows):
                if row.path in paths:
                    selection.select(self.table.index(n, 0), flags)

    def _not_looked(self, sentence: str) -> None:
        self._looking = False
        self._say(sentence)

    def _chosen(self, *_selections: Any) -> None:
        self._refresh()
        self.look()

    def _refresh(self) -> None:
        rows = self.selected()
        one, at_work = len(rows) == 1, any(row.at_work for row in rows)
        usable = one and rows[0].kind in ("pretrain", "finetune") and rows[0].state in ("done", "stopped")
        can_resume = one and rows[0].kind in ("pretrain", "finetune") and not at_work
        states = {
            "attach": one,
            "use_weights": usable,
            "resume": can_resume and rows[0].state not in ("done", "cancelled", "unreadable"),
            "pause": at_work,
            "stop": at_work,
            "cancel": at_work,
        }
        self._end.setVisible(any(row.path in self._unanswered.late for row in rows))
        for name, enabled in states.items():
            self._buttons[name].setEnabled(enabled)
        if not self.table.rows:
            self._say(_NOTHING)
        elif one:
            self._say(rows[0].reason or f"{rows[0].path.name}: {rows[0].state}")
        else:
            self._say(f"{len(rows)} runs compared" if rows else "")

    def _answered(self, sentence: str) -> None:
        # The line below the buttons is written anew at each look.
        self.tell([sentence])
        self._refresh()
        self.look()

    def _say(self, words: str) -> None:
        self._about.setText(words)

    def showEvent(self, event: Any) -> None:
        """Look at once, and then now and then while it is seen."""
        super().showEvent(event)
        self._timer.start()
        self.look()

    def hideEvent(self, event: Any) -> None:
        """Look no more while nobody sees it."""
        self._timer.stop()
        super().hideEvent(event)
