"""Multimodal puzzles: what chance decides, and the tiles that come of it.

Taleb et al., arXiv:1912.05396: for every place of a grid a modality is drawn at random, which gives
an ordered picture of mixed modalities P*; its tiles are shuffled to P; a network has to restore P*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

from napari_mmssl.ops.tiles import Grid, cell_shape, split_tiles

Array: TypeAlias = Any
Mode = Literal["mixed", "single", "pair"]


@dataclass(frozen=True)
class PuzzleDraw:
    """Everything chance decides in one puzzle of ``N`` places.

    Parameters
    ----------
    perm
        ``shuffled[n] = ordered[perm[n]]``; shape ``(N,)``.
    modality
        Channel shown at each place; shape ``(N,)``.
    offset
        Corner of the tile in its cell, ``(z, y, x)`` voxels; shape ``(N, 3)``.
    gain, shift
        Intensity change of the tile at each place; shape ``(N,)``.
    """

    perm: npt.NDArray[np.int64]
    modality: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    gain: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]


def draw_puzzle(
    rng: np.random.Generator,
    n_tiles: int,
    channels: Sequence[int],
    *,
    mode: Mode = "mixed",
    jitter: int = 0,
    intensity_jitter: float = 0.0,
    centred: bool = False,
) -> PuzzleDraw:
    """Draw a puzzle.

    Parameters
    ----------
    rng
        Source of chance.
    n_tiles
        Number of places.
    channels
        The channels this subject has; at least one.
    mode
        ``mixed``: any channel at each place, at least two of them in a puzzle where there are two;
        ``single``: one channel throughout (the paper's single-modal arm); ``pair``: two channels.
    jitter
        Voxels by which a tile is smaller than its cell; the tile lies anywhere in the cell, so that
        borders do not continue from tile to tile.
    intensity_jitter
        Largest relative gain and shift of one tile, so that brightness does not give the place away.
    centred
        Put tiles in the middle of their cells and leave intensities alone, as for evaluation.

    Raises
    ------
    ValueError
        If there is no channel.
    """
    if not channels:
        raise ValueError("a puzzle needs at least one modality")
    offset = np.full((n_tiles, 3), jitter // 2) if centred else rng.integers(0, jitter + 1, (n_tiles, 3))
    spread = 0.0 if centred else intensity_jitter
    return PuzzleDraw(
        perm=rng.permutation(n_tiles),
        modality=_draw_channels(rng, n_tiles, channels, mode),
        offset=offset,
        gain=1 + rng.uniform(-spread, spread, n_tiles),
        shift=rng.uniform(-spread, spread, n_tiles),
    )


def _draw_channels(
    rng: np.random.Generator, n_tiles: int, channels: Sequence[int], mode: Mode
) -> npt.NDArray[np.int64]:
    pool = np.asarray(channels)
    if mode != "mixed":
        pool = rng.choice(pool, min(len(pool), 1 if mode == "single" else 2), replace=False)
    drawn = rng.choice(pool, n_tiles)
    if len(pool) > 1 and n_tiles > 1 and len(set(drawn)) == 1:
        # One tile of another modality keeps the draw otherwise uniform.
        drawn[rng.integers(n_tiles)] = rng.choice(pool[pool != drawn[0]])
    return drawn.astype(np.int64)


def cut_puzzle(volumes: Array, grid: Grid, draw: PuzzleDraw, jitter: int = 0) -> Array:
    """Return the ordered tiles P* of a puzzle.

    Parameters
    ----------
    volumes
        The aligned modalities of one subject; shape ``(K, D, H, W)``.
    grid
        Number of cells along ``(z, y, x)``.
    draw
        What chance decided.
    jitter
        As in :func:`draw_puzzle`.

    Returns
    -------
    Shape ``(N, d, h, w)`` with ``d, h, w`` the cell less ``jitter``, but never less than one voxel.

    See Also
    --------
    napari_mmssl.ops.permutations.shuffle : makes the puzzle P from P*.
    """
    xp = array_namespace(volumes)
    cells = split_tiles(volumes, grid)  # (K, N, cd, ch, cw)
    shape = tile_shape(tuple(volumes.shape[-3:]), grid, jitter)
    slack = np.array(cells.shape[-3:]) - shape
    tiles = []
    for place, (channel, offset) in enumerate(zip(draw.modality, draw.offset, strict=True)):
        z, y, x = (int(n) for n in np.minimum(offset, slack))
        tile = cells[int(channel), place, z : z + shape[0], y : y + shape[1], x : x + shape[2]]
        tiles.append(tile * float(draw.gain[place]) + float(draw.shift[place]) * (tile != 0))
    return xp.stack(tiles)


def tile_shape(shape: tuple[int, int, int], grid: Grid, jitter: int) -> tuple[int, int, int]:
    """Return the shape of a tile: its cell less ``jitter``; axes that are not cut keep their length."""
    d, h, w = (
        max(1, cell - jitter) if cells > 1 else cell for cell, cells in zip(cell_shape(shape, grid), grid, strict=True)
    )
    return d, h, w
