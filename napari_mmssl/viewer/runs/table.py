"""Runs as a table: one row per run folder. A Qt model without any view."""

import time
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_mmssl.viewer.runs.rows import RunRow, started_words

_ROOT = QModelIndex()
HEADS = ("run", "state", "step", "best", "what", "started", "where")


class RunTable(QAbstractTableModel):
    """Rows in the order in which they are given; :meth:`show` keeps selections where the same runs are there."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: list[RunRow] = []

    def show(self, rows: list[RunRow]) -> None:
        """Show ``rows``."""
        if [row.path for row in rows] == [row.path for row in self.rows]:
            if rows != self.rows:
                self.rows = rows
                self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(HEADS) - 1))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of runs."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column."""
        if role != Qt.ItemDataRole.DisplayRole or orientation == Qt.Orientation.Vertical:
            return None
        return HEADS[section]

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the words in a cell, or all about the run as a tooltip."""
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _word(row, HEADS[index.column()])
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(words for words in (str(row.path), row.about, row.best, row.reason) if words)
        return None


def _word(row: RunRow, head: str) -> str:
    words = {
        "run": row.path.name,
        "state": row.state,
        "step": f"{row.step} / {row.total}" if row.total else "",
        "best": row.best,
        "what": f"{row.kind} {row.about}".strip(),
        "started": started_words(row.started_s, time.time()),
        "where": row.host,
    }
    return words[head]
