import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from napari_mmssl.metrics.surface_distance import hd95_mm

spacings = st.tuples(*[st.floats(0.3, 6)] * 3)
mask_pairs = stn.array_shapes(min_dims=3, max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(stn.arrays(bool, shape), stn.arrays(bool, shape))
)


def surface_voxels(mask: np.ndarray) -> np.ndarray:
    """Voxels with at least one of six neighbours outside, written as the sentence says."""
    padded = np.pad(mask, 1)
    found = []
    for index in np.argwhere(padded):
        steps = [tuple(index + sign * axis) for axis in np.eye(3, dtype=int) for sign in (-1, 1)]
        if not all(padded[step] for step in steps):
            found.append(index)
    return np.array(found)


def slow_hd95(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, ...]) -> float:
    a, b = (surface_voxels(mask) * spacing_mm for mask in (prediction, reference))
    apart = np.linalg.norm(a[:, None] - b[None], axis=2)
    return max(np.percentile(apart.min(axis=1), 95), np.percentile(apart.min(axis=0), 95))


@given(mask_pairs, spacings)
@settings(deadline=None)
def test_hd95_equals_the_slow_definition(pair, spacing_mm):
    assume(pair[0].any() and pair[1].any())
    assert hd95_mm(*pair, spacing_mm) == pytest.approx(slow_hd95(*pair, spacing_mm), rel=1e-6, abs=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning:monai.*")
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (5.5, 0.9, 0.9)])
@pytest.mark.parametrize("seed", range(4))
def test_hd95_equals_monai(seed, spacing_mm):
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(seed)
    zyx = np.indices((14, 20, 18))
    masks = []
    for _ in range(2):
        centre, radius = rng.uniform(6, 9, (3, 1, 1, 1)), rng.uniform(3, 6)
        masks.append((np.linalg.norm(zyx - centre, axis=0) < radius) ^ (rng.random((14, 20, 18)) < 0.01))
    theirs = metrics.compute_hausdorff_distance(
        *(torch.tensor(mask)[None, None].float() for mask in masks),
        include_background=True,
        percentile=95,
        spacing=spacing_mm,
    )
    assert hd95_mm(*masks, spacing_mm) == pytest.approx(float(theirs), rel=1e-5)


def test_planes_three_voxels_apart_at_two_mm_are_six_mm_apart():
    a, b = np.zeros((10, 7, 7), bool), np.zeros((10, 7, 7), bool)
    a[2], b[5] = True, True
    assert hd95_mm(a, b, (2.0, 1.0, 1.0)) == 6.0
    assert hd95_mm(a.swapaxes(0, 2), b.swapaxes(0, 2), (1.0, 1.0, 2.0)) == 6.0


@pytest.mark.parametrize(("axis", "expected"), [(0, 3.0), (1, 0.5), (2, 1.0)])
def test_a_cube_shifted_by_a_voxel_is_that_voxel_away(axis, expected):
    cube = np.zeros((12, 12, 12), bool)
    cube[3:8, 3:8, 3:8] = True
    # More than 5 % of the surface lies on the face that moved, so the percentile reaches its distance.
    assert hd95_mm(cube, np.roll(cube, 1, axis), (3.0, 0.5, 1.0)) == expected


def test_one_stray_voxel_does_not_count():
    ball = np.linalg.norm(np.indices((30, 30, 30)) - 12, axis=0) < 8
    stray = ball.copy()
    stray[29, 29, 29] = True
    assert hd95_mm(stray, ball, (1.0, 1.0, 1.0)) == 0


@given(mask_pairs, spacings)
@settings(deadline=None)
def test_hd95_is_symmetric_and_scales_with_the_spacing(pair, spacing_mm):
    assume(pair[0].any() and pair[1].any())
    there = hd95_mm(*pair, spacing_mm)
    assert there == hd95_mm(*pair[::-1], spacing_mm)
    assert hd95_mm(*pair, [2 * edge for edge in spacing_mm]) == pytest.approx(2 * there)


@given(mask_pairs, spacings)
@settings(deadline=None)
def test_equal_masks_are_zero_apart_and_a_wider_image_changes_nothing(pair, spacing_mm):
    assume(pair[0].any() and pair[1].any())
    assert hd95_mm(pair[0], pair[0], spacing_mm) == 0
    assert hd95_mm(*(np.pad(mask, 2) for mask in pair), spacing_mm) == hd95_mm(*pair, spacing_mm)


def test_there_is_no_distance_to_nothing():
    nothing, something = np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)
    for pair in ((nothing, something), (something, nothing), (nothing, nothing)):
        assert math.isnan(hd95_mm(*pair, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.0, 0.0, 1.0)])
def test_an_impossible_spacing_is_refused(spacing_mm):
    with pytest.raises(ValueError, match="spacing"):
        hd95_mm(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), spacing_mm)


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        hd95_mm(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), (1.0, 1.0, 1.0))
