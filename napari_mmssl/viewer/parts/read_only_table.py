"""A table to read: names to the left, numbers to the right, an explained heading over each column."""

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

#: Of each row, in pixels.
ROW_HEIGHT = 24
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ReadOnlyTable(QTableWidget):
    """Rows of words that a person selects as a whole.

    Parameters
    ----------
    heads
        For each column its heading and what that means; an empty heading is a column of colour patches.
    name
        The column that holds names: it takes the room that is left and stands to the left. Without one, all share
        the room.
    """

    def __init__(self, heads: Sequence[tuple[str, str]], name: int | None = None) -> None:
        super().__init__(0, len(heads))
        self._name = name
        self._patches = {column for column, (words, _) in enumerate(heads) if not words}
        self.setHorizontalHeaderLabels([words for words, _ in heads])
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        mode = QHeaderView.ResizeMode
        header.setSectionResizeMode(mode.Stretch if name is None else mode.ResizeToContents)
        for column, (_, tip) in enumerate(heads):
            self.horizontalHeaderItem(column).setToolTip(tip)
            if column in self._patches:
                header.setSectionResizeMode(column, mode.ResizeToContents)
        if name is not None:
            header.setSectionResizeMode(name, mode.Stretch)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)

    def add_row(self, words: Sequence[str], *, tip: str = "") -> None:
        """Add a row below; in a column of patches, ``words`` holds a colour such as ``#d55e00``, or nothing."""
        row = self.rowCount()
        self.insertRow(row)
        for column, word in enumerate(words):
            patch = column in self._patches
            item = QTableWidgetItem("■" if patch and word else "" if patch else word)
            item.setToolTip(tip)
            if patch and word:
                item.setForeground(QColor(word))
            elif not patch and column != self._name:
                item.setTextAlignment(_RIGHT)
            self.setItem(row, column, item)

    def height_of(self, rows: int) -> int:
        """Return how high the table is with so many rows, in pixels."""
        return int(self.horizontalHeader().sizeHint().height()) + rows * ROW_HEIGHT + 4

    def forget_rows(self) -> None:
        """Empty the table."""
        self.setRowCount(0)
