"""The commands *MMSSL: open workspace* and *MMSSL: three planes*: our widgets, arranged."""

from typing import TYPE_CHECKING, Any

from napari_mmssl.viewer.preferences import PLUGIN, preference

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["PLANES", "PLUGIN", "WIDGETS", "open_dock", "open_planes", "open_workspace"]

#: Tabs of one dock on the right, in this order.
WIDGETS = ("Cases", "Pretext", "Train", "Runs", "Segment")
PLANES = f"Planes ({PLUGIN})"


def open_workspace(viewer: "napari.viewer.Viewer") -> None:
    """Open all widgets as tabs of one dock on the right, *Cases* in front.

    Parameters
    ----------
    viewer
        The viewer; napari fills it in.
    """
    docks = [viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=n > 0)[0] for n, name in enumerate(WIDGETS)]
    for dock, name in zip(docks, WIDGETS, strict=True):
        # With the plugin's name behind it, which napari adds, the tabs do not fit side by side.
        dock.setWindowTitle(name)
    if preference("viewing", "three_planes", False):
        open_planes(viewer)
    docks[0].show()
    docks[0].raise_()


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
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    # A tab beside the others; below them, both would be too low.
    dock, widget = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.setWindowTitle(name)
    dock.show()
    dock.raise_()
    return widget
