"""Show any objective's picture in place of the case: images, the labels, points and lines on them, and matrices."""

from collections.abc import Sequence

import numpy as np

from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, image_layer, labels_layer
from napari_mmssl.viewer.layers.placing import AXIS_LABELS, UNITS, contrast_limits, display_place
from napari_mmssl.viewer.layers.stage import Stage
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.volumes.geometry import Geometry, to_canonical
from napari_mmssl.volumes.volume import LabelMap, Volume

ROLE = "picture "
#: Of Okabe and Ito's colours: what is shown on top, one after the other.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442")
_POINT_MM, _LINE_MM = 4.0, 0.8
#: Shown in the grey of the target, so that a person can compare them.
_LIKE_TARGET = ("masked", "filled", "distorted", "reconstruction", "restored")


def picture_layers(picture: Picture) -> list[LayerTuple]:
    """Return everything in ``picture`` that lies in space, as layers, cell after cell."""
    return [layer for cell in picture_cells(picture) for layer in cell]


def picture_cells(picture: Picture) -> list[list[LayerTuple]]:
    """Return the layers of each cell of the grid, as many in each.

    Two people with lines between them share one cell, since lines cross it. Label maps lie over the first image, a
    cell for each. Points lie over the image whose name theirs ends with, and over every image if there is none.
    """
    images = [item for item in picture.items if item.kind == "image" and item.affine is not None]
    labels = [item for item in picture.items if item.kind == "labels" and item.affine is not None]
    points = [item for item in picture.items if item.kind == "points" and len(item.array)]
    lines = [item for item in picture.items if item.kind == "lines" and len(item.array)]
    if not images:
        return []
    if lines:
        over = [_overlay(picture, images, item, n) for n, item in enumerate([*lines, *points])]
        return [[*(_image(picture, item) for item in images), *over]]
    if labels:
        return [[_image(picture, images[0], item.name), _labels(picture, item)] for item in labels]
    cells = []
    for image in images:
        mine = [item for item in points if item.name.endswith(f"_{image.name}")]
        # What belongs to every image lies on top, so that it is not hidden.
        mine += [item for item in points if not _of_an_image(item, images)]
        over = [_overlay(picture, images, item, n, image.name) for n, item in enumerate(mine)]
        cells.append([_image(picture, image), *over])
    # A grid takes as many layers from each cell.
    return cells if len({len(cell) for cell in cells}) == 1 else [cell[:1] for cell in cells]


def picture_words(picture: Picture) -> str:
    """Return what a person sees, one line an item."""
    seen = [f"{_plain(item.name)}: {item.shows}" for item in picture.items]
    if "matched_share" in picture.details:
        seen.append(f"{picture.details['matched_share']:.0%} of the tokens have a match")
    if "shown" in picture.details:
        seen.append(f"the network was shown {', '.join(picture.details['shown'])}")
    return f"'{picture.case}', {_plain(picture.name)}, step {picture.step}\n" + "\n".join(seen)


def _plain(name: str) -> str:
    """Return the name of an item as it is written for a person."""
    return name.replace("_", " ").replace("/", ", ")


def _of_an_image(item: PictureItem, images: Sequence[PictureItem]) -> bool:
    return any(item.name.endswith(f"_{image.name}") for image in images)


def _image(picture: Picture, item: PictureItem, under: str = "") -> LayerTuple:
    # Pictures are kept in half precision, which OpenGL textures of napari do not take.
    array = item.array.astype(np.float32, copy=False)
    role = f"{ROLE}{item.name}{f' under {under}' if under else ''}"
    name = _plain(f"{under} on {item.name}" if under else item.name)
    data, state, kind = image_layer(Volume(array, _geometry(item)), name, case=picture.case, role=role)
    yardstick = _yardstick(picture, item)
    if yardstick is not None:
        state = state | {"contrast_limits": contrast_limits(yardstick.array.astype(np.float32, copy=False))}
    return data, state | {"interpolation2d": "nearest"}, kind


def _yardstick(picture: Picture, item: PictureItem) -> PictureItem | None:
    """Return the image whose grey an answer is held against: ``target``, or ``first`` for ``first_inpainted``."""
    images = {one.name: one for one in picture.items if one.kind == "image"}
    if "target" in images and item.name in _LIKE_TARGET:
        return images["target"]
    return images.get(item.name.partition("_")[0])


def _labels(picture: Picture, item: PictureItem) -> LayerTuple:
    label_map = LabelMap(item.array.astype(np.uint8), _geometry(item))
    return labels_layer(label_map, _plain(item.name), case=picture.case, role=f"{ROLE}{item.name}")


def _overlay(
    picture: Picture, images: Sequence[PictureItem], item: PictureItem, number: int, cell: str = ""
) -> LayerTuple:
    """Return points or lines of ``item`` where napari draws the image that they were measured on."""
    grid = next((image for image in images if _one_place(image, item)), images[0])
    geometry = _geometry(grid)
    place = display_place(geometry)
    affine = np.asarray(item.affine if item.affine is not None else grid.affine, dtype=float)
    world = np.asarray(item.array, dtype=float) @ affine[:3, :3].T + affine[:3, 3]
    canonical = to_canonical(geometry).apply_to(geometry)
    drawn = canonical.world_to_index(world.reshape(-1, 3)).reshape(world.shape) * place.scale + place.translate
    role = f"{ROLE}{item.name}{f' in {cell}' if cell else ''}"
    state = {
        "name": f"{item.name.replace('_', ' ')}{f' ({cell})' if cell and not item.name.endswith(cell) else ''}",
        "units": UNITS,
        "axis_labels": AXIS_LABELS,
        "metadata": {METADATA_KEY: Origin(geometry, case=picture.case, role=role)},
    }
    colour = _COLOURS[number % len(_COLOURS)]
    if item.kind == "lines":
        # napari's vectors: where they begin, and which way and how far they go.
        vectors = np.stack([drawn[:, 0], drawn[:, 1] - drawn[:, 0]], axis=1)
        return vectors, state | {"edge_color": colour, "edge_width": _LINE_MM, "vector_style": "line"}, "vectors"
    seen = {"face_color": colour, "border_color": "black", "size": _POINT_MM, "symbol": "disc"}
    return drawn, state | seen, "points"


def _one_place(image: PictureItem, item: PictureItem) -> bool:
    return image.affine is not None and item.affine is not None and np.allclose(image.affine, item.affine)


def _geometry(item: PictureItem) -> Geometry:
    z, y, x = item.array.shape
    return Geometry((z, y, x), np.asarray(item.affine))


class PictureView:
    """Shows one picture in the viewer of ``panel``; :meth:`clear` leaves the viewer as it was."""

    def __init__(self, panel: Panel) -> None:
        self._stage = Stage(panel.viewer, ROLE)

    def show(self, picture: Picture) -> None:
        """Show what of ``picture`` lies in space in the cells of a grid, in place of the case."""
        cells = picture_cells(picture)
        # Tokens lie between the slices: all of them are seen from every slice.
        through = any(kind in ("points", "vectors") for cell in cells for _, _, kind in cell)
        layers = [layer for cell in cells for layer in cell]
        self._stage.show(layers, _grid_of(len(cells)), stride=len(cells[0]) if cells else 1, through=through)

    def clear(self) -> None:
        """Take the picture away and show the case again."""
        self._stage.clear()


def _grid_of(n_cells: int) -> tuple[int, int]:
    """Return rows and columns for ``n_cells``, wider than high."""
    columns = max(1, int(np.ceil(np.sqrt(n_cells))))
    return max(1, int(np.ceil(n_cells / columns))), columns
