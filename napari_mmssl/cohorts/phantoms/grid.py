"""The grid a phantom is made on, and smooth random fields on it.

Everything here is in millimetres and in array order: axis 0 runs to S, axis 1 to A, axis 2 to R.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline

from napari_mmssl.volumes.geometry import Geometry, from_nifti

FloatArray: TypeAlias = npt.NDArray[np.float32]

#: Knots of every random field reach this far from the origin, so that how many numbers are drawn
#: depends on the scale of the field alone and a person is the same on every grid.
_REACH_MM = 130.0


@dataclass(frozen=True)
class Grid:
    """An upright grid in atlas space.

    Parameters
    ----------
    shape
        Voxels ``(z, y, x)``.
    spacing_mm
        Edge lengths ``(z, y, x)``.
    origin_mm
        World position ``(S, A, R)`` of voxel 0.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    def axes_mm(self) -> list[npt.NDArray[np.float64]]:
        """Return the world coordinates along S, A and R, one array per axis."""
        return [
            np.asarray(start + step * np.arange(count), dtype=np.float64)
            for count, step, start in zip(self.shape, self.spacing_mm, self.origin_mm, strict=True)
        ]

    def points_mm(self) -> FloatArray:
        """Return the world position ``(S, A, R)`` of each voxel; shape ``(3, D, H, W)``."""
        return np.stack(np.meshgrid(*self.axes_mm(), indexing="ij")).astype(np.float32)

    def index_of(self, points_mm: npt.NDArray[np.floating]) -> FloatArray:
        """Turn world positions ``(3, ...)`` into fractional array indices ``(3, ...)``."""
        per_axis = (3,) + (1,) * (points_mm.ndim - 1)
        origin = np.array(self.origin_mm, dtype=np.float32).reshape(per_axis)
        spacing = np.array(self.spacing_mm, dtype=np.float32).reshape(per_axis)
        return np.asarray((points_mm - origin) / spacing, dtype=np.float32)

    def voxels(self, length_mm: float) -> tuple[float, float, float]:
        """Return ``length_mm`` in voxels along each axis."""
        z, y, x = self.spacing_mm
        return length_mm / z, length_mm / y, length_mm / x

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000

    def geometry(self) -> Geometry:
        """Return the same grid as a :class:`~napari_mmssl.volumes.geometry.Geometry`."""
        affine = np.diag([*self.spacing_mm[::-1], 1.0])
        affine[:3, 3] = self.origin_mm[::-1]
        return Geometry(self.shape, from_nifti(affine))


def smooth_field(rng: np.random.Generator, grid: Grid, scale_mm: float, reach_mm: float = _REACH_MM) -> FloatArray:
    """Draw a smooth random field with mean 0 and variance 1 at every voxel.

    White noise on knots ``scale_mm`` apart is joined by cubic B-splines, so the field is defined in
    millimetres: the same generator gives the same field on a finer or a shifted grid.

    Parameters
    ----------
    rng
        Where the numbers come from; how many are taken depends on ``scale_mm`` alone.
    grid
        Where the field is evaluated.
    scale_mm
        Distance of the knots; bumps are about twice as wide.
    reach_mm
        How far from the origin there are knots; beyond that, the field goes on as it ends.

    Returns
    -------
    Shape ``(D, H, W)``.
    """
    z, y, x = (_spline_weights(axis, scale_mm, reach_mm) for axis in grid.axes_mm())
    field = rng.standard_normal((z.shape[1], y.shape[1], x.shape[1]), dtype=np.float32)  # K, L, M
    field = np.tensordot(z, field, axes=(1, 0))  # D, L, M
    field = np.tensordot(y, field, axes=(1, 1))  # H, D, M
    field = np.tensordot(x, field, axes=(1, 2))  # W, H, D
    return np.ascontiguousarray(field.transpose(2, 1, 0))


def _spline_weights(axis_mm: npt.NDArray[np.float64], scale_mm: float, reach_mm: float) -> FloatArray:
    count = int(np.ceil(2 * reach_mm / scale_mm)) + 4
    knots = -reach_mm + scale_mm * (np.arange(count + 4) - 3)
    inside = np.clip(axis_mm, -reach_mm, reach_mm - 1e-3)
    weights = BSpline.design_matrix(inside, knots, 3).toarray()
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), dtype=np.float32)


def ramp(values: npt.NDArray[np.floating], start: float, end: float) -> FloatArray:
    """Return 0 where ``values`` is at or before ``start``, 1 at or past ``end``, and a smooth step between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)
