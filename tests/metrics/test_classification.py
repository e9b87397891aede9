import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from napari_mmssl.metrics.classification import accuracy, balanced_accuracy, macro_f1

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@pytest.mark.filterwarnings("ignore:y_pred contains classes:UserWarning")
@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@given(answers=answers)
def test_equals_scikit_learn(answers):
    truth, said = (np.array(part) for part in zip(*answers, strict=True))
    assert accuracy(truth, said) == pytest.approx(accuracy_score(truth, said))
    assert balanced_accuracy(truth, said) == pytest.approx(balanced_accuracy_score(truth, said))
    assert macro_f1(truth, said) == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))


def test_always_saying_the_frequent_class_is_no_better_than_chance_once_balanced():
    truth, said = np.array([0] * 90 + [1] * 10), np.zeros(100, int)
    assert accuracy(truth, said) == 0.9
    assert balanced_accuracy(truth, said) == 0.5


def test_of_nobody_nothing_is_defined():
    assert (accuracy([], []), balanced_accuracy([], []), macro_f1([], [])) == (None, None, None)
