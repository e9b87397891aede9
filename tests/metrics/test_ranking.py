import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import somersd
from sklearn.metrics import roc_auc_score

from napari_mmssl.metrics.ranking import auc, concordance, mean_auc

people = st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.integers(-3, 3)), min_size=1, max_size=25)


def slow_concordance(days, observed, risk):
    """Go through all pairs as the definition says it."""
    right, pairs = 0.0, 0
    for i in range(len(days)):
        for j in range(len(days)):
            i_died_first = observed[i] and (days[i] < days[j] or (days[i] == days[j] and not observed[j]))
            if i != j and i_died_first:
                pairs += 1
                right += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    return right / pairs if pairs else None


@given(people=people)
def test_concordance_equals_a_loop_over_all_pairs(people):
    days, observed, risk = zip(*people, strict=True)
    found, slow = concordance(days, observed, risk), slow_concordance(days, observed, risk)
    assert (found is None) == (slow is None)
    assert found is None or found == pytest.approx(slow)


@given(people=people)
def test_without_censoring_concordance_is_somers_d(people):
    days, _, risk = (np.array(part) for part in zip(*people, strict=True))
    assume(len(np.unique(days)) > 1 and len(np.unique(risk)) > 1)
    found = concordance(days, np.ones(len(days), bool), risk)
    assert found == pytest.approx((1 - somersd(days, risk).statistic) / 2)


def test_concordance_equals_that_of_lifelines():
    # lifelines 0.30.0: concordance_index(days, -risk, observed)
    days = [5, 9, 9, 12, 20, 20, 31, 40, 44, 50]
    observed = [1, 1, 0, 1, 0, 1, 1, 0, 1, 0]
    risk = [3.0, 2.5, 2.5, 2.7, 1.0, 1.5, 1.5, 0.2, 0.9, 1.1]
    assert concordance(days, observed, risk) == pytest.approx(0.90625, abs=1e-12)


def test_the_perfect_order_is_1_the_reverse_0_and_chance_a_half(rng):
    days = rng.permutation(300) + 1.0
    observed = rng.random(300) < 0.7
    assert concordance(days, observed, -days) == 1
    assert concordance(days, observed, days) == 0
    assert concordance(days, observed, np.zeros(300)) == 0.5
    assert concordance(days, observed, rng.normal(size=300)) == pytest.approx(0.5, abs=0.06)


def test_without_a_pair_there_is_no_concordance():
    assert concordance([], [], []) is None
    assert concordance([3, 4], [False, False], [1, 2]) is None
    assert concordance([4], [True], [1]) is None


@given(pairs=st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40))
def test_auc_equals_that_of_scikit_learn(pairs):
    truth, score = zip(*pairs, strict=True)
    if len(set(truth)) < 2:
        assert auc(truth, score) is None
    else:
        assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))


def test_mean_auc_of_several_classes_equals_that_of_scikit_learn(rng):
    truth = rng.integers(0, 4, 60)
    probability = rng.dirichlet(np.ones(4), 60)
    wanted = roc_auc_score(truth, probability, multi_class="ovr", average="macro")
    assert mean_auc(truth, probability) == pytest.approx(wanted)
    assert mean_auc(np.zeros(5, int), probability[:5]) is None
