"""How far the surfaces of two masks are apart."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage


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
    if prediction.shape != reference.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {reference.shape} cannot be compared")
    if len(spacing_mm) != prediction.ndim or min(spacing_mm) <= 0:
        raise ValueError(f"spacing {tuple(spacing_mm)} does not fit masks with {prediction.ndim} axes")
    if not prediction.any() or not reference.any():
        return math.nan
    # No surface and no nearest voxel lies outside the box around both masks; a distance transform
    # of a whole head takes seconds, of a lesion's box milliseconds.
    box = _bounding_box(prediction | reference)
    a, b = _surface(prediction[box]), _surface(reference[box])
    return max(_directed_percentile(a, b, spacing_mm), _directed_percentile(b, a, spacing_mm))


def _directed_percentile(
    start: npt.NDArray[np.bool_], goal: npt.NDArray[np.bool_], spacing_mm: Sequence[float]
) -> float:
    distance_to_goal = ndimage.distance_transform_edt(~goal, sampling=spacing_mm)
    return float(np.percentile(distance_to_goal[start], 95))


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), dtype=np.bool_)


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)
