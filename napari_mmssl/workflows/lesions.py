"""Separate lesions of a label map, and places where a network is unsure: how large they are, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from napari_mmssl.errors import ConfigError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.label_classes import complete
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

#: What lesions of all classes together are called.
TOGETHER = LabelClass(0, "lesion", "#999999")
#: Mean share of the largest possible entropy from which on a voxel counts as unsure.
UNSURE = 0.5
_FACES_EDGES_CORNERS = np.ones((3, 3, 3), dtype=bool)
_CORNERS = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class Lesion:
    """One connected part of a label map.

    Parameters
    ----------
    label
        Its class; :data:`TOGETHER` where classes were not told apart.
    voxels, volume_ml
        Its size.
    longest_mm
        The largest distance between two of its points, in any direction.
    centroid_mm
        Scanner position ``(R, A, S)``. It may lie outside of a bent lesion.
    inside_mm
        Scanner position of the voxel of it that is nearest to the centroid: where to look.
    """

    label: LabelClass
    voxels: int
    volume_ml: float
    longest_mm: float
    centroid_mm: tuple[float, float, float]
    inside_mm: tuple[float, float, float]


def find_lesions(label_map: LabelMap, *, together: bool = False, least_ml: float = 0.0) -> list[Lesion]:
    """Return the connected parts of ``label_map``, the largest first; none of an empty map.

    Voxels that touch by a face, an edge or a corner belong together.

    Parameters
    ----------
    label_map
        What to take apart.
    together
        Whether touching voxels of different classes make one lesion. If not, each class is taken by itself.
    least_ml
        Smaller parts are left out.
    """
    array = label_map.array
    if together:
        chosen = [(TOGETHER, array > 0)]
    else:
        chosen = [(one, array == one.value) for one in complete(array, label_map.classes)]
    found = [lesion for label, mask in chosen for lesion in _parts(mask, label_map.geometry, label, least_ml)]
    return sorted(found, key=lambda lesion: -lesion.voxels)


def find_unsure(entropy: Volume, *, least: float = UNSURE, least_ml: float = 0.0) -> list[Lesion]:
    """Return the connected places where ``entropy``, from 0 to 1, is at least ``least``; the largest first.

    Raises
    ------
    ConfigError
        If ``least`` is not above 0, where everywhere would be unsure.
    """
    if least <= 0:
        raise ConfigError(f"a place counts as unsure from an entropy above 0 on, not from {least:g}")
    label = LabelClass(1, "unsure", "#cc79a7")
    return sorted(_parts(entropy.array >= least, entropy.geometry, label, least_ml), key=lambda place: -place.voxels)


def longest_mm(index: npt.NDArray[np.integer], geometry: Geometry) -> float:
    """Return the largest distance between two points of the voxels at ``index`` ``(n, 3)``, their corners included.

    Both ends are corners of the convex hull, so only these are compared.
    """
    ends = _row_ends(index)
    corners = (ends[:, None, :] + _CORNERS).reshape(-1, 3)
    world = geometry.index_to_world(np.unique(corners, axis=0))
    hull = world[ConvexHull(world).vertices]
    return float(pdist(hull).max())


def _parts(mask: npt.NDArray[np.bool_], geometry: Geometry, label: LabelClass, least_ml: float) -> list[Lesion]:
    numbered, _ = ndimage.label(mask, structure=_FACES_EDGES_CORNERS)
    lesions = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        index = np.argwhere(numbered[box] == number) + [part.start for part in box]
        if len(index) * geometry.voxel_ml < least_ml:
            continue
        lesions.append(_lesion(index, geometry, label))
    return lesions


def _lesion(index: npt.NDArray[np.integer], geometry: Geometry, label: LabelClass) -> Lesion:
    world = geometry.index_to_world(index)
    centroid = world.mean(axis=0)
    nearest = world[int(np.linalg.norm(world - centroid, axis=1).argmin())]
    volume_ml = len(index) * geometry.voxel_ml
    return Lesion(label, len(index), volume_ml, longest_mm(index, geometry), _three(centroid), _three(nearest))


def _row_ends(index: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return the first and last voxel of each row along the last axis: no other one is farthest from anything."""
    order = np.lexsort((index[:, 2], index[:, 1], index[:, 0]))
    rows = index[order]
    new = np.any(np.diff(rows[:, :2], axis=0) != 0, axis=1)
    first = np.concatenate([[True], new])
    last = np.concatenate([new, [True]])
    return np.asarray(rows[first | last])


def _three(point: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in point)
    return x, y, z
