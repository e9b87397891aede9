"""Pseudo-correspondences between the tokens of two people: which token shows the same place, if any."""

from typing import Any, TypeAlias

from array_api_compat import array_namespace, device

from napari_mmssl.ops.neighbours import pick

Array: TypeAlias = Any

#: Log of no mass at all; finite, so that differences of it stay numbers.
_NOTHING = -1e6


def mutual_nearest(similarity: Array, allowed: Array, least: float = -1.0, ratio: float = 1.0) -> Array:
    """Match tokens that are each other's most similar one.

    Parameters
    ----------
    similarity
        Cosines, or any score that is larger for the better match; shape ``(..., T, S)``.
    allowed
        Pairs that may be matched at all, e.g. by position; boolean, shape ``(..., T, S)``.
    least
        Matches of less similarity are dropped.
    ratio
        Matches are dropped unless ``1 - best <= ratio * (1 - second best)``, seen from either side;
        1 drops none.

    Returns
    -------
    For each token of the first person its match in the second, or -1; int64, shape ``(..., T)``. No
    token of either person is in two matches.

    See Also
    --------
    transport_plan : the soft version.
    """
    xp = array_namespace(similarity, allowed)
    nowhere = xp.full_like(similarity, float("-inf"))
    scores = xp.where(allowed, similarity, nowhere)
    there, back = xp.argmax(scores, axis=-1), xp.argmax(scores, axis=-2)
    itself = xp.arange(scores.shape[-2], device=device(scores))
    best = xp.max(scores, axis=-1)
    kept = (_pick_one(back, there) == itself) & (best >= least) & (best > float("-inf"))
    if ratio < 1:
        columns = xp.arange(scores.shape[-1], device=device(scores))
        is_pair = (columns == there[..., None]) & (itself[:, None] == back[..., None, :])
        others = xp.where(is_pair, nowhere, scores)
        second = xp.maximum(xp.max(others, axis=-1), _pick_one(xp.max(others, axis=-2), there))
        kept = kept & (1 - best <= ratio * (1 - second))
    return xp.where(kept, there, xp.full_like(there, -1))


def every_nearest(similarity: Array, allowed: Array) -> Array:
    """Match every token with its most similar one, which may be the match of others too.

    Parameters
    ----------
    similarity
        Shape ``(..., T, S)``.
    allowed
        Pairs that may be matched at all; boolean, ``(..., T, S)``.

    Returns
    -------
    For each token of the first person its match in the second; -1 only where none is allowed; int64, ``(..., T)``.

    See Also
    --------
    mutual_nearest : what is left of these matches if they must be so from either side.
    """
    xp = array_namespace(similarity, allowed)
    there = xp.argmax(xp.where(allowed, similarity, xp.full_like(similarity, float("-inf"))), axis=-1)
    return xp.where(xp.any(allowed, axis=-1), there, xp.full_like(there, -1))


def invert_matches(matches: Array, size: int) -> Array:
    """Return the matches seen from the second person, who has ``size`` tokens: ``(..., T)`` to ``(..., size)``."""
    xp = array_namespace(matches)
    columns = xp.arange(size, device=device(matches))
    hit = matches[..., :, None] == columns
    first = xp.argmax(xp.astype(hit, xp.int8), axis=-2)
    return xp.where(xp.any(hit, axis=-2), first, xp.full_like(first, -1))


