"""The question when the window closes while something that was started here is at work.

A run is a process of its own and outlives the window, so nothing is lost whatever a person answers; napari would only
ask whether to close or not, since for it a watching thread is all there is.
"""

from typing import Literal, Protocol

from qtpy.QtCore import QEvent, QObject, QThread, QThreadPool, QTimer
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QMainWindow, QPushButton, QVBoxLayout

from napari_mmssl.training.run_folder import Order

Answer = Literal["keep", "stop", "cancel", "stay"]
_ORDERS: dict[Answer, Order] = {"stop": "stop", "cancel": "cancel"}
#: How long watching threads may take to notice that they are to end; they sleep for half a second at most.
_PATIENCE_MS = 2000


class AtWork(Protocol):
    """What is asked about: something that watches a run."""

    @property
    def active(self) -> bool:
        """Whether it watches one now."""

    @property
    def words(self) -> str:
        """What runs, for a person."""

    def order(self, order: Order) -> None:
        """Give it an order."""

    def leave(self) -> None:
        """Stop watching."""


class CloseGuard(QObject):
    """Asks before ``window`` closes, once, whatever number of runs is at work."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setObjectName("mmssl_close_guard")
        self._window = window
        self._watched: list[AtWork] = []
        self.dialog: ClosingDialog | None = None
        window.installEventFilter(self)

    @classmethod
    def of(cls, window: QMainWindow) -> "CloseGuard":
        """Return the guard of ``window``, the same one at every call."""
        found = window.findChild(CloseGuard, "mmssl_close_guard")
        return found if found is not None else cls(window)

    def add(self, watched: AtWork) -> None:
        """Ask about ``watched`` too."""
        if watched not in self._watched:
            self._watched.append(watched)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Hold a closing back while there is something to ask; a script that closes its viewer is not asked."""
        if event.type() != QEvent.Type.Close or not self._at_work():
            return False
        by_hand = event.spontaneous() or QThread.currentThread().loopLevel() > 0
        if not by_hand:
            return False
        event.ignore()
        # The event's own call must be over before a dialog opens on the window.
        QTimer.singleShot(0, self._ask)
        return True

    def _at_work(self) -> list[AtWork]:
        alive = []
        for one in self._watched:
            try:
                if one.active:
                    alive.append(one)
            except RuntimeError:
                continue  # Qt has deleted it with its widget.
        return alive

    def _ask(self) -> None:
        if self.dialog is not None:
            return
        self.dialog = ClosingDialog(self._window, [one.words for one in self._at_work()])
        self.dialog.finished.connect(self._answered)
        self.dialog.open()

    def _answered(self, _code: int) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is None or dialog.answer == "stay":
            return
        for one in self._at_work():
            if dialog.answer in _ORDERS:
                one.order(_ORDERS[dialog.answer])
            one.leave()
        # napari asks about threads at work itself; these are about to end.
        QThreadPool.globalInstance().waitForDone(_PATIENCE_MS)
        QTimer.singleShot(0, self._window.close)


class ClosingDialog(QDialog):
    """Keep running, stop and keep, cancel and discard, or do not close."""

    def __init__(self, window: QMainWindow, at_work: list[str]) -> None:
        super().__init__(window)
        self.setObjectName("mmssl_closing")
        self.setWindowTitle("Still at work")
        self.answer: Answer = "stay"
        words = QLabel(
            "\n".join(f"• {one}" for one in at_work)
            + "\n\nIt computes in a process of its own and can go on without this window."
        )
        words.setWordWrap(True)
        buttons = QDialogButtonBox()
        for answer, text, tip in (
            ("keep", "Keep running", "Close the window; open it again later and find the run where it is then"),
            ("stop", "Stop and keep", "End after the step at hand and keep what was learned"),
            ("cancel", "Cancel and discard", "End it and drop what was learned"),
            ("stay", "Do not close", ""),
        ):
            button = QPushButton(text)
            button.setObjectName(f"closing_{answer}")
            button.setToolTip(tip)
            button.clicked.connect(lambda _checked=False, answer=answer: self._choose(answer))
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
            if answer == "keep":
                button.setDefault(True)
        column = QVBoxLayout(self)
        column.addWidget(words)
        column.addWidget(buttons)

    def _choose(self, answer: Answer) -> None:
        self.answer = answer
        self.accept()
