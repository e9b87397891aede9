"""The Cases widget: find a cohort, see what is there and what is odd, open one case after the other."""

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableView,
)

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.viewer.anatomy import PLANES, position_words
from napari_mmssl.viewer.case_table import CaseTable
from napari_mmssl.viewer.case_view import CaseView
from napari_mmssl.viewer.orientation_letters import face_patient, show_plane
from napari_mmssl.viewer.panel import Panel
from napari_mmssl.viewer.reading import Opened, read_case

#: Cases kept in memory: the one shown and its neighbour on the way.
_KEPT = 2


class CasesWidget(Panel):
    """Choose a folder, see its cases, open them."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "mmssl_cases")
        self._view = CaseView(self.viewer)
        self._read: dict[str, Opened] = {}
        self._wanted: Case | None = None
        self._reading: set[str] = set()
        self._draw()
        self.session.cohort_changed.connect(self._show_cohort)
        self.session.case_changed.connect(self._mark)
        self.viewer.cursor.events.position.connect(self._say_position)
        self._show_cohort(self.session.cohort)
        self._mark(self.session.case)

    def open_cohort(self, folder: Path) -> None:
        """Find the cohort in ``folder`` on a thread and hand it to the session."""
        self._about.setText(f"looking through '{folder}' ...")
        self._choose.setEnabled(False)

        def find() -> Cohort:
            from napari_mmssl.cohorts.checks import check_cohort
            from napari_mmssl.cohorts.find import find_cohort

            return check_cohort(find_cohort(folder))

        self.in_thread(find, self._found, self._not_found)

    def open_case(self, case: Case) -> None:
        """Show ``case``; its files are read on a thread unless they were read ahead."""
        self._wanted = case
        if case.id in self._read:
            self._show_case(case)
            return
        self._about_case.setText(f"reading '{case.id}' ...")
        self._fetch(case)

    def step(self, by: int) -> None:
        """Open the case ``by`` rows on; nothing happens at the ends."""
        row = self._table.row_of(self._wanted or self.session.case) + by
        if 0 <= row < self._table.rowCount():
            self.open_case(self._table.case(row))

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._choose = self.part(
            QPushButton("Choose folder..."), "choose_folder", "A folder of cases, the folder of one case, or one file"
        )
        self._choose.clicked.connect(self._ask_folder)
        self.column.addWidget(self._choose)
        self._about = self.text("about_cohort", "No cohort yet. Choose a folder, or drop one on the window.")
        self._table = CaseTable(self)
        self._grid = self.part(QTableView(), "case_table", "Double-click or press Enter to open a case")
        self._grid.setModel(self._table)
        self._grid.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._grid.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._grid.verticalHeader().hide()
        self._grid.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._grid.horizontalHeader().setStretchLastSection(True)
        self._grid.setMinimumHeight(140)
        self._grid.activated.connect(lambda index: self.open_case(self._table.case(index.row())))
        self.column.addWidget(self._grid, 1)
        self._about_case = self.text("about_case")
        self._draw_steps()
        self._draw_view()
        self._position = self.text("cursor_position")
        self._position.setToolTip("Scanner position under the mouse, true also for tilted scans")

    def _draw_steps(self) -> None:
        row = QHBoxLayout()
        for text, name, by, tip in (
            ("◀ Previous", "previous_case", -1, "Open the case above (Alt+Left)"),
            ("Next ▶", "next_case", 1, "Open the case below (Alt+Right)"),
        ):
            button = self.part(QPushButton(text), name, tip)
            button.clicked.connect(lambda _checked=False, by=by: self.step(by))
            button.setShortcut("Alt+Left" if by < 0 else "Alt+Right")
            row.addWidget(button)
        self.column.addLayout(row)

    def _draw_view(self) -> None:
        row = QHBoxLayout()
        for plane in PLANES:
            button = self.part(QPushButton(plane.capitalize()), f"show_{plane}", f"Show the {plane} plane, head up")
            button.clicked.connect(lambda _checked=False, plane=plane: show_plane(self.viewer, plane))
            row.addWidget(button)
        self.column.addLayout(row)
        self._beside = self.part(
            QCheckBox("side by side"), "side_by_side", "Each sequence in a cell of its own, labels over every one"
        )
        self._beside.toggled.connect(self._arrange)
        self._convention = self.part(
            QComboBox(), "convention", "Radiological: the patient's right is on the left of the screen"
        )
        self._convention.addItems(["radiological", "neurological"])
        self._convention.setCurrentText(self.session.convention)
        self._convention.currentTextChanged.connect(lambda words: face_patient(self.viewer, words))
        row = QHBoxLayout()
        row.addWidget(self._beside)
        row.addWidget(self._convention)
        self.column.addLayout(row)

    # -- doing --------------------------------------------------------------------------------

    def _ask_folder(self) -> None:
        start = str(self.session.cohort.root) if self.session.cohort else ""
        folder = QFileDialog.getExistingDirectory(self, "Folder with cases", start)
        if folder:
            self.open_cohort(Path(folder))

    def _found(self, cohort: Cohort) -> None:
        self._choose.setEnabled(True)
        self.session.cohort = cohort

    def _not_found(self, sentence: str) -> None:
        self._choose.setEnabled(True)
        self._about.setText(sentence)

    def _show_cohort(self, cohort: Cohort | None) -> None:
        self._read.clear()
        self._table.show(cohort)
        if cohort is None:
            return
        count = f"{len(cohort.cases)} case{'s' if len(cohort.cases) != 1 else ''}"
        self._about.setText(f"<b>{cohort.root.name}</b>: {count}, layout <b>{cohort.layout}</b>")
        self._about.setToolTip("\n".join((str(cohort.root), *cohort.reasons)))

    def _fetch(self, case: Case) -> None:
        if case.id in self._reading or self.session.cohort is None:
            return
        self._reading.add(case.id)
        layout = self.session.cohort.layout
        self.in_thread(
            lambda: read_case(case, layout),
            lambda opened: self._fetched(case, opened),
            lambda sentence: self._not_fetched(case, sentence),
        )

    def _fetched(self, case: Case, opened: Opened) -> None:
        self._reading.discard(case.id)
        if self.session.cohort is None or case not in self.session.cohort.cases:
            return
        while len(self._read) >= _KEPT:
            self._read.pop(next(iter(self._read)))
        self._read[case.id] = opened
        if case is self._wanted:
            self._show_case(case)

    def _not_fetched(self, case: Case, sentence: str) -> None:
        self._reading.discard(case.id)
        self._about_case.setText(sentence)

    def _show_case(self, case: Case) -> None:
        opened, self._wanted = self._read.pop(case.id), None
        notes = self._view.show(opened)
        self.session.case = case
        for problem in opened.problems:
            show_warning(problem)
        self.tell([note for note in notes if note not in opened.problems])
        row = self._table.row_of(case) + 1
        if 0 < row < self._table.rowCount():
            # The neighbour is read while a person looks at this one.
            self._fetch(self._table.case(row))

    def _mark(self, case: Case | None) -> None:
        row = self._table.row_of(case)
        if case is None or row < 0:
            self._about_case.setText("")
            return
        self._grid.selectRow(row)
        findings = "; ".join(finding.text for finding in case.findings)
        self._about_case.setText(f"<b>{case.id}</b>" + (f": {findings}" if findings else ""))

    def _arrange(self, side_by_side: bool) -> None:
        if side_by_side:
            self._view.show_side_by_side()
        else:
            self._view.show_stacked()

    def _say_position(self, event: Any = None) -> None:
        layers = self._view.ours()
        if not layers or self.viewer.dims.ndim != 3 or not self.isVisible():
            return
        self._position.setText(position_words(self._view.scanner_position(self.viewer.cursor.position).tolist()))

    def keyPressEvent(self, event: Any) -> None:
        """Open the selected case with Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._grid.currentIndex().isValid():
            self.open_case(self._table.case(self._grid.currentIndex().row()))
            return
        super().keyPressEvent(event)
