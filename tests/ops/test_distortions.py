import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.distortions import (
    bend_intensities,
    draw_intensity_curve,
    draw_local_shuffle,
    draw_painting,
    move_voxels,
)

seeds = st.integers(0, 10_000)
shapes = st.tuples(*[st.integers(4, 14)] * 3)


@given(seed=seeds)
def test_a_curve_is_a_monotone_map_of_the_unit_interval_onto_itself(seed):
    curve = draw_intensity_curve(np.random.default_rng(seed))
    steps = np.diff(curve)

    assert (steps >= 0).all() or (steps <= 0).all()
    assert {round(curve[0], 6), round(curve[-1], 6)} == {0, 1}


def test_curves_rise_and_fall_alike_often():
    rises = [draw_intensity_curve(np.random.default_rng(n))[-1] > 0.5 for n in range(200)]

    assert 70 < sum(rises) < 130


@given(seed=seeds)
def test_bent_intensities_keep_extremes_and_order_and_leave_the_outside_alone(seed):
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=(4, 5, 6))
    body = rng.random(volume.shape) < 0.6
    curve = np.sort(draw_intensity_curve(rng))

    bent = bend_intensities(volume, curve, body)

    np.testing.assert_array_equal(bent[~body], volume[~body])
    if body.sum() > 1:
        assert bent[body].min() == pytest.approx(volume[body].min())
        assert bent[body].max() == pytest.approx(volume[body].max())
        assert (np.diff(bent[body][np.argsort(volume[body])]) >= -1e-12).all()


def test_bending_equals_interpolation_on_numpy_and_torch():
    rng = np.random.default_rng(0)
    volume, body = rng.normal(size=(5, 6, 7)), np.ones((5, 6, 7), dtype=bool)
    curve = draw_intensity_curve(rng)
    low, high = volume.min(), volume.max()
    expected = low + (high - low) * np.interp((volume - low) / (high - low), np.linspace(0, 1, len(curve)), curve)

    np.testing.assert_allclose(bend_intensities(volume, curve, body), expected, atol=1e-12)
    on_torch = bend_intensities(torch.from_numpy(volume), curve, torch.from_numpy(body))
    np.testing.assert_allclose(on_torch.numpy(), expected, atol=1e-12)


def test_an_empty_body_and_a_flat_one_are_left_as_they_are():
    curve = draw_intensity_curve(np.random.default_rng(0))
    flat = np.full((2, 3, 4), 1.5)

    np.testing.assert_array_equal(bend_intensities(flat, curve, flat > 0), flat)
    np.testing.assert_array_equal(bend_intensities(flat, curve, flat < 0), flat)


@given(seed=seeds, shape=shapes, largest=st.integers(2, 6))
def test_shuffled_voxels_change_places_within_a_window_and_none_is_lost(seed, shape, largest):
    source = draw_local_shuffle(np.random.default_rng(seed), shape, largest)

    assert sorted(source) == list(range(int(np.prod(shape))))
    there = np.stack(np.unravel_index(source, shape))
    here = np.stack(np.unravel_index(np.arange(len(source)), shape))
    assert np.abs(there - here).max() < largest


def test_about_half_of_the_windows_are_shuffled_and_both_kinds_of_array_agree():
    shape = (24, 24, 24)
    shares = []
    for seed in range(20):
        source = draw_local_shuffle(np.random.default_rng(seed), shape, 4)
        shares.append(np.mean(source != np.arange(len(source))))
    volume = np.arange(float(np.prod(shape))).reshape(shape)
    moved = move_voxels(volume, source)

    assert 0.35 < np.mean(shares) < 0.55
    np.testing.assert_array_equal(moved.ravel(), source)
    np.testing.assert_array_equal(move_voxels(torch.from_numpy(volume), source).numpy(), moved)


@given(seed=seeds, shape=shapes, inner=st.booleans(), most=st.sampled_from([0.1, 0.25, 0.6]))
def test_painting_covers_no_more_than_it_may(seed, shape, inner, most):
    painted = draw_painting(np.random.default_rng(seed), shape, inner=inner, most=most)

    assert painted.shape == shape
    assert painted.mean() <= most


@pytest.mark.parametrize("inner", [True, False])
def test_painting_does_paint(inner):
    painted = [draw_painting(np.random.default_rng(n), (24, 24, 24), inner=inner, most=0.25) for n in range(30)]

    assert np.mean([one.any() for one in painted]) > 0.9
    # Boxes lie anywhere; surroundings lie at the rim.
    at_the_rim = np.mean([one[0].mean() for one in painted]) > 2 * np.mean([one[12].mean() for one in painted])
    assert at_the_rim != inner
