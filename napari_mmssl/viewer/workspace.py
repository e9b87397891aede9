"""The command *MMSSL: open workspace*: all four widgets, arranged."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-mmssl"
WIDGETS = ("Cases", "Pretext", "Train", "Segment")


def open_workspace(viewer: "napari.viewer.Viewer") -> None:
    """Open all widgets as tabs of one dock on the right, *Cases* in front.

    Parameters
    ----------
    viewer
        The viewer; napari fills it in.
    """
    docks = [viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=n > 0)[0] for n, name in enumerate(WIDGETS)]
    for dock, name in zip(docks, WIDGETS, strict=True):
        # With the plugin's name behind it, which napari adds, four tabs do not fit side by side.
        dock.setWindowTitle(name)
    docks[0].show()
    docks[0].raise_()
