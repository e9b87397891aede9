"""Show any objective's picture: its images side by side, in place of the case."""

import numpy as np
from napari.layers import Layer

from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.viewer.case_view import CaseView, name_in_cell
from napari_mmssl.viewer.layers import LayerTuple, image_layer
from napari_mmssl.viewer.panel import Panel
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import Volume

ROLE = "picture "


def picture_layers(picture: Picture) -> list[LayerTuple]:
    """Return one image layer for each image in ``picture`` that lies in space; other kinds have no layer yet."""
    return [_layer(picture, item) for item in picture.items if item.kind == "image" and item.affine is not None]


def picture_words(picture: Picture) -> str:
    """Return what a person sees, one line an item."""
    seen = [f"{item.name}: {item.shows}" for item in picture.items if item.kind == "image"]
    return f"'{picture.case}', {picture.name.replace('_', ' ')}, step {picture.step}\n" + "\n".join(seen)


def _layer(picture: Picture, item: PictureItem) -> LayerTuple:
    # Pictures are kept in half precision, which OpenGL textures of napari do not take.
    array = item.array.astype(np.float32, copy=False)
    z, y, x = array.shape
    volume = Volume(array, Geometry((z, y, x), np.asarray(item.affine)))
    data, state, kind = image_layer(volume, item.name, case=picture.case, role=f"{ROLE}{item.name}")
    return data, state | {"interpolation2d": "nearest"}, kind


class PictureView:
    """Shows one picture in the viewer of ``panel``; :meth:`clear` leaves the viewer as it was."""

    def __init__(self, panel: Panel) -> None:
        self._viewer, self._view = panel.viewer, CaseView(panel.viewer)
        self._hidden: list[Layer] = []
        self._point: tuple[float, ...] = ()
        self._shown = False

    def show(self, picture: Picture) -> None:
        """Show the images of ``picture`` in the cells of a grid; other layers of ours are hidden."""
        self.clear()
        self._shown, self._point = True, self._viewer.dims.point
        for layer, _ in self._view.ours():
            if layer.visible:
                layer.visible = False
                self._hidden.append(layer)
        layers = [self._view.add(layer_tuple) for layer_tuple in picture_layers(picture)]
        self._view.arrange(layers)
        for layer in layers:
            name_in_cell(layer)
        grid = self._viewer.canvas.grid
        grid.shape, grid.stride, grid.enabled = _grid_of(len(layers)), 1, True
        if layers:
            self._viewer.reset_view(layers=layers)
            self._viewer.dims.set_point(range(3), layers[0].extent.world.mean(axis=0))

    def clear(self) -> None:
        """Take the picture away and show again what was hidden for it."""
        if not self._shown:
            return
        self._shown = False
        self._view.remove_roles([o.role for _, o in self._view.ours() if o.role and o.role.startswith(ROLE)])
        for layer in self._hidden:
            layer.visible = True
        self._hidden.clear()
        grid = self._viewer.canvas.grid
        grid.shape, grid.stride, grid.enabled = (-1, -1), 1, False
        self._viewer.reset_view()
        if len(self._point) == self._viewer.dims.ndim:
            self._viewer.dims.set_point(range(len(self._point)), self._point)


def _grid_of(n_cells: int) -> tuple[int, int]:
    """Return rows and columns for ``n_cells``, wider than high."""
    columns = max(1, int(np.ceil(np.sqrt(n_cells))))
    return max(1, int(np.ceil(n_cells / columns))), columns
