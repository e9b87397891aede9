"""What a widget hears of the viewer, and how it stops hearing it when it goes.

napari's emitters outlive a widget that was closed; a callback into one that Qt has deleted would raise.
"""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

#: All that have not ended. What Qt calls while it deletes a widget must outlive it: of a widget that only Python's
#: collector ends, a callback that nothing else holds is cleared first, and calling it ends the process.
_LISTENING: "set[Listening]" = set()


class Listening:
    """Connects emitters for as long as ``widget`` is in its dock, and alive."""

    def __init__(self, widget: QWidget) -> None:
        self._undo: list[Callable[[], Any]] = []
        self._closed: list[Callable[[], Any]] = []
        #: Whether the widget was closed for good.
        self.over = False
        # The filter is a child, so that Qt ends it with the widget; this object may be asked after that.
        self._filter = _DockFilter(widget, self._left_dock)
        # A closing window deletes its docks without taking the widgets out of them first.
        widget.destroyed.connect(self._deleted)
        _LISTENING.add(self)

    def on(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Call ``callback`` at each emission."""
        emitter.connect(callback)
        self._undo.append(lambda: emitter.disconnect(callback))

    def undo(self, callback: Callable[[], Any]) -> None:
        """Call ``callback``, which must touch no widget, once the widget is closed or deleted."""
        self._undo.append(callback)

    def closed(self, callback: Callable[[], Any]) -> None:
        """Call ``callback`` once a person closes the dock for good, while the widget is still there."""
        self._closed.append(callback)

    def end(self) -> None:
        """Stop hearing anything; safe to call again."""
        self.over = True
        _LISTENING.discard(self)
        undo, self._undo = self._undo, []
        for call in undo:
            call()

    def _deleted(self, _widget: Any = None) -> None:
        self.end()

    def _left_dock(self) -> None:
        closed, self._closed = self._closed, []
        for call in closed:
            call()
        self.end()


class _DockFilter(QObject):
    """Notices that napari took a widget out of its dock."""

    def __init__(self, widget: QWidget, left: Callable[[], None]) -> None:
        super().__init__(widget)
        self._left, self._docked = left, widget.parent() is not None
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ParentChange:
            was, self._docked = self._docked, watched.parent() is not None
            if was and not self._docked:
                self._left()
        return False
