"""Paired differences: what they hold in simulated studies, and what may be said of them."""

import numpy as np
import pytest

from napari_mmssl.metrics.paired import paired_difference


def test_mean_is_over_draws_not_over_people() -> None:
    result = paired_difference([[1.0], [3.0, 3.0, 3.0]])
    assert result.mean == 2.0
    assert (result.n_draws, result.n_better) == (2, 2)


def test_equal_arms_show_no_difference() -> None:
    result = paired_difference([[0.0, 0.0], [0.0], [0.0]])
    assert (result.low, result.high, result.verdict) == (0.0, 0.0, "no difference shown")


@pytest.mark.parametrize(("shift", "verdict"), [(0.5, "better"), (-0.5, "worse"), (0.0, "no difference shown")])
def test_a_difference_is_told_only_where_the_interval_leaves_zero_out(shift: float, verdict: str) -> None:
    rng = np.random.default_rng(3)
    result = paired_difference([shift + 0.1 * rng.normal(size=6) for _ in range(5)])
    assert result.low < result.mean < result.high
    assert result.verdict == verdict


def test_of_a_distance_less_is_better() -> None:
    result = paired_difference([[-3.0, -2.5], [-3.5], [-2.8]], less_is_better=True)
    assert (result.verdict, result.n_better) == ("better", 3)
    assert paired_difference([[3.0, 2.5], [3.5], [2.8]], less_is_better=True).verdict == "worse"


def test_undefined_pairs_and_empty_draws_are_left_out() -> None:
    nan = float("nan")
    assert paired_difference([[1.0, nan], [nan], [2.0]]) == paired_difference([[1.0], [2.0]])


def test_one_draw_has_no_interval_and_shows_nothing() -> None:
    result = paired_difference([[0.4, 0.5, 0.6]])
    assert np.isnan(result.low)
    assert np.isnan(result.high)
    assert result.verdict == "no difference shown"


def test_no_pair_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pair"):
        paired_difference([[float("nan")], []])


@pytest.mark.parametrize("n_draws", [3, 5])
def test_intervals_of_few_draws_hold_the_truth_as_often_as_they_say(n_draws: int) -> None:
    """200 simulated studies whose draws differ more than their people, which is where a plain bootstrap fails."""
    rng = np.random.default_rng(n_draws)
    held = 0
    for study in range(200):
        result = paired_difference([rng.normal() + 0.01 * rng.normal(size=4) for _ in range(n_draws)], seed=study)
        held += result.low <= 0 <= result.high
    # 95 % of 200 is 190; 181 is three standard errors below.
    assert held >= 181
