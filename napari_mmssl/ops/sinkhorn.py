"""The Sinkhorn operator: from scores of tiles at places to a soft, and to a hard, permutation."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from array_api_compat import array_namespace, is_torch_array
from scipy.optimize import linear_sum_assignment

Array: TypeAlias = Any


#: Plain rounds before Newton's method, which needs to start from somewhere near.
_FIRST_ROUNDS = 3
_MOST_STEPS = 60
#: Rows that sum to 1 within this are taken as solved; one more step then squares the error.
_SOLVED = 1e-9
#: Greatest change of a row's log-weight in one step; whole steps from afar overshoot without end.
_LONGEST_STEP = 2.0
#: Keeps matrices invertible where the answer is one hard permutation to the last digit.
_RIDGE = 1e-12


def soft_permutation(scores: Array, temperature: float = 1.0, n_iterations: int | None = 20) -> Array:
    """Turn scores into a soft permutation, differentiably.

    Rows and columns are normalised in turn in log space, so that large scores do not overflow. At a
    temperature of 0.5 or more 20 rounds are ample; at 0.1 the rows are still off by several per cent
    after 20 rounds. ``n_iterations=None`` gives the limit of ever more rounds in about twice the time of 20
    (``benchmarks/sinkhorn_accuracy.py``), and its exact gradient.

    Parameters
    ----------
    scores
        ``scores[..., n, j]`` is how well shuffled tile ``n`` suits place ``j``; shape ``(..., N, N)``, finite.
    temperature
        Divides the scores; positive. Towards 0 the result nears one hard permutation.
    n_iterations
        Number of row-and-column rounds, at least 1; ``None`` for the limit.

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
    if n_iterations is None:
        return _limit(scores, temperature)
    if n_iterations < 1:
        raise ValueError(f"at least one round is needed, got {n_iterations}")
    return array_namespace(scores).exp(_rounds(scores / temperature, n_iterations))


def _rounds(log_permutation: Array, n_iterations: int) -> Array:
    for _ in range(n_iterations):
        log_permutation = log_permutation - _logsumexp(log_permutation, axis=-1)
        log_permutation = log_permutation - _logsumexp(log_permutation, axis=-2)
    return log_permutation


def _limit(scores: Array, temperature: float) -> Array:
    """Return the doubly stochastic matrix that the rounds lead to.

    It is ``exp(scores / temperature)`` with each row and each column multiplied by a factor (Sinkhorn and Knopp
    1967). The factors are found without a graph. Then comes one more step with one: where rows and columns sum to 1,
    the derivative of a Newton step with the Jacobian held fixed is the implicit derivative of the factors, so that
    gradients are exact and cost one linear system instead of a way back through all rounds.
    """
    if is_torch_array(scores) and scores.device.type == "mps":  # which has no float64
        return _limit(scores.cpu(), temperature).to(scores.device)
    xp = array_namespace(scores)
    logits = xp.astype(scores, xp.float64) / temperature
    fixed = _held(logits)
    held = _balanced(fixed)
    # The factor is 1; through it the gradient goes.
    permutation = held * xp.exp(logits - fixed)
    rows, columns = (xp.sum(held, axis=axis, keepdims=True) for axis in (-1, -2))
    short_rows = 1 - xp.sum(permutation, axis=-1, keepdims=True)
    short_columns = (1 - xp.sum(permutation, axis=-2, keepdims=True)) / columns
    turned = xp.matrix_transpose
    u = xp.linalg.solve(_curvature(held, rows, columns), short_rows - held @ turned(short_columns))
    v = short_columns - turned(turned(held) @ u) / columns
    largest = xp.max(xp.abs(_held(u + v)), axis=(-1, -2), keepdims=True)
    permutation = permutation * xp.exp((u + v) * (_LONGEST_STEP / xp.clip(largest, _LONGEST_STEP, None)))
    permutation = permutation / xp.sum(permutation, axis=-2, keepdims=True)
    return xp.astype(permutation, scores.dtype)


def _balanced(logits: Array) -> Array:
    """Return the exponentials of ``logits``, rows and columns multiplied so that both sum to 1.

    Newton's method on the logarithms of the rows' factors alone, columns normalised after each step: the gradient is
    what rows lack, the Hessian ``diag(rows) - P P^T`` (Brauer et al. 2017, arXiv:1710.06635, for both kinds of
    factors). Matrices that it does not bring nearer keep the plain rounds.
    """
    xp = array_namespace(logits)
    start = permutation = xp.exp(_rounds(logits, _FIRST_ROUNDS))
    at_first = rows = xp.sum(permutation, axis=-1, keepdims=True)
    columns = xp.ones_like(rows)
    for _ in range(_MOST_STEPS):
        if not bool(xp.any(xp.abs(rows - 1) > _SOLVED)):
            break
        u = xp.linalg.solve(_curvature(permutation, rows, columns), 1 - rows)
        longest = xp.max(xp.abs(u), axis=-2, keepdims=True)
        permutation = permutation * xp.exp(u * (_LONGEST_STEP / xp.clip(longest, _LONGEST_STEP, None)))
        permutation = permutation / xp.sum(permutation, axis=-2, keepdims=True)
        rows = xp.sum(permutation, axis=-1, keepdims=True)
    worst, worst_at_first = (xp.max(xp.abs(sums - 1), axis=-2, keepdims=True) for sums in (rows, at_first))
    # Written so that a comparison with NaN chooses the plain rounds.
    return xp.where(worst <= worst_at_first, permutation, start)


def _curvature(permutation: Array, rows: Array, columns: Array) -> Array:
    """Return ``diag(rows) - P diag(1 / columns) P^T``, made invertible where only a shift of all rows is free."""
    xp = array_namespace(permutation)
    n = permutation.shape[-1]
    eye = xp.eye(n, dtype=permutation.dtype, device=permutation.device)
    shared = (permutation / columns) @ xp.matrix_transpose(permutation)
    return rows * eye - shared + (1 / n + _RIDGE * eye)


def _held(array: Array) -> Array:
    """Return ``array`` as a constant."""
    return array.detach() if is_torch_array(array) else array


def _logsumexp(values: Array, axis: int) -> Array:
    if is_torch_array(values):
        return values.logsumexp(dim=axis, keepdim=True)
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
    permutation = _held(permutation)
    rows = xp.max(xp.abs(xp.sum(permutation, axis=-1) - 1))
    columns = xp.max(xp.abs(xp.sum(permutation, axis=-2) - 1))
    return max(float(rows), float(columns))
