"""How alike two volumes of one grid are: structural similarity, peak signal-to-noise ratio, histogram distance."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

#: Constants and window of the paper.
_K1, _K2, _SIGMA, _TRUNCATE = 0.01, 0.03, 1.5, 3.5
#: Points at which the distribution functions of two volumes are compared.
_QUANTILES = np.linspace(0.005, 0.995, 100)

Array = npt.NDArray[np.floating]


def ssim_map(one: Array, other: Array, data_range: float) -> npt.NDArray[np.float64]:
    """Return the structural similarity round each voxel, -1 to 1; shape as the volumes, of any number of axes.

    Means, variances and covariance are weighted by a Gaussian of 1.5 voxels; beyond the border the volume is
    mirrored.

    Parameters
    ----------
    one, other
        Volumes of one shape.
    data_range
        Difference of the largest and the smallest value that intensities can have.

    References
    ----------
    Wang et al. 2004, IEEE Trans. Image Process. 13(4), equation 13.
    """
    _check(one, other, data_range)
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    var_x = _local_mean(x * x) - mean_x**2
    var_y = _local_mean(y * y) - mean_y**2
    covariance = _local_mean(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return np.asarray(top / bottom)


def ssim(one: Array, other: Array, data_range: float, mask: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the mean structural similarity, over ``mask`` where there is one; NaN over an empty mask."""
    return _mean(ssim_map(one, other, data_range), mask)


def psnr(one: Array, other: Array, data_range: float, mask: npt.NDArray[np.bool_] | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, over ``mask`` where there is one.

    Infinite for equal volumes, NaN over an empty mask.
    """
    _check(one, other, data_range)
    error = _mean((one.astype(np.float64) - other.astype(np.float64)) ** 2, mask)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(data_range**2 / error)) if error > 0 else (np.inf if error == 0 else np.nan)


def intensity_quantiles(values: Array) -> npt.NDArray[np.float64]:
    """Return the 100 quantiles of ``values`` from 0.5 % to 99.5 %: a histogram that needs no bins.

    Raises
    ------
    ValueError
        If there are no values.
    """
    if values.size == 0:
        raise ValueError("there are no values to take quantiles of")
    return np.asarray(np.quantile(values, _QUANTILES))


def histogram_distance(one: Array, other: Array) -> float:
    """Return how far apart two distributions are, in the unit of the intensities.

    It is the mean difference of their quantiles, the 1-Wasserstein distance without the outermost half per cent:
    how far intensities must be moved, on average, to turn one histogram into the other.

    Parameters
    ----------
    one, other
        What :func:`intensity_quantiles` returned.
    """
    return float(np.abs(one - other).mean())


def _local_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(ndimage.gaussian_filter(values, _SIGMA, truncate=_TRUNCATE))


def _mean(values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_] | None) -> float:
    chosen = values if mask is None else values[mask]
    return float(chosen.mean()) if chosen.size else np.nan


def _check(one: Array, other: Array, data_range: float) -> None:
    if one.shape != other.shape:
        raise ValueError(f"volumes of shapes {one.shape} and {other.shape} cannot be compared")
    if not data_range > 0:
        raise ValueError(f"the data range must be positive, not {data_range}")
