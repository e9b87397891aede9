"""A puzzle picture as layers, and as the steps from shuffled to solved. Knows no Qt and no napari."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.ops.permutations import invert, shuffle
from napari_mmssl.ops.puzzle_pictures import picture_unsolved
from napari_mmssl.ops.puzzles import Mode, draw_puzzle
from napari_mmssl.ops.tiles import Grid, join_tiles, split_tiles
from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.tasks.conventions import colour
from napari_mmssl.viewer.layers.layer_data import LayerTuple, image_layer, labels_layer
from napari_mmssl.viewer.layers.placing import contrast_limits, darkened
from napari_mmssl.volumes.geometry import Affine, Geometry
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

IMAGES = ("source", "mixed", "shuffled", "solved")
#: Prefix of the roles of puzzle layers.
ROLE = "puzzle "
#: Labels layers that colour tiles by modality; off until asked for.
MODALITY_ROLES = tuple(f"{ROLE}{name} modality" for name in IMAGES[:3])
WRONG_ROLE = f"{ROLE}wrong tiles"
_WRONG = LabelClass(1, "wrong tile", "#ff4040")


def is_puzzle(picture: Picture) -> bool:
    """Whether ``picture`` shows tiles that a network put in their places, whichever objective drew it."""
    return "perm" in picture.details and {*IMAGES[:3]} <= {item.name for item in picture.items}


def unsolved_puzzle(
    prepared: PreparedCase, modalities: Sequence[str], grid: Grid, *, seed: int, mode: Mode, jitter: int
) -> Picture:
    """Return the puzzle of a whole body that chance makes with ``seed``; nobody has solved it.

    Parameters
    ----------
    prepared
        The case.
    modalities
        Which of its modalities to mix.
    grid
        Tiles along ``(z, y, x)``.
    seed, mode, jitter
        As in :func:`napari_mmssl.ops.puzzles.draw_puzzle`.

    Raises
    ------
    ConfigError
        If no modality is chosen, or the grid has more tiles than voxels along an axis.
    """
    channels = [n for n, name in enumerate(prepared.modalities) if name in modalities]
    if not channels:
        raise ConfigError("choose at least one modality for the puzzle")
    shape = prepared.volumes.shape[-3:]
    if any(size < cells * (jitter + 1) for size, cells in zip(shape, grid, strict=True)):
        raise ConfigError(f"{grid} tiles do not fit on {shape} voxels; take fewer")
    # Whole cells only: a tile must fit at any place.
    z, y, x = (size - size % cells for size, cells in zip(shape, grid, strict=True))
    volumes = np.asarray(prepared.volumes[:, :z, :y, :x])
    draw = draw_puzzle(
        np.random.default_rng(seed), int(np.prod(grid)), channels, mode=mode, jitter=jitter, centred=True
    )
    items, details = picture_unsolved(
        volumes=volumes,
        names=prepared.modalities,
        draw=draw,
        grid=grid,
        jitter=jitter,
        affine=prepared.geometry.affine,
    )
    return Picture("puzzle", 0, prepared.id, tuple(items), details)


@dataclass(frozen=True, eq=False)
class PuzzleView:
    """A puzzle to look at; from a run's network, or unsolved, and then the true answer is shown."""

    picture: Picture

    @cached_property
    def items(self) -> dict[str, PictureItem]:
        """The picture's items by name."""
        return {item.name: item for item in self.picture.items}

    @property
    def grid(self) -> Grid:
        """Tiles along ``(z, y, x)``."""
        z, y, x = self.picture.details["grid"]
        return z, y, x

    @property
    def perm(self) -> npt.NDArray[np.int64]:
        """True place of each shuffled tile."""
        return np.array(self.picture.details["perm"], dtype=np.int64)

    @property
    def is_solved(self) -> bool:
        """Whether a network answered."""
        return "matched" in self.picture.details

    @property
    def answer(self) -> npt.NDArray[np.int64]:
        """Place at which each shuffled tile is put: the network's answer, or the true one if there is none."""
        return np.array(self.picture.details.get("matched", self.picture.details["perm"]), dtype=np.int64)

    @cached_property
    def _shuffled_cells(self) -> np.ndarray:
        return np.asarray(split_tiles(_float(self.items["shuffled"].array), self.grid))

    def put_together(self, n_tiles: int) -> np.ndarray:
        """Return the puzzle after the first ``n_tiles`` places have got the tile the answer puts there."""
        shape = self.items["shuffled"].array.shape
        arrangement = arrangement_after(self.answer, n_tiles)
        return np.asarray(join_tiles(self._shuffled_cells[arrangement], self.grid, shape))

    def darkened(self, array: np.ndarray) -> np.ndarray:
        """Return ``array`` with what is empty as dark as the darkest tissue."""
        return darkened(array, self._dark)

    def tile_at(self, role: str, world_sar: Sequence[float], n_solved: int) -> str | None:
        """Return what lies at a world position ``(S, A, R)`` of one of the images, in words; ``None`` outside.

        Parameters
        ----------
        role
            Role of the layer under the mouse.
        world_sar
            Position in mm.
        n_solved
            How many places have got their tile, for the *solved* image.
        """
        place = self._place_at(world_sar)
        name = role.removeprefix(ROLE)
        if place is None or name not in IMAGES:
            return None
        details = self.picture.details
        if name == "source":
            return f"source, place {place + 1}"
        if name == "mixed":
            return f"place {place + 1}, drawn as {details['modalities'][details['tile_modality'][place]]}"
        tile = place if name == "shuffled" else int(arrangement_after(self.answer, n_solved)[place])
        home = int(self.perm[tile])
        modality = details["modalities"][details["tile_modality"][home]]
        where = "at home" if home == place else f"lies at place {place + 1}, comes from place {home + 1}"
        return f"tile {tile + 1}, {modality}: {where}"

    @cached_property
    def _dark(self) -> float:
        return contrast_limits(_float(self.items["mixed"].array))[0]

    def layers(self) -> list[LayerTuple]:
        """Return four images and, after each, the labels that lie over it: pairs, for the cells of a grid."""
        names = self.picture.details["modalities"]
        classes = tuple(LabelClass(n, name, colour(n - 1)) for n, name in enumerate(names, start=1))
        by_place = self.items["modality_of_tile"].array
        cells = split_tiles(by_place, self.grid)
        by_tile = join_tiles(shuffle(cells, self.perm), self.grid, by_place.shape)
        limits = (self._dark, contrast_limits(_float(self.items["mixed"].array))[1])
        layers: list[LayerTuple] = []
        for name in IMAGES:
            array = self.put_together(len(self.perm)) if name == "solved" else _float(self.items[name].array)
            layers.append(self._image(name, array, limits))
            if name == "solved":
                layers.append(self._labels(WRONG_ROLE, self._wrong(), (_WRONG,), visible=True))
            else:
                shown = by_tile if name == "shuffled" else by_place
                layers.append(self._labels(f"{ROLE}{name} modality", shown, classes, visible=False))
        return layers

    def words(self) -> str:
        """Return what a person sees, in one line."""
        names, drawn = self.picture.details["modalities"], self.picture.details["tile_modality"]
        mixed = ", ".join(f"{names[n]} {drawn.count(n)}" for n in sorted(set(drawn)))
        accuracy = self.picture.details.get("tile_accuracy")
        answer = (
            "no network was asked; 'solved' shows where they belong" if not self.is_solved else "no tile shows the body"
        )
        if accuracy is not None:
            answer = f"the network has {accuracy:.0%} of the tiles with body right (step {self.picture.step})"
        return f"'{self.picture.case}', {len(drawn)} tiles ({mixed}): {answer}"

    def _wrong(self) -> np.ndarray:
        found = self.items.get("wrong_tiles")
        return np.zeros(self.items["mixed"].array.shape, np.uint8) if found is None else found.array

    def _image(self, name: str, array: np.ndarray, limits: tuple[float, float]) -> LayerTuple:
        role = f"{ROLE}{name}"
        data, state, kind = image_layer(Volume(array, self._geometry(array)), name, case=self.picture.case, role=role)
        return self.darkened(data), state | {"contrast_limits": limits, "interpolation2d": "nearest"}, kind

    def _labels(self, role: str, array: np.ndarray, classes: tuple[LabelClass, ...], *, visible: bool) -> LayerTuple:
        label_map = LabelMap(array.astype(np.uint8), self._geometry(array), classes)
        data, state, kind = labels_layer(label_map, role.removeprefix(ROLE), case=self.picture.case, role=role)
        return data, state | {"visible": visible, "opacity": 0.8 if role == WRONG_ROLE else 0.35}, kind

    def _geometry(self, array: np.ndarray) -> Geometry:
        z, y, x = array.shape
        return Geometry((z, y, x), self._affine)

    @property
    def _affine(self) -> Affine:
        affine = self.items["mixed"].affine
        return np.eye(4) if affine is None else np.asarray(affine)

    def _place_at(self, world_sar: Sequence[float]) -> int | None:
        shape = np.array(self.items["mixed"].array.shape)
        index = np.round(self._geometry(self.items["mixed"].array).world_to_index(np.array(world_sar)[::-1]))
        if (index < 0).any() or (index >= shape).any():
            return None
        z, y, x = (index // np.ceil(shape / np.array(self.grid))).astype(int)
        return int((z * self.grid[1] + y) * self.grid[2] + x)


def arrangement_after(answer: npt.NDArray[np.int64], n_tiles: int) -> npt.NDArray[np.int64]:
    """Return which shuffled tile lies at each place once the first ``n_tiles`` places are served, by swapping.

    With 0 it is the shuffled puzzle, with all of them the answer; every step in between shows each tile once.
    """
    wanted = invert(answer)
    lying = np.arange(len(answer))
    for place in range(n_tiles):
        other = int(np.flatnonzero(lying == wanted[place])[0])
        lying[[place, other]] = lying[[other, place]]
    return lying


def palette_words(details: dict[str, Any]) -> str:
    """Return the modalities of a puzzle, each in its colour, as rich text."""
    names = details["modalities"]
    return " ".join(f'<span style="color:{colour(n)}">■</span> {name}' for n, name in enumerate(names))


def _float(array: np.ndarray) -> np.ndarray:
    # Pictures are kept in half precision, which OpenGL textures of napari do not take.
    return array.astype(np.float32, copy=False)
