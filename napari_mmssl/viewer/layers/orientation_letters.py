"""R, L, A, P, S and I at the edges of the canvas, and a camera that never mirrors the patient.

napari's text overlays are used (``viewer.canvas.overlays`` takes further ones), so the letters are drawn by napari,
repeat in every cell of its grid and stand in its screenshots.
"""

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.components.overlays import TextOverlay

from napari_mmssl.viewer.layers.anatomy import (
    PLANES,
    Convention,
    depth_without_mirroring,
    edge_letters,
    orientation_2d,
)
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.layers.scanner_status import tell_scanner_position
from napari_mmssl.viewer.session import session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

_POSITIONS = {"top": "top_center", "bottom": "bottom_center", "left": "middle_left", "right": "middle_right"}
_FONT_SIZE = 14
#: Shown in every cell of a grid, one for each axis; the names of layers stand where the others would be.
_IN_CELLS = ("top", "left")


class OrientationLetters:
    """Keeps the letters of one viewer true; make it with :func:`face_patient`."""

    def __init__(self, viewer: "ViewerModel") -> None:
        self._dims, self._camera, self._layers = viewer.dims, viewer.scene.camera, viewer.layers
        self._grid = viewer.canvas.grid
        self.overlays: dict[str, Any] = {}
        for edge, position in _POSITIONS.items():
            overlay = TextOverlay(position=position, gridded=True, font_size=_FONT_SIZE)
            viewer.canvas.overlays[f"mmssl_{edge}"] = overlay
            self.overlays[edge] = overlay
        for event in (viewer.dims.events.order, viewer.dims.events.ndisplay, viewer.dims.events.ndim):
            event.connect(self.refresh)
        viewer.scene.camera.events.orientation.connect(self.refresh)
        self._grid.events.enabled.connect(self.refresh)
        viewer.layers.events.inserted.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Write the letters for what is on screen now; hide them in 3-D, where they would be wrong soon."""
        order = _anatomical(self._dims.order, self._dims.ndim)
        shows_ours = order is not None and any(METADATA_KEY in layer.metadata for layer in self._layers)
        if shows_ours and order is not None:
            self._keep_unmirrored(order)
        shown = shows_ours and self._dims.ndisplay == 2
        if shown and order is not None:
            vertical, horizontal = (str(sense) for sense in self._camera.orientation2d)
            for edge, letter in edge_letters(order[1:], vertical, horizontal).items():
                self.overlays[edge].text = letter
        for edge, overlay in self.overlays.items():
            overlay.visible = shown and (edge in _IN_CELLS or not self._grid.enabled)

    def _keep_unmirrored(self, order: tuple[int, ...]) -> None:
        _, vertical, horizontal = (str(sense) for sense in self._camera.orientation)
        wanted = (depth_without_mirroring(order, vertical, horizontal), vertical, horizontal)
        if tuple(str(sense) for sense in self._camera.orientation) != wanted:
            self._camera.orientation = wanted


_letters: "WeakKeyDictionary[Any, OrientationLetters]" = WeakKeyDictionary()


def face_patient(viewer: "ViewerModel", convention: Convention = "radiological") -> OrientationLetters:
    """Turn the camera of ``viewer`` to ``convention`` and show the letters; safe to call again."""
    session_of(viewer).convention = convention
    viewer.scene.camera.orientation2d = orientation_2d(convention)
    return show_letters(viewer)


def prepare_camera(viewer: "ViewerModel") -> list[str]:
    """Make ``viewer`` ready for scans and return what a person should know about it, one sentence each.

    An empty viewer is turned to the convention of its session. One that shows somebody else's layers is left as it
    is, since they were not made for our axes; then a sentence says which side is which.
    """
    tell_scanner_position(viewer)
    if not viewer.layers:
        face_patient(viewer, session_of(viewer).convention)
        return []
    show_letters(viewer)
    if all(METADATA_KEY in layer.metadata for layer in viewer.layers):
        return []
    vertical, horizontal = (str(sense) for sense in viewer.scene.camera.orientation2d)
    letters = edge_letters((1, 2), vertical, horizontal)
    side, upwards = "right" if letters["left"] == "R" else "left", "front" if letters["top"] == "A" else "back"
    return [
        f"other layers are open, so the view was not turned: the patient's {side} is on the left of the screen and "
        f"the {upwards} is up; the letters at the edges tell, and Cases > view turns it"
    ]


def show_letters(viewer: "ViewerModel") -> OrientationLetters:
    """Return the letters of ``viewer``, made at the first call, without turning its camera."""
    if viewer not in _letters:
        _letters[viewer] = OrientationLetters(viewer)
    return _letters[viewer]


def show_plane(viewer: "ViewerModel", plane: str) -> None:
    """Show the ``axial``, ``coronal`` or ``sagittal`` plane in two dimensions, head or front up."""
    extra = viewer.dims.ndim - 3
    if extra < 0:
        return
    viewer.dims.ndisplay = 2
    viewer.dims.order = (*range(extra), *(axis + extra for axis in PLANES[plane]))


def _anatomical(order: tuple[int, ...], ndim: int) -> tuple[int, ...] | None:
    """Return the last three displayed axes counted from S; ``None`` if one of them is no anatomical axis."""
    axes = tuple(axis - (ndim - 3) for axis in order[-3:])
    return axes if sorted(axes) == [0, 1, 2] else None
