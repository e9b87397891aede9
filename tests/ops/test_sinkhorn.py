import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from napari_mmssl.ops.permutations import as_matrix
from napari_mmssl.ops.sinkhorn import doubly_stochastic_error, match_tiles, soft_permutation

seeds = st.integers(0, 2**32 - 1)


def normal_scores(seed: int, n: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n)) * scale


@given(seed=seeds)
def test_rows_and_columns_of_27_tiles_sum_to_one(seed):
    assert doubly_stochastic_error(soft_permutation(normal_scores(seed, 27), 1.0, 20)) < 1e-4


@given(seed=seeds, n=st.integers(1, 30))
def test_huge_scores_stay_finite_and_columns_sum_to_one(seed, n):
    soft = soft_permutation(np.sign(normal_scores(seed, n)) * 1e4)

    assert np.isfinite(soft).all()
    np.testing.assert_allclose(soft.sum(axis=-2), 1, atol=1e-9)


@given(seed=seeds, n=st.integers(2, 12))
def test_equivariant_when_tiles_are_renamed(seed, n):
    scores = normal_scores(seed, n)
    rename = np.random.default_rng(seed).permutation(n)

    np.testing.assert_allclose(soft_permutation(scores[rename]), soft_permutation(scores)[rename], atol=1e-12)


@given(seed=seeds, n=st.integers(2, 12))
def test_a_constant_on_a_row_or_column_changes_nothing(seed, n):
    scores = normal_scores(seed, n)
    rows, columns = np.random.default_rng(seed).normal(size=(2, n))

    moved = soft_permutation(scores + rows[:, None] + columns, 1.0, 200)

    np.testing.assert_allclose(moved, soft_permutation(scores, 1.0, 200), atol=1e-6)


@settings(max_examples=25)
@example(seed=463, n=9)  # at temperature 0.02 its soft answer is still 0.06 away
@given(seed=seeds, n=st.integers(2, 10))
def test_nears_the_hungarian_answer_as_temperature_falls(seed, n):
    scores = normal_scores(seed, n)

    soft = soft_permutation(scores, 0.01, 3000)

    places = linear_sum_assignment(scores, maximize=True)[1]
    # Unless two answers are as good as equal, the soft one must be the hard one.
    if _margin(scores, places) > 0.2:
        np.testing.assert_allclose(soft, as_matrix(places), atol=0.05)


def _margin(scores: np.ndarray, best: np.ndarray) -> float:
    """Return by how much the best matching beats the best one that avoids any one of its pairs."""
    total = scores[np.arange(len(best)), best].sum()
    others = []
    for tile, place in enumerate(best):
        forbidden = scores.copy()
        forbidden[tile, place] = -1e3
        places = linear_sum_assignment(forbidden, maximize=True)[1]
        others.append(forbidden[np.arange(len(best)), places].sum())
    return float(total - max(others))


def test_gradient_is_exact():
    scores = torch.randn(2, 5, 5, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))

    assert torch.autograd.gradcheck(lambda x: soft_permutation(x, 0.7, 15), scores)


def test_numpy_and_torch_agree():
    scores = normal_scores(3, 27)

    np.testing.assert_allclose(
        soft_permutation(torch.from_numpy(scores), 0.5).numpy(), soft_permutation(scores, 0.5), atol=1e-12
    )
    np.testing.assert_array_equal(match_tiles(torch.from_numpy(scores)), match_tiles(scores))


@given(seed=seeds, n=st.integers(1, 30), temperature=st.sampled_from([0.1, 0.3, 1.0]))
def test_the_limit_is_doubly_stochastic(seed, n, temperature):
    soft = soft_permutation(normal_scores(seed, n), temperature, None)

    assert doubly_stochastic_error(soft) < 1e-8


def test_the_limit_is_where_the_rounds_lead():
    scores = normal_scores(1, 9)

    limit = soft_permutation(scores, 0.3, None)

    np.testing.assert_allclose(limit, soft_permutation(scores, 0.3, 5000), atol=1e-9)
    of_floats = soft_permutation(torch.from_numpy(scores).float(), 0.3, None)
    assert of_floats.dtype == torch.float32
    np.testing.assert_allclose(of_floats.numpy(), limit, atol=1e-6)


@given(seed=seeds, n=st.integers(2, 12))
def test_the_limit_is_equivariant_and_the_same_on_both_libraries(seed, n):
    scores = normal_scores(seed, n)
    rename = np.random.default_rng(seed).permutation(n)
    limit = soft_permutation(scores, 0.2, None)

    np.testing.assert_allclose(soft_permutation(scores[rename], 0.2, None), limit[rename], atol=1e-7)
    np.testing.assert_allclose(soft_permutation(torch.from_numpy(scores), 0.2, None).numpy(), limit, atol=1e-7)


@pytest.mark.parametrize("temperature", [0.25, 0.7, 2.0])
def test_the_gradient_of_the_limit_is_exact(temperature):
    scores = torch.randn(2, 5, 5, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))

    assert torch.autograd.gradcheck(lambda x: soft_permutation(x, temperature, None), scores)


@settings(max_examples=20)
@given(seed=seeds, n=st.integers(1, 12), kind=st.sampled_from(["signs", "normal", "equal rows"]))
def test_the_limit_of_huge_scores_is_finite_and_so_is_its_gradient(seed, n, kind):
    scores = normal_scores(seed, n) * 1e4
    if kind == "signs":
        scores = np.sign(scores) * 1e4
    elif kind == "equal rows":
        scores = np.repeat(scores[:1], n, axis=0)
    tensor = torch.from_numpy(np.stack([scores, normal_scores(seed, n)])).requires_grad_()

    soft = soft_permutation(tensor, 1.0, None)
    (soft**2).sum().backward()

    assert torch.isfinite(soft).all()
    assert torch.isfinite(tensor.grad).all()
    torch.testing.assert_close(soft.sum(dim=-2), torch.ones(2, n, dtype=torch.float64))
    # What cannot be solved in one matrix of a batch spoils no other.
    assert doubly_stochastic_error(soft[1]) < 1e-8


def test_a_perfect_permutation_is_matched_in_the_stated_convention():
    perm = np.array([2, 0, 1, 3])

    np.testing.assert_array_equal(match_tiles(as_matrix(perm)), perm)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((np.zeros((2, 3)),), "square"), ((np.zeros((2, 2)), 0.0), "positive"), ((np.zeros((2, 2)), 1.0, 0), "round")],
)
def test_misuse_is_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        soft_permutation(*arguments)
