"""The fields and buttons of the Align widget."""

from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.viewer.align.fit_view import CHECKERBOARD, COLOURS
from napari_mmssl.viewer.parts.folder_field import FolderField
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.places import aligned_folder

#: What is shown of a method of ``mmssl align``, its name there, and when to use it.
_METHODS = (
    ("shift and turn", "rigid", "The person moved, or came twice: three shifts and three turns are looked for."),
    ("trust the files", "resample", "One visit, the person lay still: nothing is moved, only brought onto one grid."),
    ("stretch too", "affine", "Onto an atlas, which is not the person: scaling and shear are looked for as well."),
)


class AlignForm(QObject):
    """What stays, how others may move, where to; then what to look at of a preview."""

    #: Another modality or way of showing it was chosen.
    chosen = Signal()

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        panel.text("about", "The scans themselves are only read; what fits is written as a new cohort, with a record.")
        form = panel.form()
        self._reference = panel.part(
            QComboBox(), "reference", "The modality that stays where it is in each case, or an image file for all cases"
        )
        file = panel.part(QPushButton("File..."), "reference_file", "An atlas or template that all cases are laid on")
        file.clicked.connect(self._ask_reference)
        form.addRow("onto", _row((self._reference, 1), (file, 0)))
        self._method = panel.part(QComboBox(), "method", "How the others may be moved")
        for text, name, _ in _METHODS:
            self._method.addItem(text, name)
        form.addRow("method", self._method)
        self._hint = panel.text("method_hint", _METHODS[0][2])
        self._method.currentIndexChanged.connect(lambda row: self._hint.setText(_METHODS[row][2]))
        self._out: FolderField = panel.part(FolderField(aligned_folder, "New folder for the aligned cohort"), "out")
        choose = panel.part(QPushButton("..."), "choose_out", "Choose the folder")
        choose.clicked.connect(self._ask_out)
        form = panel.form()
        form.addRow("into", _row((self._out, 1), (choose, 0)))
        self.preview: QPushButton = panel.part(
            QPushButton("Preview"), "preview", "Align the case that is open, and see it before and after"
        )
        self.align: QPushButton = panel.part(QPushButton("Align cohort"), "align", "Align all cases, into the folder")
        self.cancel: QPushButton = panel.part(
            QPushButton("Cancel"), "cancel", "End it; cases that are written stay where they are"
        )
        panel.column.addLayout(_row((self.preview, 1), (self.align, 1), (self.cancel, 0)))

    def draw_comparison(self, panel: Panel) -> None:
        """Add what chooses among the pictures of a preview."""
        self._modality = panel.part(QComboBox(), "modality", "Which modality to see before and after")
        self._how = panel.part(
            QComboBox(), "how", "two colours: where both are bright is white; checkerboard: edges go on across squares"
        )
        self._how.addItems([COLOURS, CHECKERBOARD])
        self.leave: QPushButton = panel.part(
            QPushButton("Back to the case"), "leave_preview", "Take the preview away and show the case again"
        )
        form = panel.form()
        form.addRow("see", _row((self._modality, 1), (self._how, 1)))
        panel.column.addWidget(self.leave)
        for box in (self._modality, self._how):
            box.currentIndexChanged.connect(lambda _row: self.chosen.emit())
        self.set_comparing(False)

    def draw_back(self, panel: Panel) -> None:
        """Add the way back for label maps."""
        self.back: QPushButton = panel.part(
            QPushButton("Back to the scans' grids..."),
            "back",
            "Write the label map that is selected, or the prediction, of an aligned case onto the grid of each scan",
        )
        panel.column.addWidget(self.back)

    @property
    def reference(self) -> str:
        """The modality or file that stays."""
        return str(self._reference.currentData() or "")

    @property
    def method(self) -> str:
        """As the command line calls it."""
        return str(self._method.currentData())

    @property
    def out(self) -> Path | None:
        """Where the aligned cohort goes; ``None`` if nothing stands there."""
        return self._out.folder

    @property
    def shown_modality(self) -> str:
        """Which modality to see; empty if there is none."""
        return str(self._modality.currentText())

    @property
    def shown_how(self) -> str:
        """How to see it."""
        return str(self._how.currentText())

    def show_cohort(self, cohort: Cohort | None) -> None:
        """Offer the modalities of ``cohort``, that which most cases have first."""
        self._reference.clear()
        if cohort is None:
            return
        held = [name for case in cohort.cases for name in case.modalities]
        for name in sorted(in_order(set(held)), key=held.count, reverse=True):
            n_cases = held.count(name)
            lacking = "" if n_cases == len(cohort.cases) else f" ({n_cases} of {len(cohort.cases)} cases)"
            self._reference.addItem(f"{name}{lacking}", name)

    def show_case(self, case: Case | None) -> None:
        """Say which case a preview would be of."""
        self.preview.setText("Preview" if case is None else f"Preview {case.id}" if len(case.id) < 14 else "Preview")

    def set_out(self, folder: Path) -> None:
        """Propose ``folder``."""
        self._out.folder = folder

    def set_modalities(self, names: list[str]) -> None:
        """Offer ``names`` to be seen; the first is chosen."""
        self._modality.clear()
        self._modality.addItems(names)

    def set_comparing(self, comparing: bool) -> None:
        """Enable what chooses among the pictures of a preview."""
        for widget in (self._modality, self._how, self.leave):
            widget.setEnabled(comparing)

    def _ask_reference(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._panel, "Atlas or template")
        if name:
            self._reference.addItem(Path(name).name, name)
            self._reference.setCurrentIndex(self._reference.count() - 1)

    def _ask_out(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, "New or empty folder", str(aligned_folder()))
        if folder:
            self.set_out(Path(folder))


def _row(*parts: tuple[QComboBox | QLineEdit | QPushButton, int]) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget, stretch in parts:
        row.addWidget(widget, stretch)
    return row
