"""Where voxels are: the one array and world convention of this package.

Arrays are indexed ``(z, y, x)``. World coordinates are RAS+ millimetres, ordered
``(R, A, S)``. An affine is 4x4 float64 with **columns in array order and rows in world order**::

    (R, A, S, 1) = affine @ (z, y, x, 1)

NIfTI's own affine has its columns the other way round (:func:`from_nifti`), ITK and DICOM count
world as LPS+ (:func:`lps_to_ras`). See ``docs/decisions/0001-array-and-world-convention.md``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from nibabel import affines, orientations

from napari_mmssl.errors import GeometryError

Affine: TypeAlias = npt.NDArray[np.float64]
Shape: TypeAlias = tuple[int, int, int]

_REVERSED_COLUMNS = [2, 1, 0, 3]
#: Two grids are one when no corner differs by more than this share of the smallest voxel edge;
#: registered series often differ in the fifth digit only.
GRID_TOLERANCE = 0.02
_SHEAR_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in scanner space.

    Parameters
    ----------
    shape
        Number of voxels ``(z, y, x)``, each at least 1.
    affine
        From array index ``(z, y, x, 1)`` to world ``(R, A, S, 1)`` in mm; see the module's text.

    Raises
    ------
    GeometryError
        If the affine is not 4x4, holds NaN or infinity, or is singular.
    """

    shape: Shape
    affine: Affine

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise GeometryError(f"an affine is a 4x4 matrix, this one has shape {affine.shape}")
        if not np.isfinite(affine).all():
            raise GeometryError("the affine holds NaN or infinite values; the header of the file is damaged")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(f"a volume has three axes of at least one voxel, this one has shape {self.shape}")
        # Relative to the edge lengths: a 1e-3 mm voxel is small, not singular.
        edges = np.linalg.norm(affine[:3, :3], axis=0)
        if (edges == 0).any() or abs(np.linalg.det(affine[:3, :3])) < 1e-6 * edges.prod():
            raise GeometryError("the affine is singular; the header of the file is damaged")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along ``(z, y, x)``."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @cached_property
    def orientation(self) -> str:
        """Nearest anatomical direction of each **file** axis ``(x, y, z)``, such as ``"LPS"``."""
        return "".join(orientations.aff2axcodes(to_nifti(self.affine)))

    @cached_property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles, which only NIfTI can store."""
        directions = self.affine[:3, :3] / np.array(self.spacing_mm)
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() > _SHEAR_TOLERANCE)

    @cached_property
    def tilt_deg(self) -> float:
        """Largest angle between an array axis and its nearest anatomical axis, in degrees."""
        return float(np.rad2deg(affines.obliquity(to_nifti(self.affine))).max())

    def index_to_world(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map array indices ``(..., 3)`` to world mm ``(..., 3)``; the inverse is :meth:`world_to_index`."""
        return np.asarray(affines.apply_affine(self.affine, np.asarray(index, dtype=np.float64)))

    def world_to_index(self, world: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map world mm ``(..., 3)`` to (fractional) array indices ``(..., 3)``."""
        return np.asarray(affines.apply_affine(np.linalg.inv(self.affine), np.asarray(world, dtype=np.float64)))

    def corners_world(self) -> npt.NDArray[np.float64]:
        """Return the world positions ``(8, 3)`` of the centres of the eight corner voxels."""
        last = np.array(self.shape) - 1
        return self.index_to_world(np.indices((2, 2, 2)).reshape(3, -1).T * last)

    def same_grid(self, other: "Geometry") -> bool:
        """Whether both grids hold the same voxels, up to :data:`GRID_TOLERANCE` of a voxel."""
        if self.shape != other.shape:
            return False
        apart = np.linalg.norm(self.corners_world() - other.corners_world(), axis=1).max()
        return bool(apart <= GRID_TOLERANCE * min(self.spacing_mm))


@dataclass(frozen=True)
class Reorientation:
    """How the axes of a stored array are swapped and flipped to reach another axis order.

    Parameters
    ----------
    axes
        ``moved.axis[n]`` is ``stored.axis[axes[n]]``.
    flips
        Whether ``moved.axis[n]`` runs against the stored one.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Return a view of ``array`` with its last three axes moved; leading axes stay."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return moved[(..., *(slice(None, None, -1) if flip else slice(None) for flip in self.flips))]

    def undo(self, array: np.ndarray) -> np.ndarray:
        """Return a view of ``array`` in the stored axis order; the inverse of :meth:`apply`."""
        lead = array.ndim - 3
        flipped = array[(..., *(slice(None, None, -1) if flip else slice(None) for flip in self.flips))]
        return flipped.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.axes)))

    def apply_to(self, geometry: Geometry) -> Geometry:
        """Return the geometry of the moved array: every voxel keeps its world position."""
        moved = np.zeros((4, 4))
        moved[3, 3] = 1
        for new, (old, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            moved[old, new] = -1 if flip else 1
            if flip:
                moved[old, 3] = geometry.shape[old] - 1
        z, y, x = (geometry.shape[axis] for axis in self.axes)
        return Geometry((z, y, x), geometry.affine @ moved)


def to_canonical(geometry: Geometry) -> Reorientation:
    """Return the swaps and flips that make the axes run to S, A and R as nearly as they can.

    No voxel is resampled: an oblique volume stays oblique, on its nearest anatomical axes.
    """
    # Rows: file axes (x, y, z); columns: world axis (0=R, 1=A, 2=S) and sense.
    orientation = orientations.io_orientation(to_nifti(geometry.affine))
    axes, flips = [0, 0, 0], [False, False, False]
    for file_axis, (world_axis, sense) in enumerate(orientation):
        axes[2 - int(world_axis)] = 2 - file_axis
        flips[2 - int(world_axis)] = bool(sense < 0)
    return Reorientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


def from_nifti(affine: npt.ArrayLike) -> Affine:
    """Turn a NIfTI (or nibabel) affine on ``(x, y, z)`` indices into ours; the inverse is :func:`to_nifti`."""
    return np.asarray(affine, dtype=np.float64)[:, _REVERSED_COLUMNS]


def to_nifti(affine: Affine) -> Affine:
    """Turn our affine into NIfTI's, on ``(x, y, z)`` indices; the inverse is :func:`from_nifti`."""
    return affine[:, _REVERSED_COLUMNS]


def lps_to_ras(affine: npt.ArrayLike) -> Affine:
    """Turn an affine onto LPS+ world (ITK, DICOM) into one onto RAS+, or back: it is its own inverse."""
    with np.errstate(invalid="ignore"):  # of a damaged header, refused where the grid is made
        return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, dtype=np.float64))


def describe_grid(grid: Geometry) -> str:
    """Return shape and spacing ``(z, y, x)`` and orientation ``(x, y, z)`` in words."""
    shape = " x ".join(map(str, grid.shape))
    spacing = " x ".join(f"{mm:.4g}" for mm in grid.spacing_mm)
    return f"{shape} voxels of {spacing} mm, {grid.orientation}"


def two_grids(name: str, grid: Geometry, other_name: str, other: Geometry) -> str:
    """Return in what the grids of two files differ, in words."""
    text = f"{name} lies on another grid ({describe_grid(grid)}) than {other_name} ({describe_grid(other)})"
    if describe_grid(grid) != describe_grid(other):
        return text
    apart = np.linalg.norm(grid.corners_world() - other.corners_world(), axis=1).max()
    return f"{text}: corners are up to {apart:.3g} mm apart"
