"""Whether what is higher was also said to be higher: concordance of survival, area under the ROC curve."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Floats = npt.NDArray[np.floating]


def concordance(days: npt.ArrayLike, observed: npt.ArrayLike, risk: npt.ArrayLike) -> float | None:
    """Return Harrell's C: of the pairs in which it is known who died first, the share in which that one had more risk.

    A pair counts if the shorter time ended with a death. Equal times count if exactly one of them is a death: the
    other one lived longer. Equal risks are half right.

    Parameters
    ----------
    days
        Follow-up ``(n,)``.
    observed
        Whether it ended with the event ``(n,)``.
    risk
        Higher for those said to die sooner ``(n,)``.

    Returns
    -------
    In [0, 1], 0.5 for chance; ``None`` if there is no pair.

    References
    ----------
    Harrell et al. 1982, doi:10.1001/jama.1982.03320430047030.
    """
    time, event, score = np.asarray(days, float), np.asarray(observed, bool), np.asarray(risk, float)
    sooner = (time[:, None] < time[None, :]) | ((time[:, None] == time[None, :]) & ~event[None, :])
    pairs = event[:, None] & sooner
    if not pairs.any():
        return None
    right = np.where(score[:, None] > score[None, :], 1.0, np.where(score[:, None] == score[None, :], 0.5, 0.0))
    return float(right[pairs].mean())


def auc(truth: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties half.

    Parameters
    ----------
    truth
        Whether each is positive ``(n,)``.
    score
        Higher for those said to be positive ``(n,)``.

    Returns
    -------
    In [0, 1]; ``None`` if one of the two classes is not there.

    References
    ----------
    Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    positive = np.asarray(truth, bool)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    ranks = rankdata(np.asarray(score, float))
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def mean_auc(truth: npt.ArrayLike, probability: Floats) -> float | None:
    """Return the mean AUC of each class against the rest; of two classes, the AUC of the second.

    Parameters
    ----------
    truth
        Class index ``(n,)``.
    probability
        Of each class ``(n, C)``.

    Returns
    -------
    The mean over classes that are there beside others; ``None`` if there is one class alone.
    """
    index = np.asarray(truth)
    if probability.shape[1] == 2:
        return auc(index == 1, probability[:, 1])
    areas = [auc(index == number, probability[:, number]) for number in range(probability.shape[1])]
    defined = [area for area in areas if area is not None]
    return float(np.mean(defined)) if defined else None
