"""Patches that lie askew in their volumes."""

import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.sampling.turning import draw_turn, turned_cut


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

    found = turned_cut(volume.shape, index, (9, 9, 9)).of([volume], linear=True)[0]
    np.testing.assert_allclose(found, np.rot90(volume, k=1, axes=(1, 2)), atol=5e-6)  # places are of single precision


def test_beyond_the_volume_there_is_nothing():
    index = np.eye(4)
    index[:3, 3] = 50
    cut = turned_cut((9, 9, 9), index, (4, 4, 4)).of([np.ones((9, 9, 9), dtype=bool)], linear=False)[0]
    assert cut.shape == (4, 4, 4)
    assert cut.dtype == bool
    assert not cut.any()


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("shape", [(20, 24, 22), (1, 24, 22)])
def test_an_askew_patch_is_that_of_scipy(shape, linear, rng):
    """Away from the faces of the volume, where scipy takes nothing and we fade out within a voxel."""
    volume = (rng.normal(size=shape) if linear else rng.integers(0, 5, shape)).astype(
        np.float32 if linear else np.uint8
    )
    spread = np.zeros(shape, bool)
    spread[tuple(slice(2, -2) if edge > 4 else slice(None) for edge in shape)] = True
    index = np.eye(4)
    index[:3, :3] = draw_turn(np.random.default_rng(3), (5.0, 1.0, 1.0))
    index[:3, 3] = (0, 7.3, 2.1)
    patch = (1 if shape[0] == 1 else 12, 16, 14)

    found = turned_cut(shape, index, patch).of([volume], linear=linear)[0]
    of_scipy = ndimage.affine_transform(
        volume, index[:3, :3], index[:3, 3], output_shape=patch, order=1 if linear else 0
    )
    inside = ndimage.affine_transform(spread, index[:3, :3], index[:3, 3], output_shape=patch, order=0)
    assert inside.mean() > 0.3
    assert found.dtype == volume.dtype
    np.testing.assert_allclose(found[inside], of_scipy[inside], atol=2e-5)