def transport_plan(
    similarity: Array,
    usable_first: Array,
    usable_second: Array,
    *,
    allowed: Array,
    dustbin: float = 0.5,
    temperature: float = 0.05,
    n_iterations: int = 50,
) -> Array:
    """Share the mass of two people's tokens out between matches and a dustbin (partial optimal transport).

    Every usable token has mass 1 and a dustbin stands beside each person's tokens with room for all of the
    other's. Of all plans with these masses the result maximises ``sum(plan * score) + temperature *
    entropy(plan)``, where the score is the similarity, or ``dustbin`` for a token left unmatched. It is
    found by scaling rows and columns in turn, in log space.

    Parameters
    ----------
    similarity
        Cosines ``(..., T, S)``.
    usable_first, usable_second
        Tokens that have mass; boolean, ``(..., T)`` and ``(..., S)``.
    allowed
        Pairs that may be matched; boolean, ``(..., T, S)``.
    dustbin
        Score of leaving a token unmatched.
    temperature
        Positive; towards 0 the plan is nearly a partial permutation.
    n_iterations
        Row-and-column rounds; at 0.05 fifty leave rows off by less than a hundredth.

    Returns
    -------
    The plan ``(..., T + 1, S + 1)``, dustbins last; its columns have their masses, its rows nearly so.

    Raises
    ------
    ValueError
        If ``temperature`` is not positive.

    References
    ----------
    Cuturi 2013, arXiv:1306.0895, for the scaling; the dustbin turns the partial problem into a complete one
    (Chapel et al. 2020, arXiv:2002.08276, section 3.1).
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    xp = array_namespace(similarity, usable_first, usable_second)
    scores = xp.where(allowed, similarity / temperature, xp.full_like(similarity, _NOTHING))
    aside = xp.full_like(scores[..., :1], dustbin / temperature)
    scores = xp.concat([scores, aside], axis=-1)
    scores = xp.concat([scores, xp.full_like(scores[..., :1, :], dustbin / temperature)], axis=-2)
    rows = _log_masses(usable_first, usable_second, like=scores)
    columns = _log_masses(usable_second, usable_first, like=scores)
    by_column = xp.zeros_like(columns)
    for _ in range(n_iterations):
        by_row = rows - _logsumexp(scores + by_column[..., None, :], axis=-1)
        by_column = columns - _logsumexp(scores + by_row[..., :, None], axis=-2)
    return xp.exp(scores + by_row[..., :, None] + by_column[..., None, :])


def match_plan(plan: Array) -> tuple[Array, Array]:
    """Return the one-to-one matches in a transport plan, and the mass on each.

    A pair is matched if each has its largest share in the other among the pairs that carry more than
    either's dustbin share.

    Returns
    -------
    As :func:`mutual_nearest`, and the mass ``(..., T)``, 0 where there is no match.
    """
    xp = array_namespace(plan)
    core = plan[..., :-1, :-1]
    matches = mutual_nearest(core, (core > plan[..., :-1, -1:]) & (core > plan[..., -1:, :-1]))
    mass = _pick_one(core, xp.clip(matches, 0, None), own_row=True)
    return matches, xp.where(matches >= 0, mass, xp.zeros_like(mass))


def _pick_one(values: Array, indices: Array, *, own_row: bool = False) -> Array:
    """Return ``values[..., indices[..., t]]``, or ``values[..., t, indices[..., t]]`` with ``own_row``."""
    if own_row:
        return pick(values, indices[..., None])[..., 0]
    return pick(values[..., None, :], indices[..., None, :])[..., 0, :]


def _log_masses(usable: Array, opposite: Array, like: Array) -> Array:
    xp = array_namespace(usable)
    one = xp.zeros(usable.shape, dtype=like.dtype, device=device(like))
    tokens = xp.where(usable, one, one + _NOTHING)
    room = xp.sum(xp.astype(opposite, like.dtype), axis=-1, keepdims=True)
    nothing = xp.full_like(room, _NOTHING)
    return xp.concat([tokens, xp.where(room > 0, xp.log(xp.clip(room, 1, None)), nothing)], axis=-1)


def _logsumexp(values: Array, axis: int) -> Array:
    xp = array_namespace(values)
    highest = xp.max(values, axis=axis, keepdims=True)
    return xp.squeeze(highest + xp.log(xp.sum(xp.exp(values - highest), axis=axis, keepdims=True)), axis=axis)
