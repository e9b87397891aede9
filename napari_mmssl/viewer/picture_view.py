"""Show any objective's picture: its images side by side, in place of the case."""

import numpy as np

from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.viewer.layers import LayerTuple, image_layer
from napari_mmssl.viewer.panel import Panel
from napari_mmssl.viewer.stage import Stage
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
        self._stage = Stage(panel.viewer, ROLE)

    def show(self, picture: Picture) -> None:
        """Show the images of ``picture`` in the cells of a grid, in place of the case."""
        layers = picture_layers(picture)
        self._stage.show(layers, _grid_of(len(layers)))

    def clear(self) -> None:
        """Take the picture away and show the case again."""
        self._stage.clear()


def _grid_of(n_cells: int) -> tuple[int, int]:
    """Return rows and columns for ``n_cells``, wider than high."""
    columns = max(1, int(np.ceil(np.sqrt(n_cells))))
    return max(1, int(np.ceil(n_cells / columns))), columns
