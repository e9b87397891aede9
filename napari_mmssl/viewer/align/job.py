"""An alignment in a process of its own: started, followed by what it prints, ended."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_mmssl.training.run_folder import Order
from napari_mmssl.viewer.parts.closing import CloseGuard
from napari_mmssl.viewer.runs.monitor import Launch, last_words
from napari_mmssl.workflows.launch import Job, start

_LOOK_EVERY_MS = 200


class AlignJob(QObject):
    """Runs ``mmssl align ... --json``, one at a time; it goes on by itself when it is left."""

    #: How many of how many cases are done.
    progressed = Signal(int, int)
    #: What the command says at its end: ``folder``, ``cases`` and ``notes``.
    done = Signal(object)
    #: One sentence.
    failed = Signal(str)

    def __init__(self, parent: QObject, *, launch: Launch = start) -> None:
        super().__init__(parent)
        self._launch = launch
        self._job: Job | None = None
        self._far, self._what = (0, 0), ""
        #: Where it writes.
        self.out = Path()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    @property
    def active(self) -> bool:
        """Whether an alignment is being followed."""
        return self._job is not None

    @property
    def words(self) -> str:
        """What runs and how far it is, for the question when the window closes."""
        done, total = self._far
        return self._what + (f", {done} of {total} cases" if total else "")

    def start(self, arguments: Sequence[str], out: Path, what: str) -> None:
        """Run ``mmssl align`` with ``arguments`` into ``out``; ``what`` it does is told when the window closes."""
        self.leave()
        parent = self.parent()
        if isinstance(parent, QWidget) and isinstance(parent.window(), QMainWindow):
            CloseGuard.of(parent.window()).add(self)
        self.out, self._far, self._what = out, (0, 0), what
        self._job = self._launch(["align", *arguments, "--out", str(out), "--json"])
        self._timer.start()

    def order(self, order: Order) -> None:
        """End it: ``stop`` keeps the cases that are written, ``cancel`` removes them."""
        job = self._job
        if job is None:
            return
        self.leave()
        end(job)
        if order == "cancel":
            # The command takes empty folders only, so all in it was written by it.
            shutil.rmtree(self.out, ignore_errors=True)

    def end_quietly(self) -> None:
        """End the process, from where Qt may have deleted this object already."""
        if self._job is not None:
            end(self._job)

    def leave(self) -> None:
        """Stop following; the process goes on."""
        self._timer.stop()
        self._job = None

    def _look(self) -> None:
        job = self._job
        if job is None:
            return
        # Asked before the words are read: what is written last must not be missed.
        ended = job.process.poll() is not None
        told = _json_lines(job.log.read_text(encoding="utf-8", errors="replace"))
        far = [(one["done"], one["total"]) for one in told if "total" in one]
        if far and far[-1] != self._far:
            self._far = far[-1]
            self.progressed.emit(*self._far)
        if not ended:
            return
        self.leave()
        result = next((one for one in told if "cases" in one), None)
        if result is not None:
            self.done.emit(result)
        else:
            self.failed.emit(last_words(job) or "the alignment ended without a result")


def end(job: Job) -> None:
    """End the process of ``job`` at once."""
    job.process.kill()
    job.process.wait()


def _json_lines(text: str) -> list[dict[str, Any]]:
    """Return the lines that are whole JSON objects; others are warnings of libraries."""
    found = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict):
            found.append(one)
    return found
