"""The Pretext widget: see what a pretext task gives a network, and what the network makes of it."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QSpinBox,
    QWidget,
)

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.prepare import PreparedCase, prepare_case
from napari_mmssl.errors import MmsslError, RunFailed
from napari_mmssl.pictures import Picture, read_picture
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.layers.picture_view import PictureView, picture_words
from napari_mmssl.viewer.parts.panel import Panel, beside
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.pretext.cohort_map import CohortMapView
from napari_mmssl.viewer.pretext.puzzle_controls import PuzzleControls
from napari_mmssl.viewer.pretext.puzzle_view import PuzzleView, is_puzzle, unsolved_puzzle
from napari_mmssl.viewer.runs.following import run_kind
from napari_mmssl.viewer.runs.monitor import Launch, last_words
from napari_mmssl.workflows.launch import Job, start

#: What is said until something of the case in hand is shown.
_NO_CASE = "Open a case in Cases, then draw its puzzle."
_A_CASE = "Draw the puzzle of this case, or choose a run and see what its network makes of it."


class PretextWidget(Panel):
    """Draw a puzzle of the case in hand; let a run solve it; take the answer apart."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_pretext")
        self._launch = launch
        self._run: Path | None = None
        self._prepared: PreparedCase | None = None
        self._job: Job | None = None
        self.at_end(self._end)
        self._draw_form()
        self._draw_run()
        self._state = self.text("state", _NO_CASE)
        self.controls = PuzzleControls(self)
        self.pictures = PictureView(self)
        self.map = CohortMapView(self, launch, self._say)
        self.column.addWidget(self.map)
        self.column.addStretch(1)
        self.controls.back.clicked.connect(self.pictures.clear)
        self.listen(self.session.case_changed, self._case_changed)
        self.listen(self.session.run_changed, self._run_changed)
        self._case_changed(self.session.case)
        self._run_changed(self.session.run)

    def draw_puzzle(self) -> None:
        """Prepare the case in hand on a thread, and show the puzzle that the chosen seed makes of it."""
        case = self.session.case
        if case is None:
            return
        chosen = [box.text() for box in self._modalities if box.isChecked()]
        grid = (self._grid[0].value(), self._grid[1].value(), self._grid[2].value())
        options = {"seed": self._seed.value(), "mode": self._mode.currentText(), "jitter": self._gap.value()}
        ready = self._prepared if self._prepared is not None and self._prepared.id == case.id else None

        def work() -> tuple[PreparedCase, Picture]:
            prepared = ready or prepare_case(case, None, with_label=False)
            return prepared, unsolved_puzzle(prepared, chosen, grid, **options)

        self._say(f"preparing '{case.id}' ...")
        self.in_thread(work, self._drawn, self._say)

    def solve(self) -> None:
        """Let the chosen run's network solve a puzzle of the case in hand, in a process."""
        case, cohort, run = self.session.case, self.session.cohort, self._run
        if case is None or cohort is None or run is None or self._job is not None:
            return
        out = Path(tempfile.mkdtemp(prefix="mmssl-preview-"))
        words = ["preview", str(run), str(cohort.root), "--case", case.id, "--out", str(out)]
        job = self._job = self._launch([*words, "--seed", str(self._seed.value())])

        def work() -> Picture:
            try:
                job.process.wait()
                failure = last_words(job)
                if failure is not None:
                    raise RunFailed(failure)
                made = sorted(out.glob("*.json"))
                return read_picture(out / "puzzle.json" if out / "puzzle.json" in made else made[0])
            finally:
                shutil.rmtree(out, ignore_errors=True)  # it shows the scan

        self._say("the network is at work on this case ...")
        self._refresh()
        self.in_thread(work, self._solved, self._not_solved)

    def set_run(self, path: Path) -> None:
        """Take the run folder ``path`` of a pretraining, and list the pictures it left."""
        try:
            pictures = RunFolder.open(path).pictures()
        except MmsslError as error:
            show_error(str(error))
            self._say(str(error))
            return
        self._run = path
        self.map.set_run(path)
        self._run_name.setText(path.name)
        self._run_name.setToolTip(str(path))
        self._pictures.clear()
        for file in pictures:
            step, _, name = file.stem.partition("-")
            self._pictures.addItem(f"step {int(step)}: {name.replace('_', ' ')}", file)
        self._pictures.setCurrentIndex(self._pictures.count() - 1)
        self._refresh()

    def show_run_picture(self, row: int) -> None:
        """Show the picture in ``row`` of the list: an unseen subject, as the network saw it at that step."""
        file = self._pictures.itemData(row)
        if file is not None:
            self.in_thread(lambda: read_picture(file), self._show, self._say)

    def show_last_picture(self) -> None:
        """Show the newest picture of the chosen run; nothing happens if it left none."""
        self.show_run_picture(self._pictures.count() - 1)

    def removed(self) -> None:
        """Take away what is shown in the place of the case."""
        self.controls.clear()
        self.pictures.clear()

    def _end(self) -> None:
        if self._job is not None:
            self._job.process.kill()

    # -- drawing ------------------------------------------------------------------------------

    def _draw_form(self) -> None:
        form = self.form()
        self._case = self.case_field()
        form.addRow("case", self._case)
        # A widget, since a bare layout does not tell the form when boxes are added to it.
        boxes = QWidget()
        self._modality_row = QGridLayout(boxes)
        self._modality_row.setContentsMargins(0, 0, 0, 0)
        self._modalities: list[QCheckBox] = []
        form.addRow("mix", boxes)
        self._grid = [self.part(QSpinBox(), f"grid_{axis}", f"Tiles along {axis}") for axis in ("z", "y", "x")]
        for spin in self._grid:
            spin.setRange(1, 8)
            spin.setValue(3)
        form.addRow("tiles", beside(*self._grid))
        self._mode = self.part(
            QComboBox(), "mode", "mixed: any modality at each tile; single: one throughout; pair: two of them"
        )
        self._mode.addItems(["mixed", "single", "pair"])
        self._gap = self.part(QSpinBox(), "gap", "Voxels between tiles, so that borders give nothing away")
        self._gap.setRange(0, 16)
        self._gap.setValue(2)
        self._seed = self.part(QSpinBox(), "seed", "Another seed draws another puzzle")
        self._seed.setRange(0, 2**31 - 1)
        form.addRow("mode", self._mode)
        form.addRow("gap", beside(self._gap, QLabel("seed"), self._seed))
        self._draw_button = self.button(
            "Draw puzzle", "draw_puzzle", "Cut and shuffle the case in hand", self.draw_puzzle
        )
        self.column.addWidget(self._draw_button)

    def _draw_run(self) -> None:
        form = self.form()
        self._run_name = self.told("run", "no run chosen", "Run folder of a pretraining")
        choose = self.button("Folder...", "choose_run", "Choose the run folder of a pretraining", self._ask_run)
        form.addRow("run", beside(self._run_name, choose, wide=self._run_name))
        self._solve = self.button(
            "Solve this case", "solve", "Let this run's network work on the case, in a process", self.solve
        )
        self._pictures = self.part(
            QComboBox(), "pictures", "What the network made of an unseen subject, at each look during the training"
        )
        self._pictures.activated.connect(self.show_run_picture)
        form.addRow("its pictures", self._pictures)
        self.column.addWidget(self._solve)

    # -- following ----------------------------------------------------------------------------

    def _case_changed(self, case: Case | None) -> None:
        self._say(_NO_CASE if case is None else _A_CASE)
        self.controls.clear()
        self.pictures.clear()
        self._prepared = None
        self._case.setText("" if case is None else case.id)
        while self._modalities:
            box = self._modalities.pop()
            self._modality_row.removeWidget(box)
            box.hide()
            box.deleteLater()
        for n, name in enumerate(in_order(case.modalities) if case else ()):
            box = self.part(QCheckBox(name), f"mix_{name}")
            box.setChecked(True)
            self._modality_row.addWidget(box, n // 4, n % 4)
            self._modalities.append(box)
        self._refresh()

    def _run_changed(self, run: Path | None) -> None:
        if run is not None and run_kind(run) == "pretrain":
            self.set_run(run)
        self._refresh()

    def _refresh(self) -> None:
        self._draw_button.setEnabled(self.session.case is not None)
        able = self.session.case is not None and self._run is not None
        self._solve.setEnabled(able and self._job is None)
        self.map.refresh()
        self._pictures.setEnabled(self._pictures.count() > 0)

    def _drawn(self, result: tuple[PreparedCase, Picture]) -> None:
        self._prepared, picture = result
        self._show(picture)

    def _solved(self, picture: Picture) -> None:
        self._job = None
        self._refresh()
        self._show(picture)

    def _not_solved(self, sentence: str) -> None:
        self._job = None
        self._refresh()
        self._say(sentence)

    def _show(self, picture: Picture) -> None:
        if is_puzzle(picture):
            self.pictures.clear()
            view = PuzzleView(picture)
            self.controls.show_puzzle(view)
            self._say(view.words())
        else:
            self.controls.clear()
            self.pictures.show(picture)
            self.controls.show_matrices([(item.name, item.array) for item in picture.items if item.kind == "matrix"])
            self._say(picture_words(picture))

    def _say(self, sentence: str) -> None:
        self._state.setText(sentence)

    def _ask_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Run folder of a pretraining", str(runs_folder()))
        if folder:
            self.set_run(Path(folder))

    def keyPressEvent(self, event: Any) -> None:
        """Go one tile back or on with the comma and the point."""
        step = {Qt.Key.Key_Comma: -1, Qt.Key.Key_Period: 1}.get(event.key())
        if step is None:
            super().keyPressEvent(event)
        else:
            self.controls.step(step)
