import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from sklearn.metrics import f1_score

from napari_mmssl.metrics.overlap import dice

mask_pairs = stn.array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(stn.arrays(bool, shape), stn.arrays(bool, shape))
)


@given(mask_pairs)
def test_dice_counts_voxels(pair):
    a, b = ({tuple(index) for index in np.argwhere(mask)} for mask in pair)
    expected = 2 * len(a & b) / (len(a) + len(b)) if a or b else math.nan
    assert dice(*pair) == pytest.approx(expected, nan_ok=True)


@given(mask_pairs)
def test_dice_equals_f1_of_scikit_learn(pair):
    a, b = pair
    if a.any() or b.any():
        assert dice(a, b) == pytest.approx(f1_score(b.ravel(), a.ravel(), zero_division=0))


@given(mask_pairs)
def test_dice_is_symmetric(pair):
    assert dice(*pair) == pytest.approx(dice(*pair[::-1]), nan_ok=True)


def test_dice_of_half_overlapping_blocks_is_a_half():
    a, b = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert dice(a, b) == 0.5


def test_dice_is_undefined_when_nothing_was_there_and_nothing_found():
    nothing, something = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert math.isnan(dice(nothing, nothing))
    assert dice(nothing, something) == dice(something, nothing) == 0


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(4, 1\)"):
        dice(np.ones((2, 2), bool), np.ones((4, 1), bool))
