import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.masking import block_grid, draw_blocks, fill, masked_mean, spread_blocks

edges = st.tuples(*[st.integers(1, 9)] * 3)
shapes = st.tuples(*[st.integers(1, 20)] * 3)


@pytest.mark.parametrize(("share", "kept"), [(0.875, 216), (0.8, 345), (0.75, 432), (0.9, 172), (0.0, 1728), (1.0, 1)])
def test_the_number_of_kept_blocks_is_exact(share, kept):
    grid = block_grid((96, 96, 96), (8, 8, 8))

    assert grid == (12, 12, 12)
    assert all(draw_blocks(np.random.default_rng(seed), grid, share).sum() == kept for seed in range(5))


def test_a_share_that_is_inexact_in_floating_point_loses_no_block():
    assert draw_blocks(np.random.default_rng(0), (1, 1, 10), 0.9).sum() == 1
    assert draw_blocks(np.random.default_rng(0), (1, 10, 10), 0.9).sum() == 10


@given(shapes, edges, st.floats(0, 1), st.integers(0, 1000))
def test_the_mask_is_constant_on_every_block_also_where_blocks_are_cut(shape, block, share, seed):
    grid = block_grid(shape, block)
    blocks = draw_blocks(np.random.default_rng(seed), grid, share)
    voxels = spread_blocks(blocks, shape, block)

    assert voxels.shape == shape
    assert blocks.sum() == max(1, math.floor(math.prod(grid) * (1 - share) + 1e-6))
    for z, y, x in np.ndindex(shape):
        assert voxels[z, y, x] == blocks[z // block[0], y // block[1], x // block[2]]


def test_every_block_is_kept_equally_often():
    counts = sum(draw_blocks(np.random.default_rng(seed), (2, 3, 4), 0.75).astype(int) for seed in range(2000))

    expected, spread = 2000 * 0.25, math.sqrt(2000 * 0.25 * 0.75)
    assert abs(counts - expected).max() < 4 * spread


def test_equal_seeds_keep_equal_blocks_and_others_do_not():
    one, same, other = (draw_blocks(np.random.default_rng(seed), (4, 4, 4), 0.5) for seed in (3, 3, 4))

    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("as_array", [np.asarray, torch.from_numpy])
def test_kept_and_filled_voxels_are_equal_bit_for_bit(as_array, rng):
    volume, filler = rng.normal(size=(2, 5, 6, 7)).astype(np.float32)
    volume[0, 0, 0] = np.float32(-0.0)
    kept = rng.random((5, 6, 7)) < 0.4

    filled = np.asarray(fill(as_array(volume), as_array(kept), as_array(filler)))

    assert filled[kept].tobytes() == volume[kept].tobytes()
    assert filled[~kept].tobytes() == filler[~kept].tobytes()


def test_gradients_reach_volume_and_filler_where_each_shows(rng):
    volume, filler = (torch.randn(3, 4, 5, requires_grad=True) for _ in range(2))
    kept = torch.from_numpy(rng.random((3, 4, 5)) < 0.5)

    fill(volume, kept, filler).sum().backward()

    assert torch.equal(volume.grad, kept.float())
    assert torch.equal(filler.grad, (~kept).float())


@pytest.mark.parametrize("as_array", [np.asarray, torch.from_numpy])
def test_masked_mean_is_the_mean_over_the_mask_and_0_over_nothing(as_array, rng):
    values, mask = rng.normal(size=(4, 5)), rng.random((4, 5)) < 0.5

    assert float(masked_mean(as_array(values), as_array(mask))) == pytest.approx(values[mask].mean())
    assert float(masked_mean(as_array(values), as_array(np.zeros_like(mask)))) == 0


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        draw_blocks(np.random.default_rng(0), (2, 2, 2), share)


def test_blocks_without_voxels_are_refused():
    with pytest.raises(ValueError, match="cannot cover"):
        block_grid((4, 4, 4), (0, 2, 2))
