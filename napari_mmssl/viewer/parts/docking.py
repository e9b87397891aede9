"""Where our widgets stand in napari's window: as tabs of one dock, whichever door they were opened by."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

#: What the *Plugins* menu puts behind the name of a widget.
_BEHIND = " (MMSSL)"


def dock_name(widget: str) -> str:
    """Return the name under which napari's *Plugins* menu opens the widget, and finds it again."""
    return widget + _BEHIND


def join(widget: QWidget, others: type[QWidget]) -> None:
    """Make the dock of ``widget`` a tab, in front, beside the first of ``others`` that is docked on its side.

    From the *Plugins* menu napari puts each widget below those that are open, where all are too low to be read.
    """
    dock, beside = _neighbours(widget, others)
    if dock is not None:
        # With the plugin's name behind them, five tabs do not fit side by side.
        dock.setWindowTitle(dock.windowTitle().removesuffix(_BEHIND))
    if beside is not None and dock not in dock.parent().tabifiedDockWidgets(beside):
        dock.parent().tabifyDockWidget(beside, dock)
        dock.raise_()


def leave_for_below(widget: QWidget, others: type[QWidget]) -> None:
    """Move the dock of ``widget`` below the large view if it shares its side with one of ``others``."""
    dock, beside = _neighbours(widget, others)
    if beside is not None:
        dock.parent().addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)


def _neighbours(widget: QWidget, others: type[QWidget]) -> tuple[Any, Any]:
    """Return the dock of ``widget`` in a window, and that of the first of ``others`` on its side; each may be None."""
    dock = widget.parent()
    window = dock.parent() if isinstance(dock, QDockWidget) else None
    if not isinstance(window, QMainWindow):
        return None, None
    side = window.dockWidgetArea(dock)
    docks = (other.parent() for other in window.findChildren(others) if other is not widget)
    return dock, next((one for one in docks if _docked_on(window, side, one)), None)


def _docked_on(window: QMainWindow, side: Any, dock: Any) -> bool:
    return (
        isinstance(dock, QDockWidget)
        and not (dock.isHidden() or dock.isFloating())
        and window.dockWidgetArea(dock) == side
    )
