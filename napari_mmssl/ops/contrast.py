"""Tell whose second view belongs to whose first: similarities and the InfoNCE loss."""

from typing import Any, TypeAlias

from array_api_compat import array_namespace

#: A numpy array or a torch tensor.
Array: TypeAlias = Any
_SMALLEST_SQUARE = 1e-16
_LARGE = 100.0


def cosine_similarities(one: Array, other: Array) -> Array:
    """Return the cosine of every row of ``one`` ``(B, C)`` with every row of ``other`` ``(B', C)``: ``(B, B')``."""
    return _unit_rows(one) @ _unit_rows(other).T


def info_nce(similarities: Array, temperature: float) -> Array:
    """Return the symmetric InfoNCE loss of views that belong together in pairs.

    With ``s`` the similarities divided by the temperature, the mean over rows ``i`` of
    ``logsumexp_j s[i, j] - s[i, i]``, averaged with the same over columns. Without any knowledge it is
    ``log B``; a single pair has nothing to be told from and costs nothing.

    Parameters
    ----------
    similarities
        Of each first view (row) with each second view (column), pairs on the diagonal; ``(B, B)``.
    temperature
        Divides the similarities; positive.

    Raises
    ------
    ValueError
        If the similarities are not square or the temperature is not positive.

    References
    ----------
    van den Oord et al., arXiv:1807.03748, equation 4; symmetric between a modal and a template view in
    BrainMVP, arXiv:2410.10604, modality-aware contrastive learning.
    """
    if len(similarities.shape) != 2 or similarities.shape[0] != similarities.shape[1]:
        raise ValueError(f"similarities must be square, got shape {tuple(similarities.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    xp = array_namespace(similarities)
    scores = similarities / temperature
    pairs = xp.linalg.diagonal(scores)
    return xp.mean((_logsumexp(scores, 1) + _logsumexp(scores, 0)) / 2 - pairs)


def _unit_rows(rows: Array) -> Array:
    xp = array_namespace(rows)
    squares = xp.sum(rows * rows, axis=1, keepdims=True)
    # Clipped before the root, whose slope at 0 is infinite.
    return rows / xp.sqrt(xp.clip(squares, _SMALLEST_SQUARE, None))


def _logsumexp(scores: Array, axis: int) -> Array:
    xp = array_namespace(scores)
    top = xp.max(scores, axis=axis, keepdims=True)
    return xp.squeeze(top, axis=axis) + xp.log(xp.sum(xp.exp(scores - top), axis=axis))


def nt_xent(first: Array, second: Array, temperature: float) -> Array:
    """Return the contrastive loss in which every view is told from *all* other views of the batch.

    Row ``i`` of ``first`` and of ``second`` ``(B, C)`` belong together. With the ``2B`` views side by side and ``s``
    their cosines over the temperature, the mean over views of ``logsumexp_{k != i} s[i, k] - s[i, partner]``. Unlike in
    :func:`info_nce`, views of the same kind are negatives too. Without any knowledge it is ``log(2B - 1)``.

    Raises
    ------
    ValueError
        If the temperature is not positive.

    References
    ----------
    Chen et al., arXiv:2002.05709, equation 1.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    xp = array_namespace(first, second)
    scores = cosine_similarities(xp.concat([first, second]), xp.concat([first, second])) / temperature
    n_pairs = first.shape[0]
    partners = xp.concat([xp.linalg.diagonal(scores[:n_pairs, n_pairs:])] * 2)
    itself = xp.eye(2 * n_pairs, dtype=scores.dtype, device=scores.device)
    # A finite nothing: the gradient of an infinite one is not a number.
    others = scores - itself * (4 / temperature + _LARGE)
    return xp.mean(_logsumexp(others, 1) - partners)
