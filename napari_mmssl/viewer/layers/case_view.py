"""The layers of the case in hand. Everything of ours that adds, replaces or removes layers goes through here."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_mmssl.cohorts.modalities import MODALITIES
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, centre_of_labels, coarse_below
from napari_mmssl.viewer.layers.orientation_letters import prepare_camera, show_plane
from napari_mmssl.viewer.layers.strokes import tell_undone
from napari_mmssl.viewer.reading import Opened
from napari_mmssl.viewer.writers import COPY_ROLE
from napari_mmssl.volumes.geometry import to_canonical

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Set in a layer's metadata once a person painted on it.
_PAINTED = "mmssl_painted"


class CaseView:
    """Shows one case at a time in ``viewer``: stacked, or its sequences side by side.

    Layers are told by the origin in their metadata, so those opened by dropping a folder on the window are taken
    over, and layers of other people are never touched.
    """

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer

    def show(self, opened: Opened) -> list[str]:
        """Show ``opened`` in place of the case shown before; return what a person should know, one sentence each.

        Layers of the same role are given the new data and keep what the person set on them (visibility, colours of
        images, opacity). Label maps that were painted on stay.
        """
        notes = prepare_camera(self._viewer)
        side_by_side = self._viewer.canvas.grid.enabled and bool(self._of_role(COPY_ROLE))
        self._remove(self._of_role(COPY_ROLE))
        old = {origin.role: layer for layer, origin in self.ours() if origin.case is not None}
        notes += self._set_painted_aside(old)
        before, plane, there = _extent(old.values()), _plane_of_slices(old.values()), set(self._viewer.layers)
        for layer_tuple in opened.layers:
            self._place(layer_tuple, old.pop(layer_tuple[1]["metadata"][METADATA_KEY].role, None))
        self._remove(old.values())
        if side_by_side:
            self.show_side_by_side()
        else:
            self.arrange(self._stacked())
        if not there.issuperset(self._viewer.layers):
            # What is in hand is what lies on top, not what was added last.
            self._viewer.layers.selection.active = self.ours()[-1][0]
        self._face_slices(plane)
        self._look_at(opened, before)
        return [*notes, *opened.notes, *opened.problems]

    def add(self, layer_tuple: LayerTuple) -> Layer:
        """Add one layer to the case shown, or give its data to the layer that has its role."""
        if not self._viewer.layers:
            prepare_camera(self._viewer)
        wanted: Origin = layer_tuple[1]["metadata"][METADATA_KEY]
        same = [layer for layer, origin in self.ours() if (origin.case, origin.role) == (wanted.case, wanted.role)]
        layer = self._place(layer_tuple, same[0] if same else None)
        if self._of_role(COPY_ROLE):
            self.show_side_by_side()
        return layer

    def go_to_labels(self, layer: Labels) -> None:
        """Show the slices with most labels of ``layer``; nothing happens if it has none, or some are in view."""
        centre = centre_of_labels(layer.as_layer_data_tuple())
        if centre is not None and not self._in_view(layer):
            self._go_to(centre)

    def remove_roles(self, roles: Iterable[str]) -> None:
        """Remove our layers of these roles."""
        self._remove([layer for role in roles for layer in self._of_role(role)])

    def ours(self) -> list[tuple[Layer, Origin]]:
        """Return our layers, bottom first, with where they came from."""
        found = [(layer, layer.metadata.get(METADATA_KEY)) for layer in self._viewer.layers]
        return [(layer, origin) for layer, origin in found if isinstance(origin, Origin)]

    def of_role(self, role: str) -> Layer | None:
        """Return the layer of ``role`` in the case shown, or ``None``."""
        layers = self._of_role(role)
        return layers[0] if layers else None

    def scanner_position(self, world: Sequence[float]) -> np.ndarray:
        """Return the scanner position ``(R, A, S)`` in mm of what napari draws at ``world`` ``(S, A, R)``.

        The two differ for a tilted scan only, which napari draws straight; the topmost visible image counts.
        """
        point = np.asarray(world, dtype=np.float64)
        shown = [(layer, origin) for layer, origin in self.ours() if layer.visible and isinstance(layer, Image)]
        if not shown:
            return point[::-1]
        layer, origin = shown[-1]
        index = (point - np.array(layer.translate)) / np.array(layer.scale)
        return to_canonical(origin.geometry).apply_to(origin.geometry).index_to_world(index)

    def show_side_by_side(self) -> None:
        """Show each image in its own cell of napari's grid, with the labels over every one of them."""
        self._remove(self._of_role(COPY_ROLE))
        active = self._viewer.layers.selection.active
        images, labels = ([layer for layer, _ in self._by_kind(kind)] for kind in (Image, Labels))
        copies = [self._copies_of(layer, len(images) - 1) for layer in labels]
        order: list[Layer] = []
        for n, image in enumerate(images):
            over = [layer if n == 0 else copy[n - 1] for layer, copy in zip(labels, copies, strict=True)]
            order += [image, *over]
        self.arrange(order)
        for image in images:
            name_in_cell(image)
        grid = self._viewer.canvas.grid
        grid.stride, grid.enabled = 1 + len(labels), True
        self._viewer.layers.selection.active = active
        self._viewer.reset_view()

    def show_stacked(self) -> None:
        """Show all layers in one view, one over the other."""
        self._remove(self._of_role(COPY_ROLE))
        grid = self._viewer.canvas.grid
        grid.stride, grid.enabled = 1, False
        for layer, _ in self.ours():
            layer.name_overlay.visible = False
        self.arrange(self._stacked())
        self._viewer.reset_view()

    def _stacked(self) -> list[Layer]:
        """Return our layers as they lie over each other."""
        images = coarse_below([layer for layer, _ in self._by_kind(Image)], lambda layer: layer.scale)
        return [*images, *(layer for layer, _ in self._by_kind(Labels))]

    def _face_slices(self, before: str) -> None:
        """Show the plane in which the case was scanned, where that is another one than that of the case before."""
        plane = _plane_of_slices(layer for layer, origin in self.ours() if origin.case is not None)
        if plane != before:
            show_plane(self._viewer, plane)

    def _by_kind(self, kind: type[Layer]) -> list[tuple[Layer, Origin]]:
        """Return our layers of one kind, in the order in which people list modalities."""
        found = [(layer, origin) for layer, origin in self.ours() if isinstance(layer, kind)]
        return sorted(found, key=lambda pair: _rank(pair[1].role))

    def arrange(self, order: Iterable[Layer]) -> None:
        """Put these layers undermost in napari's list, in this order."""
        for place, layer in enumerate(order):
            current = self._viewer.layers.index(layer)
            if current != place:
                self._viewer.layers.move(current, place)

    def _copies_of(self, layer: Labels, count: int) -> list[Labels]:
        data, state, _ = layer.as_layer_data_tuple()
        origin: Origin = state["metadata"][METADATA_KEY]
        shown_again = Origin(origin.geometry, origin.path, origin.case, COPY_ROLE, classes=origin.classes)
        state = state | {"metadata": {METADATA_KEY: shown_again}}
        copies = [Labels(data, **state | {"name": f"{layer.name} ({n + 2})"}) for n in range(count)]
        for copy in copies:
            tell_undone(copy)
            self._viewer.add_layer(copy)
        together = [layer, *copies]
        for one in together:
            others = [other for other in together if other is not one]
            # One array stands behind all of them; napari redraws only the layer that was painted on.
            one.events.paint.connect(lambda event, others=others: [other.refresh() for other in others])
            one.events.paint.connect(lambda event: _mark_painted(layer))
            one.events.visible.connect(lambda event, one=one, others=others: _set_all(others, "visible", one.visible))
            one.events.opacity.connect(lambda event, one=one, others=others: _set_all(others, "opacity", one.opacity))
        return copies

    def _place(self, layer_tuple: LayerTuple, old: Layer | None) -> Layer:
        data, state, kind = layer_tuple
        if old is not None and isinstance(old, Labels if kind == "labels" else Image):
            _replace(old, data, state)
            return old
        if old is not None:
            self._remove([old])
        layer = Layer.create(data, state, kind)
        if isinstance(layer, Labels):
            tell_undone(layer)
            layer.events.paint.connect(lambda event: _mark_painted(layer))
        self._viewer.add_layer(layer)
        return layer

    def _set_painted_aside(self, old: dict[str | None, Layer]) -> list[str]:
        notes = []
        for role, layer in list(old.items()):
            if layer.metadata.get(_PAINTED):
                del old[role]
                origin: Origin = layer.metadata[METADATA_KEY]
                layer.metadata[METADATA_KEY] = Origin(origin.geometry, origin.path, None, None, False, origin.classes)
                layer.visible = False
                notes.append(f"'{layer.name}' was painted on and is kept, hidden; save it or delete it")
        return notes

    def _remove(self, layers: Iterable[Layer]) -> None:
        layers = [layer for layer in layers if layer in self._viewer.layers]
        if not layers:
            return
        active = self._viewer.layers.selection.active
        # napari 0.9.2 repaints while it removes a selected layer, with Mesa's OpenGL into freed memory.
        self._viewer.layers.selection.clear()
        for layer in layers:
            self._viewer.layers.remove(layer)
        if active in self._viewer.layers:
            self._viewer.layers.selection.active = active

    def _of_role(self, role: str) -> list[Layer]:
        return [layer for layer, origin in self.ours() if origin.role == role]

    def _look_at(self, opened: Opened, before: np.ndarray | None) -> None:
        """Go to the middle of the label map, or of the scans; fit the view if another part of space is shown."""
        shown = [layer for layer, origin in self.ours() if origin.case is not None]
        after = _extent(shown)
        if after is None:
            return
        if before is None or not np.allclose(before, after, atol=1):
            self._viewer.reset_view()
        # The middle of one scan, since the middle of several may lie between them.
        first = next((layer for layer in shown if isinstance(layer, Image)), shown[0])
        self._go_to(opened.centre or first.extent.world[:, -3:].mean(axis=0))

    def _in_view(self, layer: Labels) -> bool:
        """Whether the slice that is shown holds labels of ``layer``."""
        axis = self._viewer.dims.order[0]
        if self._viewer.dims.ndim != layer.ndim or self._viewer.dims.ndisplay != 2:
            return False
        index = round(float(layer.world_to_data(self._viewer.dims.point)[axis]))
        return 0 <= index < layer.data.shape[axis] and bool(layer.data.take(index, axis).any())

    def _go_to(self, point: Sequence[float]) -> None:
        first = self._viewer.dims.ndim - 3
        self._viewer.dims.set_point(range(first, first + 3), point)


