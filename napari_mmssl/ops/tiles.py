"""Cut volumes into the cells of a puzzle grid, and put them together again."""

import math
from typing import Any, TypeAlias

from array_api_compat import array_namespace
from einops import rearrange

#: A numpy array or a torch tensor.
Array: TypeAlias = Any
Grid: TypeAlias = tuple[int, int, int]


def cell_shape(shape: tuple[int, int, int], grid: Grid) -> tuple[int, int, int]:
    """Return the shape ``(d, h, w)`` of one cell when ``shape`` is cut by ``grid``, rounded up.

    Raises
    ------
    ValueError
        If an axis has fewer voxels than the grid has cells.
    """
    if any(cells < 1 or size < cells for size, cells in zip(shape, grid, strict=True)):
        raise ValueError(f"a grid of {grid} cells does not fit on {shape} voxels")
    d, h, w = (math.ceil(size / cells) for size, cells in zip(shape, grid, strict=True))
    return d, h, w


def split_tiles(volume: Array, grid: Grid) -> Array:
    """Cut the last three axes into the cells of ``grid``.

    Where the grid does not divide the shape, the far end is filled up with zeros, so that nothing
    is lost and all cells have one shape.

    Parameters
    ----------
    volume
        Shape ``(..., D, H, W)``.
    grid
        Number of cells along ``(z, y, x)``.

    Returns
    -------
    Shape ``(..., N, d, h, w)``; cells are counted along x first, then y, then z.

    Raises
    ------
    ValueError
        If an axis has fewer voxels than the grid has cells.

    See Also
    --------
    join_tiles : the inverse.
    """
    d, h, w = cell_shape(tuple(volume.shape[-3:]), grid)
    padded = _pad_far_end(volume, (d * grid[0], h * grid[1], w * grid[2]))
    return rearrange(padded, "... (i d) (j h) (k w) -> ... (i j k) d h w", i=grid[0], j=grid[1], k=grid[2])


def join_tiles(tiles: Array, grid: Grid, shape: tuple[int, int, int] | None = None) -> Array:
    """Put tiles ``(..., N, d, h, w)`` into the cells of ``grid``; the inverse of :func:`split_tiles`.

    Parameters
    ----------
    tiles
        Cells in the order of :func:`split_tiles`.
    grid
        Number of cells along ``(z, y, x)``; their product is ``N``.
    shape
        The shape that was split; what was filled up is cut off again. By default nothing is cut.
    """
    volume = rearrange(tiles, "... (i j k) d h w -> ... (i d) (j h) (k w)", i=grid[0], j=grid[1], k=grid[2])
    if shape is None:
        return volume
    return volume[..., : shape[0], : shape[1], : shape[2]]


def _pad_far_end(volume: Array, shape: tuple[int, int, int]) -> Array:
    xp = array_namespace(volume)
    for axis, size in zip((-3, -2, -1), shape, strict=True):
        missing = size - volume.shape[axis]
        if missing:
            filling = list(volume.shape)
            filling[axis] = missing
            zeros = xp.zeros(tuple(filling), dtype=volume.dtype, device=volume.device)
            volume = xp.concat([volume, zeros], axis=axis)
    return volume
