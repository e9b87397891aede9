"""Bodies drawn from smooth shapes: distances to surfaces, shares of tissues, and what bends them.

For organs of which no average map comes with a package. Positions are in millimetres along (S, A, R), as in
:mod:`napari_mmssl.cohorts.phantoms.grid`; distances are negative inside, and only near a surface are they true.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field

Triple = tuple[float, float, float]


def ellipsoid(points_mm: FloatArray, centre_mm: Triple, radii_mm: Triple, power: float = 2.0) -> FloatArray:
    """Return about the distance to an ellipsoid, in mm; a higher ``power`` makes it boxier.

    Parameters
    ----------
    points_mm
        Where, ``(3, D, H, W)``.
    """
    apart = (points_mm - _column(centre_mm)) / _column(radii_mm)
    size = (abs(apart) ** power).sum(axis=0) ** (1 / power)
    return np.asarray((size - 1) * np.mean(radii_mm), dtype=np.float32)


def tube(
    points_mm: FloatArray, front_mm: FloatArray | float, right_mm: FloatArray | float, radii_mm: tuple[float, float]
) -> FloatArray:
    """Return about the distance to a tube that runs up and down, its middle at (``front_mm``, ``right_mm``)."""
    front, right = radii_mm
    size = np.hypot((points_mm[1] - front_mm) / front, (points_mm[2] - right_mm) / right)
    return np.asarray((size - 1) * (front + right) / 2, dtype=np.float32)


def bent(rng: np.random.Generator, grid: Grid, bumps: Iterable[tuple[float, float]], reach_mm: float) -> FloatArray:
    """Return the positions of all voxels moved by smooth random fields; what is drawn on them is bent.

    Parameters
    ----------
    bumps
        Pairs of the scale of a field and how far it moves a position, both in mm.
    reach_mm
        How far from the origin the fields vary.
    """
    points = grid.points_mm()
    for scale_mm, far_mm in bumps:
        points += far_mm * np.stack([smooth_field(rng, grid, scale_mm, reach_mm) for _ in range(3)])
    return points


def inside(distance_mm: npt.NDArray[np.floating], edge_mm: float = 1.0) -> FloatArray:
    """Return the share of a shape in each voxel: 1 inside, 0 outside, a smooth step ``2 edge_mm`` wide between."""
    return ramp(-distance_mm, -edge_mm, edge_mm)


def threads(rng: np.random.Generator, grid: Grid, scale_mm: float, width: float, reach_mm: float) -> FloatArray:
    """Return a random tangle of vessels as shares: where two smooth fields are near 0 at once, there are lines."""
    tangle = smooth_field(rng, grid, scale_mm, reach_mm) ** 2 + smooth_field(rng, grid, scale_mm, reach_mm) ** 2
    return ramp(-tangle, -2 * width, -width)


class Tissues:
    """The share of each tissue in each voxel; what is put later takes the place of what is there.

    Parameters
    ----------
    shape
        Of the volume.
    everywhere
        The tissue that fills it at first.
    """

    def __init__(self, shape: tuple[int, int, int], everywhere: str) -> None:
        self.shares: dict[str, FloatArray] = {everywhere: np.ones(shape, dtype=np.float32)}

    def put(self, tissue: str, share: npt.NDArray[np.floating]) -> None:
        """Put ``tissue`` where ``share`` is above 0, up to 1."""
        taken = np.clip(share, 0, 1).astype(np.float32)
        for other in self.shares.values():
            other *= 1 - taken
        self.shares[tissue] = self.shares.get(tissue, np.float32(0)) + taken

    def render(self, values: Mapping[str, float]) -> FloatArray:
        """Return the sum of the shares times the value of each tissue."""
        total = np.zeros(next(iter(self.shares.values())).shape, dtype=np.float32)
        for tissue, share in self.shares.items():
            total += np.float32(values[tissue]) * share
        return total


def sliced(array: FloatArray, per_slice: int) -> FloatArray:
    """Return the mean of each ``per_slice`` layers along the first axis: a thick slice mixes what lies in it."""
    count, height, width = array.shape
    return np.asarray(array.reshape(count // per_slice, per_slice, height, width).mean(axis=1), dtype=np.float32)


def rician(rng: np.random.Generator, array: FloatArray, noise: float) -> FloatArray:
    """Return the magnitude of a complex signal with normal noise on both its parts."""
    first, second = noise * rng.standard_normal((2, *array.shape), dtype=np.float32)
    return np.asarray(np.hypot(array + first, second), dtype=np.float32)


def _column(triple: Triple) -> FloatArray:
    return np.asarray(triple, dtype=np.float32).reshape(3, 1, 1, 1)
