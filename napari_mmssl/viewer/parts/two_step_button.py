"""A button for what cannot be undone: the first click asks, the second within a few seconds does it."""

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QPushButton

_PATIENCE_MS = 4000


class TwoStepButton(QPushButton):
    """Emits ``confirmed`` at the second click; no dialog stands in the way of anything else.

    Parameters
    ----------
    words
        What stands on it.
    question
        What stands on it between the clicks.
    """

    confirmed = Signal()

    def __init__(self, words: str, question: str) -> None:
        super().__init__(words)
        self._words, self._question = words, question
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._timer.timeout.connect(self.calm)
        self.clicked.connect(self._clicked)

    def calm(self) -> None:
        """Forget the first click."""
        self._timer.stop()
        self.setText(self._words)

    def _clicked(self) -> None:
        if self._timer.isActive():
            self.calm()
            self.confirmed.emit()
        else:
            self.setText(self._question)
            self._timer.start()
