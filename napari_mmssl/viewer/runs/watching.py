"""A thread that watches a run folder and tells the viewer; the run itself is a process and outlives both.

Why no generator worker: superqt takes a ``RuntimeError`` raised in one for a deleted widget and drops it, and CUDA
and SimpleITK errors are ``RuntimeError``s. Why a thread at all: folders lie on network shares that may not answer.
"""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari.qt.threading import WorkerBase, WorkerBaseSignals, create_worker
from qtpy.QtCore import QThreadPool, Signal

from napari_mmssl.viewer.runs.following import Update, follow


@dataclass(frozen=True)
class Watched:
    """What is watched; its words stand in napari's question before it closes with work going on.

    Parameters
    ----------
    path
        The run folder.
    what
        What runs there, such as ``pretraining``.
    failure, since_s
        As for :func:`napari_mmssl.viewer.runs.following.follow`.
    """

    path: Path
    what: str
    failure: Callable[[], str | None] = lambda: None
    since_s: float = 0.0

    def __call__(self) -> None:
        """Do nothing: napari's ``create_worker`` wants to be handed something that can be called."""

    def __str__(self) -> str:
        """Say what runs, and that it goes on without the window."""
        return f"{self.what} '{self.path.name}' (it goes on when the window closes; only the watching ends)"


class WatcherSignals(WorkerBaseSignals):
    """The signals of a watcher: those of every worker, and one for each update."""

    updated = Signal(object)


class RunWatcher(WorkerBase):
    """Emits ``updated`` with an :class:`Update` until the run ends or :meth:`quit` is called."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(SignalsClass=WatcherSignals)
        self.watched = watched
        self._showwarning, self._filters = warnings.showwarning, list(warnings.filters)
        self._wake = threading.Event()

    def quit(self) -> None:
        """End the watching at once, also in the midst of its sleep: a closing window does not wait for it."""
        super().quit()
        self._wake.set()

    def work(self) -> Update | None:
        """Follow the run; return the last update."""
        # superqt redirects the warnings of the whole process to the worker for as long as it works, and shows every
        # one of them; a watcher works for hours.
        warnings.showwarning = self._showwarning
        warnings.filters[:] = self._filters  # type: ignore[index]
        # It sleeps nearly all the time and must not keep one of the few threads of the pool from others.
        pool = QThreadPool.globalInstance()
        pool.releaseThread()
        last = None
        try:
            watched = self.watched
            for last in follow(
                watched.path,
                stop=lambda: self.abort_requested,
                failure=watched.failure,
                since_s=watched.since_s,
                sleep=self._wake.wait,
            ):
                self.updated.emit(last)
        finally:
            pool.reserveThread()
        return last


def watch(watched: Watched, updated: Callable[[Update], None], failed: Callable[[Exception], None]) -> Any:
    """Start watching, so that napari knows of it; return the worker, whose ``quit`` ends the watching alone."""
    return create_worker(
        watched, _worker_class=RunWatcher, _connect={"updated": updated, "errored": failed}, _start_thread=True
    )
