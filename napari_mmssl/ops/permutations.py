"""Permutations, with one convention for all: ``shuffled[n] = tiles[perm[n]]``.

In matrix form ``P[n, perm[n]] = 1``, so ``shuffled = P @ tiles`` and ``tiles = P.T @ shuffled``.
"""

import itertools
import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
Permutation: TypeAlias = npt.NDArray[np.int64]

#: Up to here all permutations are tried (8! = 40320), beyond it so many drawn ones.
_ALL_UP_TO = 8
_CANDIDATES = 300


def shuffle(tiles: Array, perm: Permutation) -> Array:
    """Return ``tiles[perm]`` along the first axis; undone by shuffling with :func:`invert` of ``perm``."""
    return tiles[perm]


def invert(perm: Permutation) -> Permutation:
    """Return the permutation that undoes ``perm``."""
    return np.argsort(perm)


def as_matrix(perm: Permutation) -> npt.NDArray[np.float64]:
    """Return ``P`` of shape ``(N, N)`` with ``P[n, perm[n]] = 1`` and zeros elsewhere."""
    return np.eye(len(perm))[perm]


def kendall_tau(perm: Permutation, other: Permutation) -> float:
    """Return Kendall's rank correlation of two permutations: 1 equal, -1 reversed; 1 for fewer than 2 tiles."""
    if len(perm) < 2:
        return 1.0
    first, second = np.triu_indices(len(perm), k=1)
    agree = np.sign(perm[first] - perm[second]) * np.sign(other[first] - other[second])
    return float(agree.mean())


def hamming_distance(perm: Permutation, other: Permutation) -> int:
    """Return how many tiles two permutations put in different places."""
    return int(np.count_nonzero(perm != other))


def most_permutations(n_tiles: int) -> int:
    """Return how many permutations of ``n_tiles`` tiles there are."""
    return math.factorial(n_tiles)


def spread_permutations(n_tiles: int, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return ``count`` permutations that are far apart, ``(count, n_tiles)``.

    Each is the one farthest from all before it: of the largest least Hamming distance, and among those of the
    largest sum of distances. Up to eight tiles all permutations are tried, with more tiles a few hundred drawn anew
    every time.

    Parameters
    ----------
    n_tiles
        Tiles in a puzzle.
    count
        Size of the set.
    seed
        Equal seeds give equal sets.

    Raises
    ------
    ValueError
        If there are fewer than ``count`` permutations of ``n_tiles`` tiles.

    References
    ----------
    Noroozi and Favaro 2016, arXiv:1603.09246, algorithm 1 (there the mean distance is maximised).
    """
    if n_tiles < 1 or count < 1 or count > most_permutations(n_tiles):
        raise ValueError(f"there are no {count} different permutations of {n_tiles} tiles")
    rng = np.random.default_rng([seed, n_tiles, count])
    every = _all_permutations(n_tiles, rng) if n_tiles <= _ALL_UP_TO else None
    chosen = [rng.permutation(n_tiles) if every is None else every[0]]
    least = total = np.zeros(0)
    while len(chosen) < count:
        if every is None:
            candidates = rng.permuted(np.tile(np.arange(n_tiles), (_CANDIDATES, 1)), axis=1)
            apart = (candidates[:, None] != np.stack(chosen)).sum(axis=2)
            least, total = apart.min(axis=1), apart.sum(axis=1)
        else:
            candidates = every
            apart = (every != chosen[-1]).sum(axis=1)
            least = apart if len(chosen) == 1 else np.minimum(least, apart)
            total = apart if len(chosen) == 1 else total + apart
        chosen.append(candidates[np.lexsort((total, least))[-1]])
    return np.stack(chosen).astype(np.int64)


def _all_permutations(n_tiles: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    every = np.array(list(itertools.permutations(range(n_tiles))))
    return rng.permutation(every)
