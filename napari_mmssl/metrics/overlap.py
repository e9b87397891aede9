"""How much of two masks is the same."""

import math

import numpy as np
import numpy.typing as npt


def dice(prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]) -> float:
    r"""Return the Dice coefficient :math:`2|A \cap B| / (|A| + |B|)` of two masks.

    Parameters
    ----------
    prediction, reference
        Masks of one shape, any number of axes.

    Returns
    -------
    In [0, 1]; 0 if exactly one mask is empty. NaN if both are: nothing was there and nothing was
    found, which is neither a success nor a failure of overlap; callers leave it out and count it.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Dice 1945, Ecology 26(3).
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"masks of shapes {prediction.shape} and {reference.shape} cannot be compared")
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    if total == 0:
        return math.nan
    return 2 * np.count_nonzero(prediction & reference) / total
