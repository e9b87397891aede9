"""Temperature scaling: make the probabilities of a trained network as sure as they are right."""

from collections.abc import Iterable

import numpy as np
from scipy.optimize import minimize_scalar
from torch import Tensor

#: Of each case; the fit has one number to find.
_MOST_VOXELS = 100_000
_LEAST_PROBABILITY = 1e-7
_BOUNDS = (np.log(0.1), np.log(10.0))


def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Return ``probabilities`` ``(C, ...)`` with their logarithms divided by ``temperature``, summing to 1 again.

    Above 1 they come nearer to each other; which class is the most probable never changes. Done to probabilities
    and not to logits, so that blended windows and mirror images are calibrated as they are used.
    """
    if temperature == 1:
        return probabilities
    powers = probabilities.clamp(min=_LEAST_PROBABILITY) ** (1 / temperature)
    return powers / powers.sum(dim=0, keepdim=True)


def fit_temperature(cases: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float] | None:
    """Find the temperature with which the classes of validation cases are the most likely.

    Parameters
    ----------
    cases
        For each case the probabilities ``(C, D, H, W)``, the true class ``(D, H, W)``, and where to look ``(D, H, W)``
        boolean (the body: air is always right and says nothing). Classes from ``C`` on are unknown and left out.

    Returns
    -------
    ``temperature``, ``nll_before`` and ``nll_after`` (mean negative log-likelihood of a voxel), or ``None`` if there is
    no voxel to look at.

    References
    ----------
    Guo et al. 2017, arXiv:1706.04599, section 4.2.
    """
    drawn = [_drawn(*case) for case in cases]
    logs = np.concatenate([log for log, _ in drawn], axis=1) if drawn else np.empty((0, 0))
    if logs.shape[1] == 0:
        return None
    truth = np.concatenate([classes for _, classes in drawn])

    def unlikely(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        highest = scaled.max(axis=0)
        total = highest + np.log(np.exp(scaled - highest).sum(axis=0))
        return float((total - np.take_along_axis(scaled, truth[None], axis=0)[0]).mean())

    found = minimize_scalar(unlikely, bounds=_BOUNDS, method="bounded", options={"xatol": 1e-3})
    return {
        "temperature": float(np.exp(found.x)),
        "nll_before": unlikely(0.0),
        "nll_after": float(found.fun),
    }


def _drawn(probabilities: np.ndarray, truth: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities ``(C, n)`` and classes ``(n,)`` of voxels evenly spread over a case."""
    places = np.flatnonzero(where & (truth < len(probabilities)))
    places = places[:: max(1, -(-len(places) // _MOST_VOXELS))]
    found = probabilities.reshape(len(probabilities), -1)[:, places].astype(np.float64)
    return np.log(np.maximum(found, _LEAST_PROBABILITY)), truth.reshape(-1)[places].astype(np.int64)