def name_in_cell(layer: Layer) -> None:
    """Show the name of ``layer`` below, in its cell of the grid, where no orientation letter stands."""
    layer.name_overlay.font_size = 8
    layer.name_overlay.position = "bottom_left"
    layer.name_overlay.visible = True


def mark_saved(layer: Layer) -> None:
    """Note that what was painted on ``layer`` is on disk, so that the next case may replace it."""
    layer.metadata.pop(_PAINTED, None)


def _mark_painted(layer: Layer) -> None:
    layer.metadata[_PAINTED] = True


def _replace(layer: Layer, data: np.ndarray, state: dict[str, Any]) -> None:
    layer.data = data
    for name in ("scale", "translate"):
        # Each is an event that makes napari slice again.
        if tuple(getattr(layer, name)) != state[name]:
            setattr(layer, name, state[name])
    before, layer.metadata = layer.metadata.get(METADATA_KEY), state["metadata"]
    layer.name = state["name"]
    if isinstance(layer, Image):
        low, high = state["contrast_limits"]
        layer.contrast_limits_range = (low - (high - low) / 2, high + (high - low))
        layer.contrast_limits = (low, high)
    elif "colormap" in state and not (
        # A new colour map makes napari colour every slice anew, for the classes that nearly all cases share.
        isinstance(before, Origin) and before.classes == state["metadata"][METADATA_KEY].classes
    ):
        layer.colormap = state["colormap"]
        layer.features = state["features"]


def _extent(layers: Iterable[Layer]) -> np.ndarray | None:
    extents = [layer.extent.world[:, -3:] for layer in layers]
    if not extents:
        return None
    return np.array([np.min([e[0] for e in extents], axis=0), np.max([e[1] for e in extents], axis=0)])


def _plane_of_slices(layers: Iterable[Layer]) -> str:
    """Return the plane in which most of the first image's voxels lie: axial unless it has few slices another way."""
    shape = next((layer.data.shape[-3:] for layer in layers if isinstance(layer, Image)), (1, 1, 1))
    axis = int(np.argmin(shape))
    few = shape[axis] <= min(n for other, n in enumerate(shape) if other != axis) / 2
    return ("axial", "coronal", "sagittal")[axis if few else 0]


def _rank(role: str | None) -> int:
    known = list(MODALITIES)
    return known.index(role) if role in known else len(known)


def _set_all(layers: Iterable[Layer], name: str, value: Any) -> None:
    for layer in layers:
        if getattr(layer, name) != value:
            setattr(layer, name, value)
