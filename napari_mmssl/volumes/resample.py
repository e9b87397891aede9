"""Carry values from one grid to another."""

import numpy as np
from scipy import ndimage

from napari_mmssl.volumes.geometry import Geometry

#: More labels than this take too long one by one.
_MOST_SMOOTH = 24


def with_spacing(geometry: Geometry, spacing_mm: tuple[float, float, float]) -> Geometry:
    """Return the grid of another spacing that covers the same box, outer voxel faces aligned.

    The number of voxels is rounded, so the far faces may move by up to half a voxel.
    """
    ratio = np.array(spacing_mm) / geometry.spacing_mm
    z, y, x = (max(1, round(size / r)) for size, r in zip(geometry.shape, ratio, strict=True))
    step = np.diag([*ratio, 1.0])
    # Voxel centres move: the first new centre lies half a new voxel behind the shared face.
    step[:3, 3] = (ratio - 1) / 2
    return Geometry((z, y, x), geometry.affine @ step)


def cropped(geometry: Geometry, box: tuple[slice, slice, slice]) -> Geometry:
    """Return the grid of ``array[box]``; voxels keep their world positions."""
    shift = np.eye(4)
    shift[:3, 3] = [part.start for part in box]
    z, y, x = (part.stop - part.start for part in box)
    return Geometry((z, y, x), geometry.affine @ shift)


def resample(
    array: np.ndarray, source: Geometry, target: Geometry, *, order: int = 1, outside: float = 0.0
) -> np.ndarray:
    """Return the values of ``array`` at the voxel centres of another grid.

    Parameters
    ----------
    array
        Values on ``source``; shape ``(z, y, x)``.
    source, target
        Where the values are, and where they are wanted.
    order
        0 nearest (for labels), 1 linear. Linear values are smoothed first along axes that get coarser,
        as the sampling theorem asks.
    outside
        Value beyond the source grid.
    """
    to_source = np.linalg.inv(source.affine) @ target.affine
    if source.same_grid(target):
        return array
    values = array if order == 0 else array.astype(np.float32, copy=False)
    if order > 0:
        coarser = np.linalg.norm(to_source[:3, :3], axis=1)
        sigma = np.where(coarser > 1, np.sqrt(np.maximum(coarser**2 - 1, 0)) * 0.35, 0)
        if sigma.any():
            values = ndimage.gaussian_filter(values, sigma)
    # mode="nearest" half a voxel beyond the last centre still lies inside the body of the last voxel.
    moved = ndimage.affine_transform(
        values, to_source[:3, :3], to_source[:3, 3], target.shape, order=order, mode="nearest", prefilter=False
    )
    beyond = _outside(source, target, to_source)
    if beyond is not None:
        moved[beyond] = outside
    return np.asarray(moved)


def _outside(source: Geometry, target: Geometry, to_source: np.ndarray) -> np.ndarray | None:
    """Return where target voxels lie more than half a voxel (and a hair) beyond the source grid; None if nowhere."""
    size = np.array(source.shape)
    corners = (to_source[:3, :3] @ (np.indices((2, 2, 2)).reshape(3, -1) * (np.array(target.shape) - 1)[:, None])).T
    corners = corners + to_source[:3, 3]
    if (corners >= -0.55).all() and (corners <= size - 0.45).all():
        return None
    index = np.indices(target.shape).reshape(3, -1)
    where = to_source[:3, :3] @ index + to_source[:3, 3:]
    beyond = (where < -0.55).any(axis=0) | (where > (size - 0.45)[:, None]).any(axis=0)
    return np.asarray(beyond.reshape(target.shape))


def resample_labels(array: np.ndarray, source: Geometry, target: Geometry) -> np.ndarray:
    """Return label values on another grid, each voxel the label that covers most of it.

    Each label is carried over as a share between 0 and 1, and the largest share wins, background included: borders
    stay smooth where the nearest voxel would leave steps. Maps of very many labels go by the nearest voxel.

    Parameters
    ----------
    array
        Whole numbers ``(z, y, x)``.
    source, target
        Where they are, and where they are wanted.
    """
    if source.same_grid(target):
        return array
    values = [value for value in np.unique(array).tolist() if value != 0]
    if len(values) > _MOST_SMOOTH:
        return resample(array, source, target, order=0)
    best = resample((array == 0).astype(np.float32), source, target, outside=1.0)
    winner = np.zeros(target.shape, dtype=array.dtype)
    for value in values:
        share = resample((array == value).astype(np.float32), source, target)
        # On equal shares the label stays: thin structures would be lost to background first.
        wins = (share >= best) & (share > 0)
        winner[wins] = value
        np.maximum(best, share, out=best)
    return winner
