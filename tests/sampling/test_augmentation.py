"""Chance changes of a patch."""

import numpy as np
import pytest
from scipy.stats import skew

from napari_mmssl.sampling import augmentation
from napari_mmssl.sampling.augmentation import changed_looks, cut_turned, draw_turn

BODY = np.zeros((12, 14, 10), dtype=bool)
BODY[2:-2, 2:-2, 2:-2] = True


def looks(rng):
    return (rng.gamma(2.0, 1.0, BODY.shape) * BODY).astype(np.float32)


def turns(spacing_mm, n=400):
    drawn = [draw_turn(np.random.default_rng(seed), spacing_mm) for seed in range(n)]
    return drawn, [one for one in drawn if one is not None]


def test_a_third_of_the_patches_is_turned_or_scaled_and_none_is_sheared():
    drawn, some = turns((3.0, 1.0, 1.5))

    assert 0.25 < len(some) / len(drawn) < 0.47  # 1 - 0.8 ** 2 = 0.36
    to_mm = np.diag((3.0, 1.0, 1.5))
    for matrix in some:
        in_mm = to_mm @ matrix @ np.linalg.inv(to_mm)
        scale = np.cbrt(np.linalg.det(in_mm))
        assert 0.7 <= scale <= 1.4
        np.testing.assert_allclose(in_mm @ in_mm.T, scale**2 * np.eye(3), atol=1e-9)


def test_thick_slices_are_turned_in_their_plane():
    for matrix in turns((5.0, 1.0, 1.0))[1]:
        np.testing.assert_allclose(matrix[0, 1:], 0, atol=1e-12)
        np.testing.assert_allclose(matrix[1:, 0], 0, atol=1e-12)


def test_a_quarter_turn_is_that_of_numpy(rng):
    volume = rng.normal(size=(9, 9, 9)).astype(np.float32)
    index = np.eye(4)
    index[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    index[:3, 3] = [0, 0, 8]

    found = cut_turned(volume, index, (9, 9, 9), linear=True)
    np.testing.assert_allclose(found, np.rot90(volume, k=1, axes=(1, 2)), atol=1e-6)


def test_beyond_the_volume_there_is_nothing():
    index = np.eye(4)
    index[:3, 3] = 50
    assert not cut_turned(np.ones((9, 9, 9), dtype=bool), index, (4, 4, 4), linear=False).any()


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


def test_looks_are_changed_as_often_as_is_said(rng):
    volume = looks(rng)[None]
    same = [np.array_equal(changed_looks(np.random.default_rng(n), volume, BODY), volume) for n in range(300)]
    # Nothing happens with probability 0.85^5 (1 - 0.2 / 2) (1 - 0.25 / 2) for one channel.
    assert np.mean(same) == pytest.approx(0.85**5 * 0.9 * 0.875, abs=0.09)


def test_an_empty_body_is_left_alone(rng):
    volume = np.zeros((2, *BODY.shape), np.float32)
    for seed in range(20):
        assert not changed_looks(np.random.default_rng(seed), volume, np.zeros_like(BODY)).any()
