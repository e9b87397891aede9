"""The Sinkhorn operator: from scores of tiles at places to a soft, and to a hard, permutation."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, is_torch_array
from scipy.optimize import linear_sum_assignment

Array: TypeAlias = Any


def soft_permutation(scores: Array, temperature: float = 1.0, n_iterations: int = 20) -> Array:
    """Turn scores into a soft permutation, differentiably.

    Rows and columns are normalised in turn in log space, so that large scores do not overflow. At a
    temperature of 0.5 or more 20 rounds are ample; at 0.1 the rows are still off by several per cent
    after 20 rounds and 50 to 100 are needed.

    Parameters
    ----------
    scores
        ``scores[..., n, j]`` is how well shuffled tile ``n`` suits place ``j``; shape ``(..., N, N)``, finite.
    temperature
        Divides the scores; positive. Towards 0 the result nears one hard permutation.
    n_iterations
        Number of row-and-column rounds, at least 1.

    Returns
    -------
    Shape ``(..., N, N)``, entries in [0, 1]; columns sum to 1, rows nearly so.

    Raises
    ------
    ValueError
        If ``scores`` is not square in its last two axes, ``temperature`` is not positive, or there is no round.

    See Also
    --------
    match_tiles : the hard answer for the same scores.

    References
    ----------
    Mena et al. 2018, arXiv:1802.08665, section 2; Taleb et al., arXiv:1912.05396, for puzzles.
    """
    if len(scores.shape) < 2 or scores.shape[-1] != scores.shape[-2]:
        raise ValueError(f"scores must be square in their last two axes, got shape {tuple(scores.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if n_iterations < 1:
        raise ValueError(f"at least one round is needed, got {n_iterations}")
    log_permutation = scores / temperature
    for _ in range(n_iterations):
        log_permutation = log_permutation - _logsumexp(log_permutation, axis=-1)
        log_permutation = log_permutation - _logsumexp(log_permutation, axis=-2)
    return array_namespace(scores).exp(log_permutation)


def _logsumexp(values: Array, axis: int) -> Array:
    xp = array_namespace(values)
    highest = xp.max(values, axis=axis, keepdims=True)
    return highest + xp.log(xp.sum(xp.exp(values - highest), axis=axis, keepdims=True))


def match_tiles(scores: Array) -> npt.NDArray[np.int64]:
    """Return the place of each tile in the one-to-one answer with the highest sum of scores (Hungarian).

    Parameters
    ----------
    scores
        As for :func:`soft_permutation`; shape ``(..., N, N)``.

    Returns
    -------
    ``perm`` of shape ``(..., N)``: shuffled tile ``n`` belongs at place ``perm[n]``.
    """
    values = scores.detach().cpu().numpy() if is_torch_array(scores) else np.asarray(scores)
    flat = values.reshape(-1, *values.shape[-2:])
    places = [linear_sum_assignment(matrix, maximize=True)[1] for matrix in flat]
    return np.array(places, dtype=np.int64).reshape(values.shape[:-1])


def doubly_stochastic_error(permutation: Array) -> float:
    """Return the largest distance of a row or column sum from 1."""
    xp = array_namespace(permutation)
    rows = xp.max(xp.abs(xp.sum(permutation, axis=-1) - 1))
    columns = xp.max(xp.abs(xp.sum(permutation, axis=-2) - 1))
    return max(float(rows), float(columns))
