"""Runs that were given an order and did not answer it in their grace time: a person may end their processes."""

from functools import partial
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_mmssl.training.run_folder import Order, RunFolder
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.workflows.runs import grace_s, insist


class Unanswered(QObject):
    """Waits for each order that was given, in ``panel``; who did not answer stands in :attr:`late`."""

    #: Somebody came to :attr:`late`, or left it; a sentence says what happened.
    changed = Signal(str)

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.late: dict[Path, Order] = {}

    def wait_for(self, run: RunFolder, order: Order) -> None:
        """Look after the grace time of ``run`` whether it has answered ``order``."""

        def look_later(seconds: float) -> None:
            timer = QTimer(self)
            timer.setSingleShot(True)
            timer.timeout.connect(partial(self._look, run, order, seconds))
            timer.timeout.connect(timer.deleteLater)
            timer.start(int(1000 * seconds))

        self._panel.in_thread(partial(grace_s, run), look_later, self.changed.emit)

    def end(self, paths: list[Path]) -> None:
        """End the processes of these runs; their last checkpoints stay whole."""
        for path in paths:
            order = self.late.pop(path)
            run = RunFolder(path)
            done = partial(self._ended, path)
            self._panel.in_thread(partial(insist, run, order, least_s=0), done, self.changed.emit)

    def _look(self, run: RunFolder, order: Order, seconds: float) -> None:
        def told(alive: bool) -> None:
            if alive:
                self.late[run.path] = order
                self.changed.emit(f"'{run.path.name}' did not answer within {seconds:.0f} s; its process can be ended")

        self._panel.in_thread(run.is_alive, told, self.changed.emit)

    def _ended(self, path: Path, state: str) -> None:
        self.changed.emit(f"'{path.name}' was ended ({state}); its last checkpoint is whole")
