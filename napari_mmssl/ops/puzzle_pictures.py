"""Lay a puzzle out as arrays a person can look at; shared by the training and the viewer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.ops.permutations import Permutation, as_matrix, invert, shuffle
from napari_mmssl.ops.puzzles import PuzzleDraw, cut_puzzle, tile_shape
from napari_mmssl.ops.sinkhorn import match_tiles, soft_permutation
from napari_mmssl.ops.tiles import Grid, cell_shape, join_tiles
from napari_mmssl.pictures import PictureItem


def lay_out(tiles: np.ndarray, grid: Grid, shape: tuple[int, int, int]) -> np.ndarray:
    """Put tiles into the middle of their cells; the gaps between them stay 0.

    Parameters
    ----------
    tiles
        Tiles or one value each, ``(N, d, h, w)``.
    grid
        Cells along ``(z, y, x)``.
    shape
        Shape of the volume the puzzle was cut from, and of the result.
    """
    cells = np.zeros((len(tiles), *cell_shape(shape, grid)), dtype=tiles.dtype)
    z, y, x = ((cell - size) // 2 for cell, size in zip(cells.shape[1:], tiles.shape[1:], strict=True))
    cells[:, z : z + tiles.shape[1], y : y + tiles.shape[2], x : x + tiles.shape[3]] = tiles
    return np.asarray(join_tiles(cells, grid, shape))


def picture_unsolved(
    *,
    volumes: np.ndarray,
    names: tuple[str, ...],
    draw: PuzzleDraw,
    grid: Grid,
    jitter: int,
    affine: np.ndarray,
) -> tuple[list[PictureItem], dict[str, Any]]:
    """Return a puzzle nobody has solved yet: source, mixed, shuffled, the modality of each tile, the true permutation.

    Parameters
    ----------
    volumes
        The aligned modalities ``(K, D, H, W)``.
    names
        Their names.
    draw, grid, jitter
        The puzzle; see :func:`napari_mmssl.ops.puzzles.cut_puzzle`.
    affine
        From index to world of the patch.
    """
    shape = tuple(volumes.shape[-3:])
    ordered = cut_puzzle(volumes, grid, draw, jitter)
    shown = int(draw.modality[0])
    items = [
        PictureItem("source", "image", volumes[shown], affine, f"The patch as it is, in {names[shown]}"),
        PictureItem("mixed", "image", lay_out(ordered, grid, shape), affine, "A modality drawn for every place"),
        PictureItem(
            "shuffled", "image", lay_out(shuffle(ordered, draw.perm), grid, shape), affine, "What the network is given"
        ),
        PictureItem(
            "modality_of_tile",
            "labels",
            lay_out(_filled(draw.modality + 1, shape, grid, jitter), grid, shape),
            affine,
            "Which modality each place shows: " + ", ".join(f"{n} {name}" for n, name in enumerate(names, start=1)),
        ),
        PictureItem("permutation_true", "matrix", as_matrix(draw.perm), None, "Row: tile; column: its true place"),
    ]
    details = {
        "grid": list(grid),
        "jitter": jitter,
        "perm": draw.perm.tolist(),
        "modalities": list(names),
        "tile_modality": draw.modality.tolist(),
    }
    return items, details


def picture_puzzle(
    *,
    volumes: np.ndarray,
    names: tuple[str, ...],
    draw: PuzzleDraw,
    scores: npt.NDArray[np.floating[Any]],
    body: npt.NDArray[np.bool_],
    grid: Grid,
    jitter: int,
    temperature: float,
    rounds: int,
    affine: np.ndarray,
) -> tuple[list[PictureItem], dict[str, Any]]:
    """Return a puzzle and what a network made of it.

    Parameters
    ----------
    volumes, names, draw, grid, jitter, affine
        As in :func:`picture_unsolved`.
    scores
        Of each shuffled tile at each place, ``(N, N)``.
    body
        Whether each place shows enough of the body to be scored, ``(N,)``.
    temperature, rounds
        Of the Sinkhorn operator.
    """
    items, details = picture_unsolved(volumes=volumes, names=names, draw=draw, grid=grid, jitter=jitter, affine=affine)
    source, mixed, shuffled, modality, true = items
    shape = tuple(volumes.shape[-3:])
    matched = match_tiles(scores)
    tiles = shuffle(cut_puzzle(volumes, grid, draw, jitter), draw.perm)
    wrong = _wrong_places(draw.perm, matched, body)
    counted = body[draw.perm]
    accuracy = float((matched == draw.perm)[counted].mean()) if counted.any() else None
    soft = np.asarray(soft_permutation(scores.astype(np.float64), temperature, rounds or None))
    solved = lay_out(shuffle(tiles, invert(matched)), grid, shape)
    wrong_tiles = lay_out(_filled(wrong.astype(np.int64), shape, grid, jitter), grid, shape)
    said = "no tile shows the body" if accuracy is None else f"{accuracy:.0%} of the tiles with body are right"
    items = [
        source,
        mixed,
        shuffled,
        PictureItem("solved", "image", solved, affine, f"The network's answer: {said}"),
        modality,
        PictureItem("wrong_tiles", "labels", wrong_tiles, affine, "Places that hold the wrong tile"),
        true,
        PictureItem("permutation_soft", "matrix", soft, None, f"Sinkhorn at temperature {temperature:g}"),
        PictureItem("scores", "matrix", scores, None, "What the network thinks of each tile at each place"),
    ]
    return items, details | {
        "matched": matched.tolist(),
        "tile_accuracy": accuracy,
        "temperature": temperature,
        "rounds": rounds,
    }


def _wrong_places(perm: Permutation, matched: Permutation, body: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return, by place, whether a tile that belongs elsewhere was put there, where that can be told."""
    wrong = np.zeros(len(perm), dtype=bool)
    tile_is_wrong = matched != perm
    wrong[matched[tile_is_wrong]] = True
    # Two bodiless tiles that swapped places look the same.
    put_there = perm[invert(matched)]
    return wrong & (body | body[put_there])


def _filled(values: npt.NDArray[np.int64], shape: tuple[int, int, int], grid: Grid, jitter: int) -> np.ndarray:
    tile = tile_shape(shape, grid, jitter)
    return np.broadcast_to(values[:, None, None, None], (len(values), *tile)).astype(np.uint8)
