"""Neighbourhoods among tokens, and uniform draws from what lies outside them."""

from typing import Any, Literal, TypeAlias

from array_api_compat import array_namespace, device

#: A numpy array or a torch tensor.
Array: TypeAlias = Any
Neighbourhood = Literal["feature", "spatial", "hybrid"]

#: Places are compared to a thousandth of their unit; what is equal then is told apart by features.
_TIE = 1e-4


def pick(values: Array, indices: Array) -> Array:
    """Return ``values[..., r, indices[..., r, n]]``: shape ``(..., R, S)`` and ``(..., R, k)`` to ``(..., R, k)``.

    Differentiable in ``values``; the leading axes of both are the same.
    """
    xp = array_namespace(values, indices)
    flat = xp.reshape(values, (-1,))
    size = values.shape[-1]
    rows = xp.arange(0, flat.shape[0], size, device=device(values))
    places = indices + xp.reshape(rows, (*values.shape[:-1], 1))
    return xp.reshape(xp.take(flat, xp.reshape(places, (-1,)), axis=0), indices.shape)


def distances_between(first: Array, second: Array) -> Array:
    """Return Euclidean distances ``(..., T, S)`` between places ``(..., T, 3)`` and ``(..., S, 3)``."""
    xp = array_namespace(first, second)
    # Axis by axis: several times faster than summing over a last axis of three.
    squared = xp.zeros((*first.shape[:-1], second.shape[-2]), dtype=first.dtype, device=device(first))
    for axis in range(first.shape[-1]):
        apart = first[..., :, None, axis] - second[..., None, :, axis]
        squared = squared + apart * apart
    return xp.sqrt(squared)


def nearest(distances: Array, k: int, allowed: Array) -> tuple[Array, Array]:
    """Return the ``k`` columns of least distance in each row, nearest first; of equal ones the lowest.

    Parameters
    ----------
    distances
        Shape ``(..., T, S)``, finite.
    k
        How many; at most ``S`` are returned.
    allowed
        Which columns may be chosen in which row; boolean, shape as ``distances``.

    Returns
    -------
    Indices, and whether each of them was allowed (rows with fewer than ``k`` allowed columns are filled
    up with others), both ``(..., T, min(k, S))``.
    """
    xp = array_namespace(distances, allowed)
    far = xp.full_like(distances, float("inf"))
    left = xp.where(allowed, distances, far)
    columns = xp.arange(distances.shape[-1], device=device(distances))
    indices, valid = [], []
    # For a handful of neighbours, taking the least k times is several times faster than sorting.
    for _ in range(min(k, distances.shape[-1])):
        least = xp.argmin(left, axis=-1, keepdims=True)
        indices.append(least)
        valid.append(pick(left, least) < float("inf"))
        left = xp.where(columns == least, far, left)
    return xp.concat(indices, axis=-1), xp.concat(valid, axis=-1)


def neighbourhoods(
    similarity: Array,
    distances: Array,
    usable: Array,
    k: int,
    kind: Neighbourhood = "hybrid",
    radius: float = float("inf"),
) -> tuple[Array, Array]:
    """Return the ``k`` nearest neighbours of every token among the tokens of one map, itself excluded.

    Parameters
    ----------
    similarity
        Cosines among the tokens; shape ``(..., T, T)``.
    distances
        Distances in space among the tokens; shape ``(..., T, T)``.
    usable
        Tokens that show enough body; the others have no neighbours and are none; shape ``(..., T)``.
    k
        Size of the neighbourhood.
    kind
        ``feature``: most alike; ``spatial``: nearest in space, of equally near ones the most alike;
        ``hybrid``: most alike within ``radius``.
    radius
        In the unit of ``distances``.

    Returns
    -------
    Indices and whether they are neighbours at all, both ``(..., T, min(k, T))``.

    References
    ----------
    Pan et al. 2026, arXiv:2605.14654, has ``feature``; the other two are ours.
    """
    xp = array_namespace(similarity, distances, usable)
    itself = xp.eye(similarity.shape[-1], dtype=xp.bool, device=device(similarity))
    allowed = usable[..., None, :] & usable[..., :, None] & ~itself
    unlike = 1 - similarity
    if kind == "spatial":
        return nearest(xp.round(distances * 1e3) / 1e3 + _TIE * unlike, k, allowed)
    if kind == "hybrid":
        allowed = allowed & (distances <= radius)
    return nearest(unlike, k, allowed)


def among(indices: Array, counted: Array, size: int) -> Array:
    """Return which of ``size`` columns are listed in each row: ``(..., T, k)`` to boolean ``(..., T, size)``.

    Entries that are not ``counted`` list nothing.
    """
    xp = array_namespace(indices, counted)
    columns = xp.arange(size, device=device(indices))
    places = xp.where(counted, indices, xp.full_like(indices, -1))
    listed = xp.zeros((*indices.shape[:-1], size), dtype=xp.bool, device=device(indices))
    for slot in range(indices.shape[-1]):
        listed = listed | (places[..., slot : slot + 1] == columns)
    return listed


def draw_columns(allowed: Array, uniform: Array) -> tuple[Array, Array]:
    """Turn uniform numbers into uniform draws, with replacement, from the allowed columns of each row.

    Parameters
    ----------
    allowed
        Boolean, shape ``(..., T, S)``.
    uniform
        Numbers in [0, 1), one for each draw; shape ``(..., T, k)``.

    Returns
    -------
    Columns, and whether there was any to draw from, both ``(..., T, k)``.
    """
    xp = array_namespace(allowed, uniform)
    size = allowed.shape[-1]
    flat = xp.reshape(xp.astype(allowed, xp.int64), (-1,))
    counts = xp.reshape(xp.cumulative_sum(flat), allowed.shape)
    before = counts[..., :1] - xp.astype(allowed[..., :1], xp.int64)
    total = counts[..., -1:] - before
    # Rounding may take uniform * total up to total itself.
    rank = xp.minimum(xp.astype(xp.floor(uniform * total), xp.int64), total - 1)
    # The counts rise through all rows, so one search finds the column of each rank in its row.
    found = xp.searchsorted(xp.reshape(counts, (-1,)), xp.reshape(before + rank, (-1,)), side="right")
    drawn = xp.broadcast_to(total > 0, uniform.shape)
    return xp.where(drawn, xp.reshape(found, uniform.shape) % size, xp.zeros_like(rank)), drawn
