"""The dialog *Which file is what*: what was matched can be corrected, and is kept as a manifest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QModelIndex, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QStyledItemDelegate,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_mmssl.cohorts.manifest_file import ROLES
from napari_mmssl.cohorts.modalities import MODALITIES
from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.cases.pairing_table import HEADS, PairingTable
from napari_mmssl.workflows.manifest import save_rows

#: The rows of a manifest that will lie at a path.
RowsFor = Callable[[Path], list[dict[str, Any]]]
_MOST_PROBLEMS = 3
_SIZE = (900, 520)


class PairingDialog(QDialog):
    """A table of files with their case, role and modality; saving makes a manifest, and the scans stay untouched."""

    #: A manifest was written here.
    saved = Signal(object)

    def __init__(self, parent: QWidget, folder: Path, rows_for: RowsFor) -> None:
        super().__init__(parent)
        self.setObjectName("pairing")
        self.setWindowTitle(f"Which file is what: {folder.name}")
        self.resize(*_SIZE)
        self._folder, self._rows_for = folder, rows_for
        self._start = (folder if folder.is_dir() else folder.parent) / "manifest.csv"
        self.table = PairingTable(rows_for(self._start), self)
        self.table.dataChanged.connect(self._refresh)
        column = QVBoxLayout(self)
        column.addWidget(self._words())
        column.addWidget(self._view(), 1)
        self._about = QLabel()
        self._about.setObjectName("pairing_problems")
        self._about.setWordWrap(True)
        column.addWidget(self._about)
        column.addLayout(self._buttons())
        self._refresh()

    def save(self, path: Path) -> None:
        """Write the table as it is now to ``path`` and tell so; a sentence if it cannot be."""
        try:
            # The dialog for the name has asked before a file is replaced.
            save_rows(self.table.corrected(self._rows_for(path)), path, replace=path.exists())
        except MmsslError as error:
            self._about.setText(str(error))
            return
        self.saved.emit(path)
        self.accept()

    def _words(self) -> QLabel:
        words = QLabel(
            "Double-click a cell to correct it. Role: modality, label, or left_out for files that are not used. "
            "What is saved is a manifest, a table that Cases and the command line open like a folder; no scan changes."
        )
        words.setWordWrap(True)
        return words

    def _view(self) -> QTableView:
        view = QTableView()
        view.setObjectName("pairing_table")
        view.setModel(self.table)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(26)
        view.horizontalHeader().setResizeContentsPrecision(50)
        view.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        view.horizontalHeader().setStretchLastSection(True)
        view.horizontalHeader().setHighlightSections(False)
        self._delegates = {
            "role": _ChoiceDelegate(list(ROLES), editable=False, parent=self),
            "modality": _ChoiceDelegate(["", *MODALITIES], editable=True, parent=self),
        }
        for head, delegate in self._delegates.items():
            view.setItemDelegateForColumn(HEADS.index(head), delegate)
        return view

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addStretch(1)
        save, close = QPushButton("Save as manifest..."), QPushButton("Close")
        save.setObjectName("save_manifest")
        save.clicked.connect(self._ask)
        close.clicked.connect(self.reject)
        row.addWidget(save)
        row.addWidget(close)
        return row

    def _ask(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the manifest", str(self._start), "Manifest (*.csv *.tsv *.json)"
        )
        if name:
            self.save(Path(name))

    def _refresh(self, *_indices: Any) -> None:
        problems = self.table.problems()
        more = f" (and {len(problems) - _MOST_PROBLEMS} more)" if len(problems) > _MOST_PROBLEMS else ""
        changed = f"{self.table.n_changed} cells changed. " if self.table.n_changed else ""
        self._about.setText(changed + "; ".join(problems[:_MOST_PROBLEMS]) + more)


class _ChoiceDelegate(QStyledItemDelegate):
    """Edits a cell with a list of choices; ``editable`` ones take other words too."""

    def __init__(self, choices: list[str], *, editable: bool, parent: QWidget) -> None:
        super().__init__(parent)
        self._choices, self._editable = choices, editable

    def createEditor(self, parent: QWidget, _option: Any, _index: QModelIndex) -> QWidget:
        box = QComboBox(parent)
        box.setEditable(self._editable)
        box.addItems(self._choices)
        return box

    def setEditorData(self, editor: QWidget, index: QModelIndex) -> None:
        editor.setCurrentText(index.data())

    def setModelData(self, editor: QWidget, model: Any, index: QModelIndex) -> None:
        model.setData(index, editor.currentText())
