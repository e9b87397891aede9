"""How much of an answer can be read off frozen features: by a linear classifier, and by the nearest neighbours."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Strengths of the penalty that are tried, per person.
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A multinomial logistic regression on standardised features."""

    mean: Floats
    spread: Floats
    weights: Floats
    bias: Floats

    def probabilities(self, features: Floats) -> Floats:
        """Return the probability of each class ``(n, C)`` from ``features`` ``(n, F)``."""
        return np.asarray(softmax(_standard(features, self.mean, self.spread) @ self.weights + self.bias, axis=1))


def fit_linear(features: Floats, truth: Indices, classes: int, *, penalty: float | None = None) -> LinearProbe:
    """Return the logistic regression that fits best under a squared penalty on its weights.

    Parameters
    ----------
    features
        Of each person ``(n, F)``.
    truth
        Class index ``(n,)``.
    classes
        Number of classes; those that nobody has get what the penalty leaves them.
    penalty
        Its strength; ``None`` chooses among 1e-3 to 1 by cross-validation over the people given.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    standard = _standard(features, mean, spread)
    if penalty is None:
        penalty = _best_penalty(standard, truth, classes)
    weights, bias = _fit(standard, truth, classes, penalty)
    return LinearProbe(mean, spread, weights, bias)


def neighbour_probabilities(
    known: Floats, truth: Indices, asked: Floats, classes: int, neighbours: int = 5
) -> npt.NDArray[np.float64]:
    """Return the share of each class among the nearest people, ``(n asked, C)``.

    Nearest by cosine of standardised features; ties in distance go to whom was given first.

    Parameters
    ----------
    known, truth
        Features ``(n, F)`` and class index of people whose class is known.
    asked
        Features of the others.
    classes
        Number of classes.
    neighbours
        How many vote; all, if there are fewer.
    """
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    a, b = (_unit(_standard(part, mean, spread)) for part in (asked, known))
    nearest = np.argsort(-(a @ b.T), axis=1, kind="stable")[:, : min(neighbours, len(known))]
    return np.asarray(np.eye(classes)[truth[nearest]].mean(axis=1))


def _standard(features: Floats, mean: Floats, spread: Floats) -> Floats:
    return np.asarray((features - mean) / spread)


def _unit(features: Floats) -> Floats:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))


def _best_penalty(features: Floats, truth: Indices, classes: int) -> float:
    """Return the penalty with the least cross-entropy on people left out, five folds in the order given."""
    folds = np.arange(len(truth)) % _FOLDS
    losses = []
    for penalty in _PENALTIES:
        total = 0.0
        for fold in range(min(_FOLDS, len(truth))):
            inside = folds != fold
            if not inside.any():
                return 1.0
            weights, bias = _fit(features[inside], truth[inside], classes, penalty)
            logits = log_softmax(features[~inside] @ weights + bias, axis=1)
            total -= logits[np.arange(len(logits)), truth[~inside]].sum()
        losses.append(total)
    return _PENALTIES[int(np.argmin(losses))]


def _fit(features: Floats, truth: Indices, classes: int, penalty: float) -> tuple[Floats, Floats]:
    n, width = features.shape
    wanted = np.eye(classes)[truth]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        logits = features @ weights + bias
        error = (softmax(logits, axis=1) - wanted) / n
        value = -(log_softmax(logits, axis=1) * wanted).sum() / n + penalty / 2 * (weights**2).sum()
        # A trace of penalty on the bias keeps classes that nobody has from running away.
        value += 1e-6 / 2 * (bias**2).sum()
        gradient = np.concatenate([(features.T @ error + penalty * weights).ravel(), error.sum(axis=0) + 1e-6 * bias])
        return float(value), gradient

    found = minimize(loss, np.zeros((width + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return found[: width * classes].reshape(width, classes), found[width * classes :]
