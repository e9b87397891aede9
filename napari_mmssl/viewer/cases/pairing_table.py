"""Which file is what, as a table that a person corrects. A Qt model without any view."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QFont

from napari_mmssl.cohorts.manifest_file import LEFT_OUT

_ROOT = QModelIndex()
HEADS = ("case", "role", "modality", "path", "subject", "reason")
_EDITABLE = ("case", "role", "modality", "subject")
_WHY = {"case": "Which case the file belongs to", "subject": "The person; two sessions of one person share it"}


class PairingTable(QAbstractTableModel):
    """Rows of a manifest; what a person changes is bold and kept apart from what was found."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows = list(rows)
        self._changed: dict[tuple[int, str], str] = {}

    @property
    def n_changed(self) -> int:
        """How many cells were changed."""
        return len(self._changed)

    def corrected(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return ``rows``, which are those of the table for another place of the manifest, with the changes."""
        out = [dict(row) for row in rows]
        for (row, head), value in self._changed.items():
            out[row][head] = value
            if head == "role" and value == LEFT_OUT:
                out[row]["modality"] = ""
        for row in {row for row, _ in self._changed}:
            out[row]["reason"] = "corrected by hand"
        return out

    def problems(self) -> list[str]:
        """Return what would be refused, one sentence each."""
        met = Counter(
            (self.value(row, "case"), self.value(row, "modality") or "label")
            for row in range(len(self._rows))
            if self.value(row, "role") != LEFT_OUT and self.value(row, "path")
        )
        doubled = [f"case '{case}' has {count} files for {name}" for (case, name), count in met.items() if count > 1]
        unnamed = [
            f"'{self.value(row, 'path')}' is a modality without a name"
            for row in range(len(self._rows))
            if self.value(row, "role") == "modality" and self.value(row, "path") and not self.value(row, "modality")
        ]
        return doubled + unnamed

    def value(self, row: int, head: str) -> str:
        """Return the word in a cell, as corrected."""
        found = self._changed.get((row, head), self._rows[row].get(head))
        return "" if found is None else str(found)

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of files."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column, or what it means."""
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return _WHY.get(HEADS[section])
        return HEADS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the word in a cell, bold where it was changed."""
        head = HEADS[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole, Qt.ItemDataRole.ToolTipRole):
            return self.value(index.row(), head)
        if role == Qt.ItemDataRole.FontRole and (index.row(), head) in self._changed:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Change a cell; the value that was found takes the change back.

        A file given to another case goes to another person too, where people and cases are called alike.
        """
        if role != Qt.ItemDataRole.EditRole:
            return False
        row, head, words = index.row(), HEADS[index.column()], str(value).strip()
        alike = self.value(row, "subject") in ("", self.value(row, "case"))
        for changed in ("case", "subject") if head == "case" and alike else (head,):
            self._change(row, changed, words)
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(HEADS) - 1))
        return True

    def _change(self, row: int, head: str, words: str) -> None:
        self._changed.pop((row, head), None)
        if words != self.value(row, head):
            self._changed[row, head] = words

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return whether a cell can be changed; where a file lies cannot."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if HEADS[index.column()] in _EDITABLE else flags
