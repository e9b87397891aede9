"""Move arrays onto another grid that holds the same voxels in another order, or more of them; never resampled."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import GRID_TOLERANCE, Geometry
from napari_mmssl.volumes.volume import LabelMap


def reindexed(labels: LabelMap, target: Geometry) -> LabelMap | None:
    """Return ``labels`` on the grid ``target``, or ``None`` if its voxels are not ``target``'s own.

    Swapped and flipped axes are followed, and so is a box cut out of ``target`` or around it: voxels of ``target``
    that ``labels`` does not cover become background, and those beyond ``target`` must be background.

    Parameters
    ----------
    labels
        On any grid.
    target
        The grid wanted.
    """
    moved = _moves(labels.geometry, target)
    if moved is None:
        return None
    axes, flips, first = moved
    array = _turned(labels.array, axes, flips)
    low, high = np.maximum(first, 0), np.minimum(first + array.shape, target.shape)
    if (high <= low).any():
        return None if array.any() else LabelMap(np.zeros(target.shape, array.dtype), target, labels.classes)
    inside = array[tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))]
    if np.count_nonzero(inside) != np.count_nonzero(array):
        return None
    placed = np.zeros(target.shape, array.dtype)
    placed[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = inside
    return LabelMap(placed, target, labels.classes)


def in_order_of(array: np.ndarray, source: Geometry, target: Geometry) -> np.ndarray:
    """Return a view of ``array`` on ``source`` with the axes of ``target``, which has the same voxels.

    Raises
    ------
    GeometryError
        If it has not; see :func:`same_voxels`.
    """
    if source.same_grid(target):
        return array
    moved = _moves(source, target)
    if moved is None or not same_voxels(source, target):
        raise GeometryError("two grids that should hold the same voxels do not")
    return _turned(array, *moved[:2])


def of_one_grid(one: Geometry, other: Geometry) -> bool:
    """Whether both grids are parts of one, up to swapped and flipped axes."""
    return _moves(one, other) is not None


def same_voxels(one: Geometry, other: Geometry) -> bool:
    """Whether both grids hold exactly the same voxels, up to swapped and flipped axes."""
    if one is other or one.same_grid(other):
        return True
    moved = _moves(one, other)
    return moved is not None and not moved[2].any() and tuple(one.shape[axis] for axis in moved[0]) == other.shape


def how_apart(labels: Geometry, series: Geometry) -> str:
    """Return in words why a label map does not lie on the slices of a series."""
    if _moves(labels, series) is not None:
        return "it holds labels beyond the slices of the series"
    if labels.shape != series.shape:
        ours, theirs = (" x ".join(map(str, one.shape)) for one in (labels, series))
        return f"the label map has {ours} voxels (z, y, x) and the series {theirs}"
    apart = np.linalg.norm(labels.corners_world() - series.corners_world(), axis=1).max()
    return f"a corner of the label map lies {apart:.3g} mm from that of the series"


def _turned(array: np.ndarray, axes: tuple[int, ...], flips: tuple[bool, ...]) -> np.ndarray:
    return array.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def _moves(
    source: Geometry, target: Geometry
) -> tuple[tuple[int, ...], tuple[bool, ...], npt.NDArray[np.integer[Any]]] | None:
    """Return how ``source`` lies in ``target``: ``None`` if its voxels are not ``target``'s.

    For each axis of ``target``: the one of ``source`` that runs along it, whether against it, and the index at which
    the turned ``source`` begins.
    """
    matrix = np.linalg.inv(target.affine) @ source.affine
    turn = np.round(matrix[:3, :3])
    is_turn = (np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()
    if not is_turn:
        return None
    shift = np.round(matrix[:3, 3])
    # No corner of the source may lie further from its voxel than two grids may differ that count as one.
    corners = source.corners_world()
    indices = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(source.shape) - 1)
    there = target.index_to_world(indices @ turn.T + shift)
    if np.linalg.norm(corners - there, axis=1).max() > GRID_TOLERANCE * min(source.spacing_mm):
        return None
    axes = tuple(int(axis) for axis in np.abs(turn).argmax(axis=1))
    flips = tuple(bool(turn[row, axis] < 0) for row, axis in enumerate(axes))
    # A flipped axis begins with its last voxel.
    back = [source.shape[axis] - 1 if flip else 0 for axis, flip in zip(axes, flips, strict=True)]
    return axes, flips, shift.astype(np.int64) - np.array(back)
