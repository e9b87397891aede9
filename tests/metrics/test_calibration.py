import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from napari_mmssl.metrics.calibration import brier_score, expected_calibration_error, reliability


def slow_calibration_error(truth, probability, bins):
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [n for n, row in enumerate(probability) if low < row.max() <= high or (number == 0 and row.max() == 0)]
        if inside:
            confidence = np.mean([probability[n].max() for n in inside])
            right = np.mean([probability[n].argmax() == truth[n] for n in inside])
            total += len(inside) / len(truth) * abs(confidence - right)
    return total


@given(seed=st.integers(0, 10_000), people=st.integers(1, 60), classes=st.integers(2, 5), bins=st.integers(1, 15))
def test_calibration_error_equals_a_loop_over_bins(seed, people, classes, bins):
    rng = np.random.default_rng(seed)
    truth, probability = rng.integers(0, classes, people), rng.dirichlet(np.ones(classes), people)
    wanted = slow_calibration_error(truth, probability, bins)
    assert expected_calibration_error(truth, probability, bins) == pytest.approx(wanted)


def test_brier_score_of_two_classes_is_twice_that_of_one(rng):
    truth, positive = rng.integers(0, 2, 50), rng.random(50)
    found = brier_score(truth, np.stack([1 - positive, positive], axis=1))
    assert found == pytest.approx(2 * brier_score_loss(truth, positive))


def test_reliability_equals_the_curve_of_scikit_learn(rng):
    confidence = rng.uniform(0.5, 1, 200)
    right = rng.random(200) < confidence
    found = reliability(np.where(right, 0, 1), np.stack([confidence, 1 - confidence], axis=1))
    accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=10)
    filled = found.count > 0
    np.testing.assert_allclose(found.accuracy[filled], accuracy)
    np.testing.assert_allclose(found.confidence[filled], mean_confidence)
    assert found.count.sum() == 200


def test_probabilities_that_come_true_are_calibrated_and_certainty_that_errs_is_not(rng):
    probability = rng.dirichlet(np.ones(3), 20_000)
    truth = (probability.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert expected_calibration_error(truth, probability) < 0.02
    sure = np.eye(3)[np.zeros(90, int)]
    assert expected_calibration_error(np.repeat([0, 1, 2], 30), sure) == pytest.approx(2 / 3)
    assert brier_score(np.repeat([0, 1, 2], 30), sure) == pytest.approx(4 / 3)


def test_of_nobody_nothing_is_defined():
    assert brier_score([], np.zeros((0, 2))) is None
    assert expected_calibration_error([], np.zeros((0, 2))) is None
