"""The commands *MMSSL: open workspace* and *MMSSL: three planes*: our widgets, arranged."""

from typing import TYPE_CHECKING, Any

from napari_mmssl.viewer.parts.docking import dock_name
from napari_mmssl.viewer.preferences import PLUGIN, preference

if TYPE_CHECKING:
    import napari.viewer

#: Tabs of one dock on the right, in this order.
WIDGETS = ("Cases", "Pretext", "Train", "Runs", "Segment")
PLANES = dock_name("Planes")


def open_workspace(viewer: "napari.viewer.Viewer") -> None:
    """Open all widgets as tabs of one dock on the right, *Cases* in front.

    Parameters
    ----------
    viewer
        The viewer; napari fills it in.
    """
    for name in WIDGETS:
        open_dock(viewer, name)
    if preference("viewing", "three_planes", False):
        open_planes(viewer)
    open_dock(viewer, WIDGETS[0])


def open_planes(viewer: "napari.viewer.Viewer") -> Any:
    """Show axial, coronal and sagittal below the large view; return the widget.

    Parameters
    ----------
    viewer
        The viewer; napari fills it in.
    """
    from napari_mmssl.viewer.planes.widget import PlanesWidget

    found = viewer.window.dock_widgets.get(PLANES)
    if found is not None:
        found.parent().show()
        found.parent().raise_()
        return found
    widget = PlanesWidget(viewer)
    viewer.window.add_dock_widget(widget, name=PLANES, area="bottom").setWindowTitle("Planes")
    return widget


def open_dock(viewer: Any, name: str) -> Any:
    """Show our widget ``name`` in front and return it; ``None`` where the viewer has no window."""
    from npe2 import PluginManager

    window = getattr(viewer, "window", None)
    if window is None:
        return None
    widget = window.dock_widgets.get(dock_name(name))
    if widget is None:
        widget = PluginManager.instance().commands.get(f"{PLUGIN}.{name.lower()}")(viewer)
        window.add_dock_widget(widget, name=dock_name(name), tabify=True)
    widget.parent().show()
    widget.parent().raise_()
    return widget
