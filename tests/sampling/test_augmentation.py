"""Chance changes of a patch."""

import numpy as np
import pytest
from scipy.stats import skew

from napari_mmssl.sampling import augmentation
from napari_mmssl.sampling.augmentation import changed_looks

BODY = np.zeros((12, 14, 10), dtype=bool)
BODY[2:-2, 2:-2, 2:-2] = True


def looks(rng):
    return (rng.gamma(2.0, 1.0, BODY.shape) * BODY).astype(np.float32)


@pytest.mark.parametrize("number", range(len(augmentation._CHANGES)))
def test_every_change_does_what_it_is_called(number, rng):
    change = augmentation._CHANGES[number][2]
    volume = looks(rng)
    found = change(np.random.default_rng(2), volume.copy(), BODY)

    assert found.shape == volume.shape
    assert np.isfinite(found).all()
    before, after = volume[BODY], found[BODY]
    rough = [np.abs(np.diff(one, axis=0))[3:-3, 3:-3, 3:-3].mean() for one in (volume, found)]
    told = {
        "_noise": rough[1] > rough[0],
        "_blur": rough[1] < 0.9 * rough[0],
        "_brightness": np.ptp(after / before) < 1e-5 and abs(after.mean() / before.mean() - 1) > 0.01,
        "_contrast": after.min() >= before.min() and abs(after.std() / before.std() - 1) > 0.01,
        "_coarser": rough[1] < rough[0],
        "_gamma": abs(after.mean() - before.mean()) < 1e-3 and abs(skew(after) - skew(before)) > 0.02,
        "_gamma_of_inverted": abs(after.std() - before.std()) < 1e-3 and abs(skew(after) - skew(before)) > 0.02,
    }
    assert told[change.__name__]


@pytest.mark.parametrize("seed", range(8))
def test_a_coarse_channel_keeps_its_outermost_voxels(seed):
    """At some sizes scipy.ndimage.zoom leaves the last plane of every axis zero."""
    volume = np.ones((30, 41, 50), np.float32)
    found = augmentation._coarser(np.random.default_rng(seed), volume, volume > 0)
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_looks_are_changed_as_often_as_is_said(rng):
    volume = looks(rng)[None]
    same = [np.array_equal(changed_looks(np.random.default_rng(n), volume, BODY), volume) for n in range(300)]
    # Nothing happens with probability 0.85^5 (1 - 0.2 / 2) (1 - 0.25 / 2) for one channel.
    assert np.mean(same) == pytest.approx(0.85**5 * 0.9 * 0.875, abs=0.09)


def test_an_empty_body_is_left_alone(rng):
    volume = np.zeros((2, *BODY.shape), np.float32)
    for seed in range(20):
        assert not changed_looks(np.random.default_rng(seed), volume, np.zeros_like(BODY)).any()
