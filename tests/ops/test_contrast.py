import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.contrast import cosine_similarities, info_nce, nt_xent


def slow_info_nce(one, other, temperature):
    """Return the loss from its formula, one pair at a time, in double precision."""
    size = len(one)
    total = 0.0
    for first, second in ((one, other), (other, one)):
        for i in range(size):
            scores = [
                math.exp(
                    float(first[i] @ second[j]) / np.linalg.norm(first[i]) / np.linalg.norm(second[j]) / temperature
                )
                for j in range(size)
            ]
            total -= math.log(scores[i] / sum(scores)) / size / 2
    return total


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0.1, 3), st.integers(0, 100))
def test_the_loss_equals_a_slow_loop(size, width, temperature, seed):
    one, other = np.random.default_rng(seed).normal(size=(2, size, width))

    fast = info_nce(cosine_similarities(one, other), temperature)
    with_torch = info_nce(cosine_similarities(torch.from_numpy(one), torch.from_numpy(other)), temperature)

    assert float(fast) == pytest.approx(slow_info_nce(one, other, temperature), abs=1e-9)
    assert float(with_torch) == pytest.approx(float(fast), abs=1e-9)


def test_two_samples_have_a_closed_form():
    # s = [[a, b], [c, d]]: the four terms are softplus of differences.
    a, b, c, d, temperature = 0.9, -0.3, 0.2, 0.4, 0.5
    differences = [(b - a), (c - d), (c - a), (b - d)]
    closed = sum(math.log1p(math.exp(x / temperature)) for x in differences) / 4

    assert float(info_nce(np.array([[a, b], [c, d]]), temperature)) == pytest.approx(closed)


def test_perfect_alignment_costs_less_than_guessing_and_guessing_costs_log_b():
    aligned = info_nce(cosine_similarities(np.eye(5), np.eye(5)), 1.0)

    assert float(aligned) == pytest.approx(math.log(math.e + 4) - 1)
    assert float(aligned) < math.log(5)
    assert float(info_nce(np.full((5, 5), 0.7), 0.1)) == pytest.approx(math.log(5))
    assert float(info_nce(cosine_similarities(np.eye(5), np.eye(5)[[1, 2, 3, 4, 0]]), 0.1)) > math.log(5)


def test_a_single_pair_has_nothing_to_be_told_from():
    assert float(info_nce(np.array([[0.3]]), 0.1)) == pytest.approx(0, abs=1e-12)


def test_it_is_symmetric_in_its_views(rng):
    similarities = rng.normal(size=(4, 4))

    assert float(info_nce(similarities, 0.3)) == pytest.approx(float(info_nce(similarities.T, 0.3)))


def test_large_scores_and_empty_features_stay_finite():
    assert math.isfinite(float(info_nce(np.eye(3) * 1e6, 1e-3)))
    zeros = torch.zeros(3, 4, requires_grad=True)
    info_nce(cosine_similarities(zeros, torch.ones(3, 4)), 0.1).backward()
    assert torch.isfinite(zeros.grad).all()


def test_gradients_are_right():
    one, other = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    assert torch.autograd.gradcheck(
        lambda a, b: info_nce(cosine_similarities(a, b), 0.4), (one.requires_grad_(), other.requires_grad_())
    )


@pytest.mark.parametrize(("similarities", "temperature"), [(np.ones((2, 3)), 1.0), (np.ones((2, 2)), 0.0)])
def test_what_cannot_be_compared_is_refused(similarities, temperature):
    with pytest.raises(ValueError, match="must be"):
        info_nce(similarities, temperature)


def slow_nt_xent(first, second, temperature):
    """Return the loss view by view, in double precision."""
    views = [row / np.linalg.norm(row) for row in (*first, *second)]
    total = 0.0
    for i, view in enumerate(views):
        scores = {k: math.exp(float(view @ other) / temperature) for k, other in enumerate(views) if k != i}
        total -= math.log(scores[(i + len(first)) % len(views)] / sum(scores.values()))
    return total / len(views)


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0.1, 3), st.integers(0, 100))
def test_contrast_among_all_views_equals_a_slow_loop(size, width, temperature, seed):
    first, second = np.random.default_rng(seed).normal(size=(2, size, width))

    fast = float(nt_xent(first, second, temperature))
    with_torch = float(nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature))

    assert fast == pytest.approx(slow_nt_xent(first, second, temperature), abs=1e-9)
    assert with_torch == pytest.approx(fast, abs=1e-9)


def test_contrast_among_all_views_has_a_finite_gradient_where_views_are_equal():
    views = torch.ones(3, 4, requires_grad=True)

    loss = nt_xent(views, views, 0.1)
    loss.backward()

    assert float(loss.detach()) == pytest.approx(math.log(5), abs=1e-6)
    assert torch.isfinite(views.grad).all()
    with pytest.raises(ValueError, match="temperature must be positive"):
        nt_xent(views, views, 0)
