"""How often a class was right."""

import numpy as np
import numpy.typing as npt


def accuracy(truth: npt.ArrayLike, said: npt.ArrayLike) -> float | None:
    """Return the share that is right; ``None`` of nobody."""
    right = np.asarray(truth) == np.asarray(said)
    return float(right.mean()) if right.size else None


def balanced_accuracy(truth: npt.ArrayLike, said: npt.ArrayLike) -> float | None:
    """Return the mean over classes of the share of a class that is found (recall).

    Classes that nobody has are left out, so that a small test group is not marked down for them; ``None`` of nobody.
    """
    index, answer = np.asarray(truth), np.asarray(said)
    found = [float((answer[index == one] == one).mean()) for one in np.unique(index)]
    return float(np.mean(found)) if found else None


def macro_f1(truth: npt.ArrayLike, said: npt.ArrayLike) -> float | None:
    """Return the mean F1 over the classes that occur in the truth or in the answers; ``None`` of nobody.

    F1 is 2 TP / (2 TP + FP + FN), 0 for a class that is never right.
    """
    index, answer = np.asarray(truth), np.asarray(said)
    values = []
    for one in np.union1d(index, answer):
        right = np.count_nonzero((index == one) & (answer == one))
        values.append(2 * right / (np.count_nonzero(index == one) + np.count_nonzero(answer == one)))
    return float(np.mean(values)) if values else None
