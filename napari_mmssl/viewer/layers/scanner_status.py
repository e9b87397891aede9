"""The status bar in scanner millimetres, as a clinician writes them; true for tilted scans too.

napari draws a tilted scan straight (``placing``), and its own coordinates are those of the drawing.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.viewer.layers.anatomy import position_words
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, Origin
from napari_mmssl.volumes.geometry import to_canonical

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: What napari writes between coordinates and values where several layers are selected.
_SIGN = " » "


def tell_scanner_position(viewer: "ViewerModel") -> None:
    """Let the status of ``viewer`` tell where in the scanner the cursor is while one of our layers is selected."""
    # Last, or the window would show napari's words after ours. Connecting twice does nothing.
    viewer.events.status.connect(_reworded, position="last")


def scanner_position(layer: Any, world: Any) -> np.ndarray | None:
    """Return ``(R, A, S)`` in mm of what ``layer`` shows at napari's ``world``; ``None`` if it is not ours, or cut."""
    origin = layer.metadata.get(METADATA_KEY)
    if not isinstance(origin, Origin) or len(world) != 3:
        return None
    canonical = to_canonical(origin.geometry).apply_to(origin.geometry)
    return canonical.index_to_world(layer.world_to_data(world)) if canonical.shape == layer.data.shape else None


def _reworded(event: Any) -> None:
    viewer = event.source
    status, selected = viewer.status, [layer for layer in reversed(viewer.layers) if layer in viewer.layers.selection]
    places = (scanner_position(layer, viewer.cursor.position) for layer in selected)
    position = next((place for place in places if place is not None), None)
    if position is None:
        return
    words = position_words(position.tolist())
    if isinstance(status, dict) and status.get("coords"):
        value = status.get("value")
        viewer.status = {**status, "coords": words, "coordinates": f"{words}: {value}" if value else words}
    elif isinstance(status, str) and _SIGN in status and not viewer.canvas.grid.enabled:
        viewer.status = f"{words}{_SIGN}{status.partition(_SIGN)[2]}"
