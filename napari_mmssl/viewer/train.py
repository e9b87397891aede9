"""The Train widget: start a pretraining or fine-tuning, watch its curves, stop it."""

import os
import tempfile
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QPushButton

from napari_mmssl.errors import MmsslError, RunError
from napari_mmssl.training.run_folder import Order, RunFolder
from napari_mmssl.viewer.curves import CurvesView
from napari_mmssl.viewer.following import Update, progress_words
from napari_mmssl.viewer.panel import Panel
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.run_monitor import Launch, RunMonitor
from napari_mmssl.viewer.training_fields import TrainingFields
from napari_mmssl.workflows.launch import start


class TrainWidget(Panel):
    """Choose, start, watch, stop."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_train")
        self.monitor = RunMonitor(self, launch=launch)
        self.monitor.updated.connect(self._show)
        self._settings_file: Path | None = None
        self.fields = TrainingFields(self)
        self._draw_buttons()
        self._progress = self.part(QProgressBar(), "progress")
        self.column.addWidget(self._progress)
        self._state = self.text("state")
        self._curves = CurvesView(self.viewer)
        self.column.addWidget(self._curves, 1)

    def start(self) -> None:
        """Start what is chosen; what does not fit is said in a sentence and nothing starts."""
        out = self.fields.out
        try:
            choice = self.fields.choice()
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
        self.monitor.start(arguments, out, "pretraining" if choice.goal.kind == "pretrain" else "fine-tuning")

    def open_run(self, path: Path) -> None:
        """Show the run in ``path``; one that is at work can be stopped from here."""
        try:
            status = RunFolder.open(path).status()
        except MmsslError as error:
            show_error(str(error))
            return
        self._begin()
        self.monitor.watch(path, str(status.get("kind", "run")))

    def removed(self) -> None:
        """Leave the run to itself and say so."""
        if self.monitor.active:
            self.monitor.leave()
            show_info(f"the training goes on by itself; to see it again: Train, Open run..., '{self.monitor.path}'")

    def _draw_buttons(self) -> None:
        self._start = self.part(QPushButton("Start"), "start", "Start the training as a process of its own")
        self._stop = self.part(QPushButton("Stop and keep"), "stop", "End after this step and keep what was learned")
        self._cancel = self.part(QPushButton("Cancel"), "cancel", "End now and drop what was learned")
        self._open = self.part(QPushButton("Open run..."), "open_run", "Show a run, at work or ended")
        self._start.clicked.connect(self.start)
        self._stop.clicked.connect(lambda: self._order("stop"))
        self._cancel.clicked.connect(lambda: self._order("cancel"))
        self._open.clicked.connect(self._ask_run)
        for pair in ((self._start, self._open), (self._stop, self._cancel)):
            row = QHBoxLayout()
            for button in pair:
                row.addWidget(button)
            self.column.addLayout(row)
        self._set_running(False)

    def _ask_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Run folder", str(runs_folder()))
        if folder:
            self.open_run(Path(folder))

    def _begin(self) -> None:
        self._curves.clear()
        self._progress.setRange(0, 0)
        self._set_running(True)

    def _order(self, order: Order) -> None:
        self.monitor.order(order)
        self._state.setText("stopping ..." if order == "stop" else "cancelling ...")
        self._stop.setEnabled(False)
        self._cancel.setEnabled(order == "stop")

    def _show(self, update: Update) -> None:
        self._curves.add(update.events)
        self._progress.setRange(0, update.total)
        self._progress.setValue(update.step)
        self._state.setText(progress_words(update))
        if update.ended:
            self._ended(update)

    def _ended(self, update: Update) -> None:
        self._set_running(False)
        self._progress.setRange(0, max(1, update.total))
        if self._settings_file is not None:
            self._settings_file.unlink(missing_ok=True)
            self._settings_file = None
        if update.state == "failed":
            show_error(str(update.reason))
        elif update.state in ("done", "stopped"):
            self.session.run = self.monitor.path
        self.fields.suggest_out()

    def _set_running(self, running: bool) -> None:
        self._start.setEnabled(not running)
        self._open.setEnabled(not running)
        self._stop.setEnabled(running)
        self._cancel.setEnabled(running)


def _new_file(suffix: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="mmssl-", suffix=suffix)
    os.close(handle)
    return Path(name)
