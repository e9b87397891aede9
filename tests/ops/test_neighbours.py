import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from topology_oracle import neighbours_of

from napari_mmssl.ops.neighbours import among, distances_between, draw_columns, nearest, neighbourhoods, pick


def make_tokens(seed, n_people=2, n_tokens=27, width=6):
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(n_people, n_tokens, width))
    tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
    places = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n_tokens]
    return tokens, np.broadcast_to(places, (n_people, *places.shape)), rng.random((n_people, n_tokens)) < 0.8


@pytest.mark.parametrize("kind", ["feature", "spatial", "hybrid"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), radius=st.sampled_from([0.5, 1.0, 1.5, 9.0]))
def test_neighbourhoods_equal_brute_force_and_hold_neither_self_nor_background(kind, seed, k, radius):
    tokens, places, usable = make_tokens(seed)
    similarity = tokens @ tokens.swapaxes(1, 2)

    indices, valid = neighbourhoods(similarity, distances_between(places, places), usable, k, kind, radius)

    for person in range(2):
        for i in range(27):
            found = indices[person, i][valid[person, i]].tolist()
            expected = neighbours_of(i, tokens[person], places[person], usable[person], k, kind, radius)
            assert found == expected
            assert i not in found
            assert all(usable[person, found])


def test_numpy_and_torch_agree():
    tokens, places, usable = make_tokens(3)
    similarity, distances = tokens @ tokens.swapaxes(1, 2), distances_between(places, places)
    arrays = neighbourhoods(similarity, distances, usable, 5, "hybrid", 1.5)
    tensors = neighbourhoods(
        *(torch.from_numpy(np.array(a)) for a in (similarity, distances, usable)), 5, "hybrid", 1.5
    )

    for array, tensor in zip(arrays, tensors, strict=True):
        np.testing.assert_array_equal(array, tensor.numpy())


def test_more_neighbours_than_tokens_gives_all_others():
    indices, valid = nearest(np.zeros((4, 4)), 9, ~np.eye(4, dtype=bool))

    assert [sorted(i[v].tolist()) for i, v in zip(indices, valid, strict=True)] == [
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [0, 1, 2],
    ]


def test_draws_are_allowed_and_uniform():
    rng = np.random.default_rng(0)
    allowed = np.zeros((3, 10), dtype=bool)
    allowed[0, [1, 4, 5, 9]] = True
    allowed[1, 7] = True

    columns, drawn = draw_columns(allowed, rng.random((3, 40_000)))

    counts = np.bincount(columns[0], minlength=10)
    assert set(np.flatnonzero(counts)) == {1, 4, 5, 9}
    # Four standard deviations of a binomial of 40 000 draws at 1/4.
    assert np.abs(counts[[1, 4, 5, 9]] - 10_000).max() < 4 * np.sqrt(40_000 * 0.25 * 0.75)
    assert set(columns[1]) == {7}
    assert drawn[:2].all()
    assert not drawn[2].any()


@given(uniform=st.floats(0, 1, exclude_max=True), n=st.integers(1, 30))
def test_every_uniform_number_below_one_draws_an_allowed_column(uniform, n):
    allowed = np.ones((1, n), dtype=bool)
    columns, drawn = draw_columns(allowed, np.array([[uniform]]))

    assert drawn.all()
    assert columns[0, 0] == min(n - 1, int(uniform * n))


def test_pick_reads_along_the_last_axis_and_passes_the_gradient_there():
    values = torch.randn(2, 3, 5, requires_grad=True)
    indices = torch.tensor([[[0, 4], [1, 1], [2, 3]], [[4, 4], [0, 1], [3, 2]]])

    picked = pick(values, indices)
    picked.sum().backward()

    torch.testing.assert_close(picked, torch.gather(values, 2, indices))
    expected = torch.zeros_like(values).scatter_add_(2, indices, torch.ones(2, 3, 2))
    torch.testing.assert_close(values.grad, expected)


def test_entries_that_do_not_count_list_nothing():
    listed = among(np.array([[0, 2], [1, 1]]), np.array([[True, False], [True, True]]), 3)

    np.testing.assert_array_equal(listed, [[True, False, False], [False, True, False]])
