"""Tell the body from what is around it."""

import numpy as np
import numpy.typing as npt

#: Share of the border that must hold one exact value for that value to be taken as the background.
_CONSTANT_BORDER = 0.3
_LEAST_FOREGROUND = 0.005


def find_foreground(array: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return where a volume shows the body; shape as ``array``.

    Skull-stripped and cropped scans have one exact value outside (0, or anything after z-scoring):
    that value is looked for on the six faces. Otherwise Otsu's threshold parts air from body. When
    neither leaves anything sensible, all of the volume is foreground.
    """
    faces = np.concatenate([np.take(array, (0, -1), axis=axis).ravel() for axis in range(3)])
    values, counts = np.unique(faces, return_counts=True)
    if counts.max() >= _CONSTANT_BORDER * faces.size:
        mask = array != values[counts.argmax()]
    else:
        mask = array > otsu_threshold(array)
    return mask if mask.mean() >= _LEAST_FOREGROUND else np.ones(array.shape, dtype=bool)


def otsu_threshold(array: np.ndarray, bins: int = 256) -> float:
    """Return the intensity that parts ``array`` into two groups with the least variance inside them.

    References
    ----------
    Otsu 1979, IEEE Trans. Syst. Man Cybern. 9(1), equation 14.
    """
    low, high = np.percentile(array, (0.1, 99.9))
    if low == high:
        return float(low)
    counts, edges = np.histogram(array, bins=bins, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts) / counts.sum()
    mean = np.cumsum(counts * centres) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * weight - mean) ** 2 / (weight * (1 - weight))
    return float(edges[np.nanargmax(between[:-1]) + 1])


def bounding_box(mask: npt.NDArray[np.bool_], margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the slices of the smallest box round ``mask``, grown by ``margin`` voxels inside the array.

    An empty mask gives the whole array.
    """
    box = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = (inside[0], inside[-1]) if inside.size else (0, mask.shape[axis] - 1)
        box.append(slice(max(0, int(first) - margin), min(mask.shape[axis], int(last) + 1 + margin)))
    return box[0], box[1], box[2]
