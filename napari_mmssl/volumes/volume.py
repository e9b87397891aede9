"""A volume and a label map: an array and where it is."""

from dataclasses import dataclass, field

import numpy as np

from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image in scanner space.

    Parameters
    ----------
    array
        Intensities ``(z, y, x)``, in the order in which the file stores them.
    geometry
        Where the voxels are.
    synthetic
        Whether a network made it; no downstream task may be fed with it.
    """

    array: np.ndarray
    geometry: Geometry
    synthetic: bool = False

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(f"array of shape {self.array.shape} on a grid of shape {self.geometry.shape}")


@dataclass(frozen=True)
class LabelClass:
    """One class of a label map: the value it has, its name, and its colour as ``#rrggbb``."""

    value: int
    name: str
    colour: str


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Class of each voxel in scanner space; 0 is background.

    Parameters
    ----------
    array
        Whole numbers ``(z, y, x)``.
    geometry
        Where the voxels are.
    classes
        What the values mean, as far as known.
    """

    array: np.ndarray
    geometry: Geometry
    classes: tuple[LabelClass, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(f"labels of shape {self.array.shape} on a grid of shape {self.geometry.shape}")
        if not np.issubdtype(self.array.dtype, np.integer):
            raise GeometryError(f"a label map holds whole numbers, this one holds {self.array.dtype}")
