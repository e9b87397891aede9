import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from monai.metrics import compute_surface_dice

from napari_mmssl.metrics.surface_distance import surface_dice

spacings = st.tuples(*[st.floats(0.3, 6)] * 3)
mask_pairs = stn.array_shapes(min_dims=3, max_dims=3, min_side=3, max_side=7).flatmap(
    lambda shape: st.tuples(stn.arrays(bool, shape), stn.arrays(bool, shape))
)


@given(masks=mask_pairs, spacing=spacings, tolerance=st.floats(0, 8))
def test_equals_monai(masks, spacing, tolerance):
    # MONAI crops the border away from what touches the edge of the image; here the edge counts as outside.
    a, b = (np.pad(mask, 1) for mask in masks)
    assume(a.any() and b.any())
    theirs = compute_surface_dice(
        torch.tensor(a)[None, None], torch.tensor(b)[None, None], [tolerance + 1e-6], True, spacing=spacing
    )
    assert surface_dice(a, b, spacing, tolerance) == pytest.approx(float(theirs), abs=1e-6)


@given(masks=mask_pairs, spacing=spacings, tolerance=st.floats(0, 8))
def test_order_does_not_matter_and_more_tolerance_is_never_worse(masks, spacing, tolerance):
    a, b = masks
    assume(a.any() or b.any())
    here = surface_dice(a, b, spacing, tolerance)
    assert here == surface_dice(b, a, spacing, tolerance)
    assert here <= surface_dice(a, b, spacing, tolerance + 1)


def test_planes_apart_are_the_same_from_their_distance_on():
    a, b = np.zeros((10, 5, 5), bool), np.zeros((10, 5, 5), bool)
    a[2], b[5] = True, True
    assert surface_dice(a, b, (2, 1, 1), 5.9) == 0
    assert surface_dice(a, b, (2, 1, 1), 6) == 1


def test_nothing_found_is_0_and_nothing_there_undefined():
    some, nothing = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    assert surface_dice(nothing, some, (1, 1, 1), 2) == 0
    assert surface_dice(some, nothing, (1, 1, 1), 2) == 0
    assert math.isnan(surface_dice(nothing, nothing, (1, 1, 1), 2))
