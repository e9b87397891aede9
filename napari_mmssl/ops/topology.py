"""The two topology losses of TACO as array functions, and monitors of the collapse they could cause.

Pan et al. 2026, arXiv:2605.14654. ``d = 1 - cos`` throughout, so a hinge on distances is one on cosines:
``max(0, d(anchor, near) - d(anchor, far) + m) = max(0, cos(anchor, far) - cos(anchor, near) + m)``.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from array_api_compat import array_namespace, device

from napari_mmssl.ops.neighbours import among, draw_columns, pick

Array: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class Triplets:
    """Tokens that should be nearer to an anchor than others; all indices into one map, ``(..., T, k)``.

    Parameters
    ----------
    near, far
        Indices of the nearer and of the farther token.
    counted
        Which triplets there are.
    """

    near: Array
    far: Array
    counted: Array


def intra_triplets(neighbours: Array, valid: Array, usable: Array, uniform: Array) -> Triplets:
    """Return one triplet for each neighbour: near is the neighbour, far is drawn from all that are none.

    Parameters
    ----------
    neighbours, valid
        From :func:`napari_mmssl.ops.neighbours.neighbourhoods` in one modality; ``(..., T, k)``.
    usable
        Tokens with enough body ``(..., T)``; only they are drawn.
    uniform
        Numbers in [0, 1) that decide the draws; ``(..., T, k)``.
    """
    xp = array_namespace(neighbours, usable)
    size = usable.shape[-1]
    itself = xp.eye(size, dtype=xp.bool, device=device(usable))
    others = usable[..., None, :] & ~itself & ~among(neighbours, valid, size)
    far, drawn = draw_columns(others, uniform)
    return Triplets(neighbours, far, valid & drawn)


def partial_triplets(neighbours: Array, valid: Array, matches: Array, usable: Array, uniform: Array) -> Triplets:
    """Return triplets in a second person from the neighbourhoods in a first, through partial matches.

    For token ``i`` of the first person, matched with ``u``, every neighbour of ``i`` that is matched too gives
    a triplet with anchor ``u``: near is the neighbour's match, far is drawn from the second person's
    unmatched tokens, or, if all are matched, from those that are neither ``u`` nor any near.

    Parameters
    ----------
    neighbours, valid
        In the first person ``(..., T, k)``.
    matches
        Token of the second person for each of the first, or -1; ``(..., T)``.
    usable
        Tokens of the second person with enough body ``(..., S)``.
    uniform
        Numbers in [0, 1) that decide the draws; ``(..., T, k)``.
    """
    xp = array_namespace(neighbours, usable)
    size = usable.shape[-1]
    listed = xp.reshape(neighbours, (*matches.shape[:-1], 1, -1))
    images = xp.reshape(pick(matches[..., None, :], listed), neighbours.shape)
    counted = valid & (images >= 0) & (matches[..., :, None] >= 0)
    anchors = xp.arange(size, device=device(usable)) == matches[..., :, None]
    unmatched = usable & ~xp.any(anchors, axis=-2)
    rest = usable[..., None, :] & ~anchors & ~among(images, counted, size)
    allowed = xp.where(xp.any(unmatched, axis=-1)[..., None, None], unmatched[..., None, :], rest)
    far, drawn = draw_columns(allowed, uniform)
    return Triplets(xp.where(counted, images, xp.zeros_like(images)), far, counted & drawn)


def triplet_loss(rows: Array, triplets: Triplets, margin: float, weight: Array | None = None) -> tuple[Array, Array]:
    """Return the mean hinge of the triplets of each map, and the share of them in the right order.

    Parameters
    ----------
    rows
        Cosines of each anchor with all tokens of its map ``(..., T, S)``; gradients flow into these only.
    triplets
        Indices into the last axis of ``rows``.
    margin
        By how much near must be nearer than far, in cosine.
    weight
        Of each anchor ``(..., T)``; by default all weigh the same.

    Returns
    -------
    Loss and share, both of the leading shape; 0 where there is no triplet.
    """
    xp = array_namespace(rows)
    excess = pick(rows, triplets.far) - pick(rows, triplets.near)
    share = xp.astype(triplets.counted, rows.dtype)
    if weight is not None:
        share = share * weight[..., None]
    total = xp.sum(share, axis=(-2, -1), keepdims=True)
    share = share / xp.where(total > 0, total, xp.ones_like(total))
    hinge = xp.where(excess + margin > 0, excess + margin, xp.zeros_like(excess))
    right = xp.astype(excess < 0, rows.dtype)
    return xp.sum(hinge * share, axis=(-2, -1)), xp.sum(right * share, axis=(-2, -1))


def anchor_rows(similarity: Array, matches: Array) -> Array:
    """Return the rows of ``similarity`` ``(..., S, S)`` that belong to ``matches`` ``(..., T)``: ``(..., T, S)``.

    Where there is no match the first row stands in.
    """
    xp = array_namespace(similarity, matches)
    size = similarity.shape[-1]
    flat = xp.reshape(similarity, (-1, size))
    starts = xp.arange(0, flat.shape[0], similarity.shape[-2], device=device(similarity))
    rows = xp.clip(matches, 0, None) + xp.reshape(starts, (*similarity.shape[:-2], 1))
    return xp.reshape(xp.take(flat, xp.reshape(rows, (-1,)), axis=0), (*matches.shape, size))


def effective_rank(tokens: Array) -> float:
    """Return the exponential of the entropy of the normalised singular values of ``tokens`` ``(n, C)``.

    Between 1 (all tokens are multiples of one vector) and ``min(n, C)``; 0 if there is nothing but zeros.

    References
    ----------
    Roy and Vetterli 2007, EUSIPCO, definition 1.
    """
    xp = array_namespace(tokens)
    values = xp.linalg.svdvals(tokens)
    total = float(xp.sum(values)) if values.shape[0] else 0.0
    if total == 0:
        return 0.0
    share = values / total
    logs = xp.log(xp.where(share > 0, share, xp.ones_like(share)))
    return float(xp.exp(-xp.sum(share * logs)))


def collapse_monitors(tokens: Array) -> dict[str, float]:
    """Return how far unit tokens ``(n, C)`` are from having become all the same.

    Returns
    -------
    ``token_std``, root mean square of the standard deviations of the features times ``sqrt(C)``: 1 when spread
    evenly about the origin, 0 after collapse; ``effective_rank``; ``token_cosine``, mean over all pairs of
    different tokens: near 1 after collapse. All 0 for fewer than two tokens.
    """
    xp = array_namespace(tokens)
    n = tokens.shape[0]
    if n < 2:
        return {"token_std": 0.0, "effective_rank": 0.0, "token_cosine": 0.0}
    total = xp.sum(tokens, axis=0)
    return {
        "token_std": float(xp.sqrt(xp.sum(xp.var(tokens, axis=0)))),
        "effective_rank": effective_rank(tokens),
        "token_cosine": float((xp.sum(total * total) - n) / (n * (n - 1))),
    }
