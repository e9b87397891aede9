"""Permutations, with one convention for all: ``shuffled[n] = tiles[perm[n]]``.

In matrix form ``P[n, perm[n]] = 1``, so ``shuffled = P @ tiles`` and ``tiles = P.T @ shuffled``.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
Permutation: TypeAlias = npt.NDArray[np.int64]


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
