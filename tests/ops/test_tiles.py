import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.tiles import cell_shape, join_tiles, split_tiles

grids = st.tuples(*[st.integers(1, 5)] * 3)


@given(grid=grids, extra=st.tuples(*[st.integers(0, 7)] * 3), lead=st.sampled_from([(), (2,), (2, 3)]))
def test_joining_what_was_split_gives_every_voxel_back(grid, extra, lead):
    shape = tuple(cells + more for cells, more in zip(grid, extra, strict=True))
    volume = np.arange(np.prod((*lead, *shape)), dtype=np.float64).reshape(*lead, *shape) + 1

    tiles = split_tiles(volume, grid)

    assert tiles.shape == (*lead, int(np.prod(grid)), *cell_shape(shape, grid))
    np.testing.assert_array_equal(join_tiles(tiles, grid, shape), volume)


def test_thick_slices_are_left_whole_by_a_grid_in_plane():
    volume = np.random.default_rng(0).random((20, 30, 30))

    tiles = split_tiles(volume, (1, 3, 3))

    assert tiles.shape == (9, 20, 10, 10)
    np.testing.assert_array_equal(tiles[5], volume[:, 10:20, 20:30])
    np.testing.assert_array_equal(join_tiles(tiles, (1, 3, 3)), volume)


def test_tiles_are_counted_along_x_then_y_then_z():
    volume = np.indices((2, 2, 2)).reshape(3, 8).T @ (4, 2, 1)

    tiles = split_tiles(volume.reshape(2, 2, 2), (2, 2, 2))

    assert tiles.ravel().tolist() == list(range(8))


def test_numpy_and_torch_cut_alike():
    volume = np.random.default_rng(1).random((2, 7, 8, 9))

    np.testing.assert_array_equal(
        split_tiles(torch.from_numpy(volume), (2, 3, 2)).numpy(), split_tiles(volume, (2, 3, 2))
    )


def test_a_grid_finer_than_the_volume_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        split_tiles(np.zeros((2, 8, 8)), (3, 2, 2))
