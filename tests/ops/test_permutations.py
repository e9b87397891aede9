import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.permutations import (
    as_matrix,
    hamming_distance,
    invert,
    kendall_tau,
    shuffle,
    spread_permutations,
)

permutations = st.integers(1, 64).flatmap(lambda n: st.permutations(range(n))).map(np.array)


@given(perm=permutations)
def test_shuffling_with_the_inverse_restores_the_order(perm):
    tiles = np.random.default_rng(0).random((len(perm), 2, 2, 2))

    np.testing.assert_array_equal(shuffle(shuffle(tiles, perm), invert(perm)), tiles)


@given(perm=permutations)
def test_matrix_and_index_form_agree(perm):
    tiles = np.random.default_rng(0).random((len(perm), 5))

    np.testing.assert_array_equal(as_matrix(perm) @ tiles, shuffle(tiles, perm))
    np.testing.assert_array_equal(as_matrix(perm).T @ shuffle(tiles, perm), tiles)


def test_kendall_tau_by_hand():
    # Of the pairs (0,1), (0,2), (1,2) of 0,1,2 the order 1,0,2 keeps two and turns one.
    assert kendall_tau(np.array([0, 1, 2]), np.array([1, 0, 2])) == (2 - 1) / 3
    assert kendall_tau(np.array([0, 1, 2]), np.array([2, 1, 0])) == -1
    assert kendall_tau(np.array([0]), np.array([0])) == 1


def least_distance(perms):
    return min(hamming_distance(one, other) for one, other in itertools.combinations(perms, 2))


def test_a_spread_set_grows_by_the_farthest_of_all_permutations():
    chosen = spread_permutations(4, 6)

    for count in range(1, 6):
        before = chosen[:count]
        reached = [
            min(hamming_distance(np.array(perm), one) for one in before) for perm in itertools.permutations(range(4))
        ]
        assert min(hamming_distance(chosen[count], one) for one in before) == max(reached)


@pytest.mark.parametrize("n_tiles", [8, 9, 27])
def test_a_spread_set_holds_distinct_permutations_farther_apart_than_chance(n_tiles):
    chosen = spread_permutations(n_tiles, 40)
    by_chance = [np.random.default_rng(n).permutation(n_tiles) for n in range(40)]

    assert {tuple(sorted(perm)) for perm in chosen} == {tuple(range(n_tiles))}
    assert len({tuple(perm) for perm in chosen}) == 40
    assert least_distance(chosen) > least_distance(by_chance)
    np.testing.assert_array_equal(chosen, spread_permutations(n_tiles, 40))


def test_more_permutations_than_there_are_are_refused():
    assert len(spread_permutations(3, 6)) == 6
    with pytest.raises(ValueError, match="no 7 different permutations of 3 tiles"):
        spread_permutations(3, 7)
