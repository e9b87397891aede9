"""Hide a patch in blocks, and fill the blocks from something else."""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

#: A numpy array or a torch tensor.
Array: TypeAlias = Any
Shape: TypeAlias = tuple[int, int, int]


def block_grid(shape: Shape, block: Shape) -> Shape:
    """Return how many blocks there are along ``(z, y, x)``; the last one of an axis may be cut.

    Raises
    ------
    ValueError
        If an axis of the patch or of the block has no voxel.
    """
    if min(*shape, *block) < 1:
        raise ValueError(f"blocks of {block} voxels cannot cover {shape} voxels")
    z, y, x = (math.ceil(size / edge) for size, edge in zip(shape, block, strict=True))
    return z, y, x


def draw_blocks(rng: np.random.Generator, grid: Shape, hidden_share: float) -> npt.NDArray[np.bool_]:
    """Return which blocks of ``grid`` are kept: ``floor(n (1 - hidden_share))`` of ``n``, but at least one.

    The number is exact, only the places are left to chance: 216 of 12 x 12 x 12 at a share of 0.875
    (BrainMVP, arXiv:2410.10604, blocks of 8 voxels in a patch of 96).

    Parameters
    ----------
    rng
        Source of chance.
    grid
        Blocks along ``(z, y, x)``.
    hidden_share
        From 0 (nothing is hidden) to 1 (one block is kept).

    Raises
    ------
    ValueError
        If the share is not between 0 and 1.
    """
    if not 0 <= hidden_share <= 1:
        raise ValueError(f"the hidden share must lie between 0 and 1, got {hidden_share}")
    n_blocks = math.prod(grid)
    # 10 * (1 - 0.9) is a little less than 1 in floating point.
    n_kept = max(1, math.floor(n_blocks * (1 - hidden_share) + 1e-6))
    kept = np.zeros(n_blocks, dtype=bool)
    kept[rng.permutation(n_blocks)[:n_kept]] = True
    return kept.reshape(grid)


def spread_blocks(blocks: npt.NDArray[np.bool_], shape: Shape, block: Shape) -> npt.NDArray[np.bool_]:
    """Return the value of its block at every voxel: ``(D, H, W)`` from one value a block."""
    voxels: npt.NDArray[np.bool_] = blocks
    for axis, (size, edge) in enumerate(zip(shape, block, strict=True)):
        voxels = np.repeat(voxels, edge, axis=axis).take(range(size), axis=axis)
    return voxels


def fill(volume: Array, kept: Array, filler: Array) -> Array:
    """Return ``volume`` where ``kept`` and ``filler`` elsewhere, bit for bit; gradients reach each where it shows."""
    return array_namespace(volume).where(kept, volume, filler)


def masked_mean(values: Array, mask: Array) -> Array:
    """Return the mean of ``values`` where ``mask``, as a scalar; 0 if that is nowhere."""
    xp = array_namespace(values)
    weight = xp.astype(mask, values.dtype)
    return xp.sum(values * weight) / xp.clip(xp.sum(weight), 1.0, None)
