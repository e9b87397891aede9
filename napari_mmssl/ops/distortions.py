"""Distort a volume so that undoing it needs knowledge of anatomy: intensities, places of voxels, painted boxes.

The four distortions of Models Genesis, written from the papers: Zhou et al., arXiv:1908.06912 and
arXiv:2004.07882, section 3.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace

#: A numpy array or a torch tensor.
Array: TypeAlias = Any
Shape: TypeAlias = tuple[int, int, int]

_TABLE = 256
#: Boxes tried before painting is done; each is between an eighth and a half of the volume an axis.
_BOXES = 10


def draw_intensity_curve(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a monotone map of [0, 1] onto itself as its values at even steps; rising or falling by chance.

    A cubic Bezier curve from (0, 0) to (1, 1) whose two inner control points lie anywhere in the unit square.
    """
    inner = rng.random((2, 2))
    t = np.linspace(0, 1, _TABLE)[:, None]
    curve = 3 * (1 - t) ** 2 * t * inner[0] + 3 * (1 - t) * t**2 * inner[1] + t**3
    # Control points out of order bend the curve back; sorted, both axes rise again.
    x, y = np.sort(curve[:, 0]), np.sort(curve[:, 1])
    rising: npt.NDArray[np.float64] = np.interp(np.linspace(0, 1, _TABLE), x, y)
    return rising if rng.random() < 0.5 else rising[::-1].copy()


def bend_intensities(volume: Array, curve: npt.NDArray[np.float64], where: Array) -> Array:
    """Return ``volume`` with the values ``where`` it is true sent through ``curve``, between the same extremes.

    Parameters
    ----------
    volume
        ``(D, H, W)``.
    curve
        From :func:`draw_intensity_curve`; interpolated linearly.
    where
        The body, ``(D, H, W)``; everything else keeps its value.
    """
    xp = array_namespace(volume)
    if not bool(xp.any(where)):
        return volume
    inside = volume[where]
    low, high = xp.min(inside), xp.max(inside)
    if float(high) <= float(low):
        return volume
    table = xp.asarray(curve, dtype=volume.dtype, device=volume.device)
    places = (xp.clip(volume, low, high) - low) / (high - low) * (len(curve) - 1)
    below = xp.clip(xp.astype(xp.floor(places), xp.int64), 0, len(curve) - 2)
    share = places - xp.astype(below, volume.dtype)
    at = xp.reshape(below, (-1,))
    values = xp.reshape(xp.take(table, at, axis=0), volume.shape) * (1 - share)
    values = values + xp.reshape(xp.take(table, at + 1, axis=0), volume.shape) * share
    return xp.where(where, values * (high - low) + low, volume)


def draw_local_shuffle(rng: np.random.Generator, shape: Shape, largest: int) -> npt.NDArray[np.int64]:
    """Return for each voxel, counted flat, the voxel it takes its value from; never far away.

    The volume is parted into windows of one size, drawn between 2 and ``largest`` voxels for each axis, that begin
    anywhere; in every second window, drawn by chance, the voxels change places. (The paper draws ten thousand
    windows of different sizes that may overlap.)
    """
    edges = rng.integers(2, max(2, largest) + 1, 3)
    starts = rng.integers(0, edges)
    cells = [(np.arange(size) + start) // edge for size, start, edge in zip(shape, starts, edges, strict=True)]
    counts = [int(axis[-1]) + 1 for axis in cells]
    window = np.ravel_multi_index(np.meshgrid(*cells, indexing="ij"), counts).ravel()
    is_shuffled = rng.random(int(np.prod(counts))) < 0.5
    n_voxels = len(window)
    key = np.where(is_shuffled[window], rng.random(n_voxels), np.arange(n_voxels) / n_voxels)
    source = np.empty(n_voxels, dtype=np.int64)
    # The voxels of a window, in their own order, receive those of the same window in the order of the keys.
    source[np.lexsort((np.arange(n_voxels), window))] = np.lexsort((key, window))
    return source


def move_voxels(volume: Array, source: npt.NDArray[np.int64]) -> Array:
    """Return ``volume`` ``(D, H, W)`` with each voxel's value taken from voxel ``source``, counted flat."""
    xp = array_namespace(volume)
    index = xp.asarray(source, device=volume.device)
    return xp.reshape(xp.take(xp.reshape(volume, (-1,)), index, axis=0), volume.shape)


def draw_painting(rng: np.random.Generator, shape: Shape, *, inner: bool, most: float) -> npt.NDArray[np.bool_]:
    """Return which voxels are painted over: boxes (``inner``), or all but boxes; at most a share of ``most``.

    Boxes may overlap. A box that would paint too much (inner) is left out; as long as too much is outside, boxes are
    added (outer), and where ten of them leave too much, nothing is painted.
    """
    boxes = np.zeros(shape, dtype=bool)
    for _ in range(_BOXES):
        edges = [max(1, round(size * rng.uniform(0.125, 0.5))) for size in shape]
        if not inner:
            edges = [size - edge // 2 for size, edge in zip(shape, edges, strict=True)]
        corner = [int(rng.integers(0, size - edge + 1)) for size, edge in zip(shape, edges, strict=True)]
        more = boxes.copy()
        more[tuple(slice(at, at + edge) for at, edge in zip(corner, edges, strict=True))] = True
        if inner and more.mean() > most:
            continue
        boxes = more
        if not inner and 1 - boxes.mean() <= most:
            return ~boxes
    return boxes if inner else np.zeros(shape, dtype=bool)
