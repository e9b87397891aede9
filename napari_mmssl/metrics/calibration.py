"""Whether probabilities mean what they say."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions in bins of confidence; bins that nobody is in are NaN.

    Parameters
    ----------
    edges
        Of the bins, from 0 to 1.
    confidence, accuracy
        Mean in each bin.
    count
        Predictions in each bin.
    """

    edges: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]


def brier_score(truth: npt.ArrayLike, probability: Floats) -> float | None:
    """Return the mean over people of the squared distance between probabilities and the truth; ``None`` of nobody.

    Summed over classes, as Brier defined it: 0 is perfect, 2 the worst.

    Parameters
    ----------
    truth
        Class index ``(n,)``.
    probability
        Of each class ``(n, C)``, rows add up to 1.

    References
    ----------
    Brier 1950, Monthly Weather Review 78(1).
    """
    index = np.asarray(truth, int)
    if not index.size:
        return None
    wanted = np.eye(probability.shape[1])[index]
    return float(((probability - wanted) ** 2).sum(axis=1).mean())


def reliability(truth: npt.ArrayLike, probability: Floats, bins: int = 10) -> Reliability:
    """Return how often the most probable class was right, by how probable it was said to be.

    Parameters
    ----------
    truth, probability
        As in :func:`brier_score`.
    bins
        Bins of equal width; each holds its upper edge, the first also 0.
    """
    index = np.asarray(truth, int)
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == index
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, bins) / count for values in (confidence, right.astype(float))]
    return Reliability(edges, means[0], means[1], count)


def expected_calibration_error(truth: npt.ArrayLike, probability: Floats, bins: int = 10) -> float | None:
    """Return the mean distance between confidence and accuracy over bins, weighted by how many are in each.

    ``None`` of nobody. Arguments as in :func:`reliability`.

    References
    ----------
    Naeini et al. 2015, AAAI; with the confidence of the most probable class, Guo et al. 2017, arXiv:1706.04599.
    """
    if not np.asarray(truth).size:
        return None
    found = reliability(truth, probability, bins)
    filled = found.count > 0
    gaps = np.abs(found.accuracy - found.confidence)[filled]
    return float((gaps * found.count[filled]).sum() / found.count.sum())
