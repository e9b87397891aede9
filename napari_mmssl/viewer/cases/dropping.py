"""What is dropped on the Cases widget: it is opened there, without napari's question who should read it."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget


class Dropping(QObject):
    """Lets ``widget`` take files and folders; the first of them goes to ``take``."""

    def __init__(self, widget: QWidget, take: Callable[[Path], None]) -> None:
        super().__init__(widget)
        self._take = take
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Accept what has a path on this computer; everything else goes on to ``watched``."""
        if event.type() not in (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop):
            return False
        path = next((url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()), "")
        if not path:
            return False
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self._take(Path(path))
        return True
