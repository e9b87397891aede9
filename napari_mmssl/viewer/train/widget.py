"""The Train widget: start a pretraining or fine-tuning, or attach to one; watch it, pause it, stop it."""

import os
import tempfile
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QGridLayout, QProgressBar, QTabWidget

from napari_mmssl.errors import MmsslError, RunError
from napari_mmssl.training.run_folder import Order, RunFolder
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.parts.two_step_button import TwoStepButton
from napari_mmssl.viewer.places import free_folder, runs_folder
from napari_mmssl.viewer.runs.curves import CurvesView
from napari_mmssl.viewer.runs.following import Update, progress_words, run_kind
from napari_mmssl.viewer.runs.log import RunLog
from napari_mmssl.viewer.runs.monitor import Launch, RunMonitor
from napari_mmssl.viewer.runs.pictures import RunPictures
from napari_mmssl.viewer.runs.rows import training_at_work
from napari_mmssl.viewer.train.dry_run import DryRun
from napari_mmssl.viewer.train.fields import TrainingFields
from napari_mmssl.workflows.launch import start

_WHAT = {"pretrain": "pretraining", "finetune": "fine-tuning", "compare": "comparison"}
_SAYING = {"pause": "pausing ...", "stop": "stopping ...", "cancel": "cancelling ..."}


