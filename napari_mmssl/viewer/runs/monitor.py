"""One run in the hand of a widget: start it, watch it, give it orders, leave it."""

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from napari.utils import progress
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import Order, RunFolder
from napari_mmssl.viewer.parts.closing import CloseGuard
from napari_mmssl.viewer.parts.listening import Listening
from napari_mmssl.viewer.runs.following import Update, progress_words
from napari_mmssl.viewer.runs.indicator import slow_indicator
from napari_mmssl.viewer.runs.watching import Watched, watch
from napari_mmssl.workflows.launch import Job, start

#: How a job is started; tests put their own in its place.
Launch: TypeAlias = Callable[[Sequence[str]], Job]

#: How long a cancelled process may take to answer before it is ended.
_GRACE_MS = 10_000


class RunMonitor(QObject):
    """Emits ``updated`` for all that is new, the last time with :attr:`Update.ended` set."""

    updated = Signal(object)

    def __init__(self, parent: QObject | None = None, *, launch: Launch = start) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self.last: Update | None = None
        self._launch = launch
        self._job: Job | None = None
        self._watcher: Any = None
        self._bar: Any = None
        self._cancelled = False
        self._what = ""
        if isinstance(parent, QWidget):
            # A window that closes deletes this with its widget; the thread that watches would go on telling it.
            Listening(parent).undo(self.leave)

    @property
    def active(self) -> bool:
        """Whether a run is being watched."""
        return self._watcher is not None

    @property
    def words(self) -> str:
        """What is watched, and how far it is."""
        if self.path is None:
            return ""
        far = f", {progress_words(self.last)}" if self.last is not None else ""
        return f"{self._what} '{self.path.name}'{far}"

    def start(self, arguments: Sequence[str], path: Path, what: str) -> None:
        """Start ``mmssl`` with ``arguments`` as a process that writes the run ``path``, and watch it."""
        job = self._launch(arguments)
        self.watch(path, what, job)

    def resume(self, path: Path, what: str) -> None:
        """Start a process that goes on with the run ``path``, and watch it."""
        now_s = time.time()
        self.watch(path, what, self._launch(["runs", "resume", str(path)]), since_s=now_s)

    def watch(self, path: Path, what: str, job: Job | None = None, *, since_s: float = 0.0) -> None:
        """Watch the run ``path``, whoever started it; ``what`` it is stands at the progress bar."""
        self.leave()
        self._guard_window()
        self.path, self.last, self._job, self._cancelled = path, None, job, False
        self._what = what
        # tqdm would write to the terminal as well.
        self._bar = progress(total=0, desc=f"{what} {path.name}", file=open(os.devnull, "w"))  # noqa: SIM115
        failure = (lambda: last_words(job)) if job is not None else (lambda: None)
        self._watcher = watch(Watched(path, what, failure, since_s), self._update, self._broken)

    def order(self, order: Order) -> None:
        """Ask the run to ``stop`` (and keep what it learned) or to ``cancel``; nothing happens if there is none."""
        if not self.active or self.path is None:
            return
        starting = self.last is None or self.last.state == "starting"
        self._cancelled = self._cancelled or order == "cancel"
        if self._job is not None and starting:
            # It does not read orders before its first step.
            self._job.process.kill() if order == "cancel" else self._job.process.terminate()
            return
        if RunFolder.is_run(self.path):
            RunFolder(self.path).request(order)
        if order == "cancel":
            QTimer.singleShot(_GRACE_MS, self._end_process)

    def leave(self) -> None:
        """Stop watching; the run goes on."""
        if self._watcher is not None:
            self._watcher.quit()
        self._close()

    def _guard_window(self) -> None:
        parent = self.parent()
        if isinstance(parent, QWidget) and isinstance(parent.window(), QMainWindow):
            CloseGuard.of(parent.window()).add(self)
            slow_indicator(parent.window())

    def _update(self, update: Update) -> None:
        if self._bar is None:
            return
        if update.ended and update.state == "failed" and self._cancelled:
            # It was ended before it could answer; whoever looks later shall not take it for a failure.
            update = Update("cancelled", update.step, update.total, events=update.events)
            if self.path is not None and RunFolder.is_run(self.path):
                RunFolder(self.path).set_status("cancelled", reason=None)
        self.last = update
        if update.total:
            self._bar.total = update.total
            self._bar.update(update.step - self._bar.n)
        if self._bar is None:
            return  # napari's bar lets Qt work, and the window closed meanwhile.
        if update.ended:
            self._close()
        self.updated.emit(update)

    def _broken(self, error: Exception) -> None:
        self._close()
        self.updated.emit(Update("failed", reason=str(error)))
        if not isinstance(error, MmsslError):
            raise error

    def _close(self) -> None:
        self._watcher = None
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _end_process(self) -> None:
        if self.active and self._cancelled and self._job is not None and self._job.process.poll() is None:
            self._job.process.kill()


def last_words(job: Job) -> str | None:
    """Return the sentence with which a process ended if it failed, without the name of its command."""
    failure = job.failure()
    return None if failure is None else re.sub(r"^mmssl [a-z]+: ", "", failure)
