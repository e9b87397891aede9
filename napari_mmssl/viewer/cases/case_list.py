"""The cohort's table with its filters: by words, by what was found, by the part of the split."""

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QModelIndex, QSortFilterProxyModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QLineEdit, QStyledItemDelegate, QTableView

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.viewer.cases.case_table import CaseTable
from napari_mmssl.viewer.parts.panel import Panel

ALL, WITH_LABEL, WITHOUT_LABEL, WITH_FINDINGS, COMPLETE = (
    "all cases",
    "with a label",
    "without a label",
    "with findings",
    "with all modalities",
)
#: Widths of columns are taken from so many rows.
_MEASURED_ROWS = 50
#: Of columns, in pixels: beside their words, and the least and the most for names and for findings.
_MARGIN, _LEAST_NAME, _LEAST_FINDINGS, _WIDEST = 10, 84, 34, 150
#: In a column no wider than this, nothing is read of the words of a finding.
_LEAST_WORDS = 60
GROUPS = ("train", "validation", "test")


class _Filter(QSortFilterProxyModel):
    """Rows of a :class:`CaseTable` that fit the words and the choice."""

    def __init__(self, table: CaseTable) -> None:
        super().__init__(table)
        self.words, self.choice = "", ALL
        self._table = table
        self.setSourceModel(table)
        self.setSortCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

    def set(self, words: str, choice: str) -> None:
        """Show what fits."""
        self.words, self.choice = words.lower().strip(), choice
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Whether the case in ``row`` fits."""
        case = self._table.case(row)
        if self.choice in GROUPS and self._table.group(row) != self.choice:
            return False
        fits = {
            WITH_LABEL: case.label is not None,
            WITHOUT_LABEL: case.label is None,
            WITH_FINDINGS: bool(self._table.findings(case)),
            COMPLETE: len(case.modalities) == len(self._table.heads) - 4,
        }
        return fits.get(self.choice, True) and (not self.words or self.words in self._searched(case))

    def _searched(self, case: Case) -> str:
        found = (f"{finding.kind.replace('_', ' ')} {finding.text}" for finding in self._table.findings(case))
        clinical = (f"{name} {value}" for name, value in case.clinical.items())
        return " ".join((case.id, case.subject, *case.modalities, *clinical, *found)).lower()


class _CountOrWords(QStyledItemDelegate):
    """Draws findings such as ``2: empty label; phantom``, and where nothing of the words is seen, their number."""

    def initStyleOption(self, option: Any, index: QModelIndex) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight
        if option.rect.width() <= _LEAST_WORDS:
            option.text = option.text.partition(":")[0]


class CaseList(QTableView):
    """Cases as they are filtered and sorted; :meth:`add_filters` draws what filters them."""

    #: A case was asked for.
    chosen = Signal(object)
    #: Other rows are shown.
    refiltered = Signal()

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        panel.part(self, "case_table", "Double-click or press Enter to open a case; click a heading to sort")
        self.table = CaseTable(self)
        self._filter = _Filter(self.table)
        self.setModel(self._filter)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSortingEnabled(True)
        # Four modalities, label and split are seen in a narrow dock.
        self.horizontalHeader().setStyleSheet("QHeaderView::section { padding: 0px; }")
        self.horizontalHeader().setMinimumSectionSize(20)
        self.horizontalHeader().setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        self.verticalHeader().hide()
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self._findings_delegate = _CountOrWords(self)
        self._widths = [0] * len(self.table.heads)
        self.table.modelReset.connect(self._measure)
        self.table.dataChanged.connect(lambda *_: self._measure())
        self.horizontalHeader().setStretchLastSection(True)
        self.verticalHeader().setDefaultSectionSize(24)
        self.setMinimumHeight(140)
        self.activated.connect(lambda index: self.chosen.emit(self._case(index)))
        self._words = panel.part(QLineEdit(), "filter", "Show only cases with these words in name, values or findings")
        self._words.setPlaceholderText("filter ...")
        self._words.setClearButtonEnabled(True)
        self._words.textChanged.connect(self._refilter)
        self._choice = panel.part(QComboBox(), "filter_choice", "Show only some of the cases")
        # The longest choice is read without opening the list.
        self._choice.setMinimumContentsLength(12)
        self._choice.addItems([ALL, WITH_LABEL, WITHOUT_LABEL, WITH_FINDINGS, COMPLETE, *GROUPS])
        self._choice.currentTextChanged.connect(self._refilter)

    def add_filters(self, panel: Panel) -> None:
        """Add the fields of the filter to the column of ``panel``."""
        panel.row(self._words, self._choice)

    def show_cohort(self, cohort: Cohort | None, groups: Mapping[str, str]) -> None:
        """Show ``cohort``, or nothing."""
        self.table.show(cohort, groups)

    def cases(self) -> list[Case]:
        """Return the cases as they are shown, from top to bottom."""
        return [self._case(self._filter.index(row, 0)) for row in range(self._filter.rowCount())]

    def neighbour(self, case: Case | None, by: int) -> Case | None:
        """Return the case ``by`` rows below ``case``, or ``None`` at the ends; from nowhere, the first."""
        row = self._row(case)
        wanted = 0 if row < 0 else row + by
        return self._case(self._filter.index(wanted, 0)) if 0 <= wanted < self._filter.rowCount() else None

    def place_words(self, case: Case) -> str:
        """Return where ``case`` stands, such as ``3 of 12``."""
        row = self._row(case)
        return f"{row + 1} of {self._filter.rowCount()}" if row >= 0 else "not in the filtered list"

    def mark(self, case: Case | None) -> None:
        """Select the row of ``case``, if it is shown."""
        row = self._row(case)
        if row >= 0:
            self.selectRow(row)

    def keyPressEvent(self, event: Any) -> None:
        """Open the selected case with Enter."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.chosen.emit(self._case(self.currentIndex()))
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: Any) -> None:
        """Share the new width among the columns."""
        super().resizeEvent(event)
        self._share_width()

    def _measure(self) -> None:
        """Note how wide the words of each column are; the last holds the findings."""
        for column in range(len(self.table.heads)):
            last = column == len(self.table.heads) - 1
            self.setItemDelegateForColumn(column, self._findings_delegate if last else None)
        measure = self.fontMetrics().horizontalAdvance
        # Measuring all words of ten thousand rows would block the window.
        rows = range(min(self.table.rowCount(), _MEASURED_ROWS))
        self._widths = []
        for column, head in enumerate(self.table.heads):
            words = [head, *(self.table.index(row, column).data() for row in rows)]
            self._widths.append(min(max(map(measure, words)) + _MARGIN, _WIDEST))
        self._share_width()

    def _share_width(self) -> None:
        """Give each column the width of its words; where there is less, names and findings are cut."""
        name, *others, findings = self._widths
        room = self.viewport().width() - sum(others)
        findings = max(min(findings, room - name), min(findings, _LEAST_FINDINGS))
        name = max(min(name, room - findings), min(name, _LEAST_NAME))
        for column, width in enumerate((name, *others, findings)):
            self.setColumnWidth(column, width)

    def _case(self, index: QModelIndex) -> Case:
        return self.table.case(self._filter.mapToSource(index).row())

    def _row(self, case: Case | None) -> int:
        row = self.table.row_of(case)
        return -1 if row < 0 else int(self._filter.mapFromSource(self.table.index(row, 0)).row())

    def _refilter(self, _words: str = "") -> None:
        self._filter.set(self._words.text(), self._choice.currentText())
        self.refiltered.emit()