class TrainWidget(Panel):
    """Choose, start, watch, stop."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_train")
        self.monitor = RunMonitor(self, launch=launch)
        self.monitor.updated.connect(self._show)
        self._settings_file: Path | None = None
        self._dry = DryRun(self, launch)
        self.fields = TrainingFields(self)
        self._draw_buttons()
        self._progress = self.part(QProgressBar(), "progress")
        self.column.addWidget(self._progress)
        self._progress.hide()
        self._state = self.text("state")
        self._draw_views()
        self._set_running(False)
        self.listen(self.viewer.events.theme, self._curves.follow_theme)
        self.listen(self.session.attach_asked, self.open_run)
        self.listen(self.session.resume_asked, self.resume_run)
        self.in_thread(lambda: training_at_work(runs_folder()), self._attach_again, self._state.setText)

    def start(self) -> None:
        """Start what is chosen; what does not fit is said in a sentence and nothing starts."""
        out = self.fields.out
        try:
            choice = self.fields.choice()
            if out is None:
                raise RunError("give the run folder a name under 'into'")
            if out.exists():
                raise RunError(f"'{out}' exists already; choose another name under 'into'")
            self._settings_file = _new_file(".toml")
            choice.write(self._settings_file)
        except MmsslError as error:
            self._state.setText(str(error))
            show_error(str(error))
            return
        arguments = [choice.goal.kind, "--config", str(self._settings_file), "--out", str(out)]
        self._begin()
        self.monitor.start(arguments, out, _WHAT[choice.goal.kind])

    def try_out(self) -> None:
        """Make a few dry steps of what is chosen, in a process, and say what it will take."""
        try:
            choice, file = self.fields.choice(), _new_file(".toml")
            choice.write(file)
        except MmsslError as error:
            self._state.setText(str(error))
            return
        self._state.setText("a few dry steps ...")
        self._try.setEnabled(False)
        self._dry.start(choice.goal.kind, file, choice.steps, self._tried)

    def compare(self) -> None:
        """Ask whether the pretraining that is chosen helps: ``mmssl compare`` with scratch, in a process."""
        try:
            choice = self.fields.choice()
        except MmsslError as error:
            self._state.setText(str(error))
            return
        out = free_folder(runs_folder(), "compare", choice.goal.name, choice.cohort.name)
        words = ["compare", str(choice.cohort), "--recipes", f"scratch,{choice.goal.name}", "--out", str(out)]
        words += ["--encoder", choice.encoder, "--size", choice.size, "--device", choice.device]
        steps = str(choice.steps)
        self._begin()
        self.monitor.start([*words, "--pretrain-steps", steps, "--finetune-steps", steps], out, _WHAT["compare"])

    def open_run(self, path: Path) -> None:
        """Show the run in ``path``; one that is at work can be given orders from here."""
        kind = self._kind_of(path)
        if kind is not None:
            self._begin()
            self.monitor.watch(path, _WHAT.get(kind, kind))

    def resume_run(self, path: Path) -> None:
        """Go on with the run in ``path`` from its last checkpoint."""
        kind = self._kind_of(path)
        if kind is not None:
            self._begin()
            self.monitor.resume(path, _WHAT.get(kind, kind))

    def removed(self) -> None:
        """Leave the run to itself and say so."""
        self._pictures.clear()
        if self.monitor.active:
            self.monitor.leave()
            show_info(f"the training goes on by itself; to see it again: Runs, '{self.monitor.path}'")

    # -- drawing ------------------------------------------------------------------------------

    def _draw_buttons(self) -> None:
        self._start = self.button("Start", "start", "Start the training as a process of its own", self.start)
        self._open = self.button(
            "Open run...", "open_run", "Show a run, at work or ended; Runs lists them", self._ask_run
        )
        self._pause = self.button(
            "Pause", "pause", "Write a checkpoint and end the process; Resume goes on", lambda: self._order("pause")
        )
        self._resume = self.button(
            "Resume", "resume", "Go on from the last checkpoint of the run shown", self._resume_shown
        )
        self._stop = self.button(
            "Stop and keep", "stop", "End after this step and keep what was learned", lambda: self._order("stop")
        )
        self._cancel = self.part(
            TwoStepButton("Cancel and discard", "Really discard?"),
            "cancel",
            "End now and drop what was learned; asks for a second click",
        )
        self._cancel.confirmed.connect(lambda: self._order("cancel"))
        grid = QGridLayout()
        for n, button in enumerate((self._start, self._open, self._pause, self._resume, self._stop, self._cancel)):
            grid.addWidget(button, n // 2, n % 2)
        self.column.addLayout(grid)
        self._draw_questions()

    def _draw_questions(self) -> None:
        self._try = self.button(
            "Dry run", "try", "A few dry steps: memory, time, and what fits if it does not", self.try_out
        )
        self._compare = self.button(
            "Compare with scratch",
            "compare",
            "Does it help? Trains both ways on the same people, in several draws; takes many times as long",
            self.compare,
        )
        self.fields.goal_changed.connect(lambda _row: self._offer_comparison())
        self.row(self._try, self._compare)

    def _draw_views(self) -> None:
        self._curves, self._pictures, self._log = CurvesView(self.viewer), RunPictures(self), RunLog(self)
        self._tabs = self.part(QTabWidget(), "run_views")
        self._tabs.setMinimumHeight(330)
        for view, name in ((self._curves, "Curves"), (self._pictures, "Pictures"), (self._log, "Log")):
            self._tabs.addTab(view, name)
        self._tabs.currentChanged.connect(lambda _tab: self._refresh_views())
        self.column.addWidget(self._tabs, 1)

    # -- following ----------------------------------------------------------------------------

    def _tried(self, sentence: str) -> None:
        self._try.setEnabled(True)
        self._state.setText(sentence)

    def _ask_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Run folder", str(runs_folder()))
        if folder:
            self.open_run(Path(folder))

    def _resume_shown(self) -> None:
        if self.monitor.path is not None:
            self.resume_run(self.monitor.path)

    def _kind_of(self, path: Path) -> str | None:
        """Return what runs in ``path``; ``None``, and a sentence, if it is no run."""
        try:
            return str(RunFolder.open(path).status().get("kind", "run"))
        except MmsslError as error:
            show_error(str(error))
            return None

    def _attach_again(self, path: Path | None) -> None:
        if path is None or self.monitor.path is not None:
            return
        self.open_run(path)
        show_info(f"'{path.name}' is still at work and is shown in Train")

    def _begin(self) -> None:
        self._curves.clear()
        self._pictures.show_run(None)
        self._progress.setRange(0, 0)
        self._progress.show()
        self._set_running(True)

    def _order(self, order: Order) -> None:
        self.monitor.order(order)
        self._state.setText(_SAYING[order])
        for button in (self._pause, self._stop):
            button.setEnabled(False)
        self._cancel.setEnabled(order != "cancel")

    def _show(self, update: Update) -> None:
        # All that is new is painted in one go: a progress bar paints at once by itself, and each painting puts the
        # window with its canvas together anew.
        self.setUpdatesEnabled(False)
        try:
            self._tell(update)
        finally:
            self.setUpdatesEnabled(True)
        if update.ended:
            self._ended(update)

    def _tell(self, update: Update) -> None:
        self._curves.add(update.events)
        self._progress.setRange(0, update.total)
        self._progress.setValue(update.step)
        name = f"<b>{self.monitor.path.name}</b>: " if self.monitor.path is not None else ""
        self._state.setText(name + progress_words(update))
        if self._tabs.currentWidget() is self._log:
            self._log.refresh(self.monitor.path)
        if update.ended or any(event["kind"] == "picture" for event in update.events):
            # Listing a folder takes time that the window does not have at each update.
            self._pictures.show_run(self.monitor.path)

    def _refresh_views(self) -> None:
        if self._tabs.currentWidget() is self._log:
            self._log.refresh(self.monitor.path)
        self._pictures.show_run(self.monitor.path)

    def _ended(self, update: Update) -> None:
        self._set_running(False)
        self._resume.setEnabled(update.state in ("paused", "stopped", "failed"))
        self._progress.setRange(0, max(1, update.total))
        if self._settings_file is not None:
            self._settings_file.unlink(missing_ok=True)
            self._settings_file = None
        if update.state == "failed":
            show_error(str(update.reason))
        elif update.state == "done" and self._shows_comparison():
            self._state.setText(f"compared; the answer: {self.monitor.path}/report.html")
        elif update.state in ("done", "stopped"):
            self.session.run = self.monitor.path
        self.fields.suggest_out()

    def _offer_comparison(self) -> None:
        self._compare.setEnabled(self.fields.goal.kind == "pretrain" and not self.monitor.active)

    def _shows_comparison(self) -> bool:
        return self.monitor.path is not None and run_kind(self.monitor.path) == "compare"

    def _set_running(self, running: bool) -> None:
        for button in (self._start, self._open):
            button.setEnabled(not running)
        self._offer_comparison()
        for button in (self._pause, self._stop, self._cancel):
            button.setEnabled(running)
        self._resume.setEnabled(False)
        self._cancel.calm()


def _new_file(suffix: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="mmssl-", suffix=suffix)
    os.close(handle)
    return Path(name)
