"""How far the surfaces of two masks are apart."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Distances = npt.NDArray[np.float64]


def hd95_mm(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """Return the 95th-percentile Hausdorff distance of two masks, in mm.

    The distances from each surface voxel of one mask to the nearest surface voxel of the other are
    taken in both directions; the result is the larger of the two 95th percentiles (the definition
    of the BraTS challenges and of MONAI). A surface voxel is one with a face on the outside of the
    mask; the edge of the image counts as outside.

    Parameters
    ----------
    prediction, reference
        Masks of one shape ``(z, y, x)``.
    spacing_mm
        Voxel edges in the order of the axes, above 0.

    Returns
    -------
    0 for equal masks. NaN if either mask is empty: there is no distance to nothing, and an invented
    one (the diagonal of the image, say) would change with the crop.

    Raises
    ------
    ValueError
        If the shapes differ or ``spacing_mm`` does not fit them.

    References
    ----------
    Huttenlocher et al. 1993, doi:10.1109/34.232073; as a percentile in Menze et al. 2015,
    doi:10.1109/TMI.2014.2377694.
    """
    forth, back = surface_distances_mm(prediction, reference, spacing_mm)
    return percentile_95(forth, back)


def percentile_95(forth: Distances, back: Distances) -> float:
    """Return :func:`hd95_mm` from what :func:`surface_distances_mm` gave."""
    if not len(forth) or not len(back):
        return math.nan
    return max(float(np.percentile(forth, 95)), float(np.percentile(back, 95)))


def surface_dice(
    prediction: npt.NDArray[np.bool_],
    reference: npt.NDArray[np.bool_],
    spacing_mm: Sequence[float],
    tolerance_mm: float,
) -> float:
    """Return the share of both surfaces that lies within ``tolerance_mm`` of the other one (NSD).

    Surface voxels are counted, not their area: this is MONAI's definition, and equals the published one, which weighs
    by area, where voxels are about cubes.

    Parameters
    ----------
    prediction, reference, spacing_mm
        As in :func:`hd95_mm`.
    tolerance_mm
        Distance up to which surfaces count as the same, 0 or more; such as what two experts differ by.

    Returns
    -------
    In [0, 1]; 0 if exactly one mask is empty, NaN if both are, as in :func:`napari_mmssl.metrics.overlap.dice`.

    Raises
    ------
    ValueError
        As :func:`hd95_mm`.

    References
    ----------
    Nikolov et al. 2018, arXiv:1809.04430 (normalised surface Dice).
    """
    forth, back = surface_distances_mm(prediction, reference, spacing_mm)
    return share_within(forth, back, tolerance_mm)


def share_within(forth: Distances, back: Distances, tolerance_mm: float) -> float:
    """Return :func:`surface_dice` from what :func:`surface_distances_mm` gave."""
    total = len(forth) + len(back)
    if not total:
        return math.nan
    # A distance of 2.9999999 mm is 3 mm: three voxels of 1 mm, in the arithmetic of the distance transform.
    limit = tolerance_mm + 1e-6
    return (np.count_nonzero(forth <= limit) + np.count_nonzero(back <= limit)) / total


def surface_distances_mm(
    prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_], spacing_mm: Sequence[float]
) -> tuple[Distances, Distances]:
    """Return how far each surface voxel of one mask is from the surface of the other, in both directions.

    Arguments and errors as in :func:`hd95_mm`. Of an empty mask there are no distances, and to it there is
    a single one, infinite.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {reference.shape} cannot be compared")
    if len(spacing_mm) != prediction.ndim or min(spacing_mm) <= 0:
        raise ValueError(f"spacing {tuple(spacing_mm)} does not fit masks with {prediction.ndim} axes")
    if not prediction.any() or not reference.any():
        forth, back = (np.full(int(mask.any()), math.inf) for mask in (prediction, reference))
        return forth, back
    # No surface and no nearest voxel lies outside the box around both masks; a distance transform
    # of a whole head takes seconds, of a lesion's box milliseconds.
    box = _bounding_box(prediction | reference)
    a, b = _surface(prediction[box]), _surface(reference[box])
    return _distances(a, b, spacing_mm), _distances(b, a, spacing_mm)


def _distances(start: npt.NDArray[np.bool_], goal: npt.NDArray[np.bool_], spacing_mm: Sequence[float]) -> Distances:
    return np.asarray(ndimage.distance_transform_edt(~goal, sampling=spacing_mm)[start])


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)
