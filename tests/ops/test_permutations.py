import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.permutations import as_matrix, invert, kendall_tau, shuffle

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
