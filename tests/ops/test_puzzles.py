from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.ops.permutations import invert, shuffle
from napari_mmssl.ops.puzzle_pictures import lay_out, picture_puzzle
from napari_mmssl.ops.puzzles import cut_puzzle, draw_puzzle, tile_shape
from napari_mmssl.ops.tiles import join_tiles, split_tiles

grids = st.tuples(*[st.integers(1, 4)] * 3)


def some_volumes(channels: int = 3, shape: tuple[int, int, int] = (12, 13, 16)) -> np.ndarray:
    return np.random.default_rng(5).random((channels, *shape)) + 0.1


@given(grid=grids, seed=st.integers(0, 1000))
def test_every_place_shows_the_drawn_modality_and_the_inverse_restores_all(grid, seed):
    volumes = some_volumes()
    draw = draw_puzzle(np.random.default_rng(seed), int(np.prod(grid)), [0, 1, 2])

    ordered = cut_puzzle(volumes, grid, draw)

    cells = split_tiles(volumes, grid)
    for place, channel in enumerate(draw.modality):
        np.testing.assert_array_equal(ordered[place], cells[channel, place])
    np.testing.assert_array_equal(shuffle(shuffle(ordered, draw.perm), invert(draw.perm)), ordered)


@given(grid=grids)
def test_a_single_modal_puzzle_restores_the_source_bit_exactly(grid):
    volumes = some_volumes(1)
    draw = draw_puzzle(np.random.default_rng(0), int(np.prod(grid)), [0], mode="single")

    restored = shuffle(shuffle(cut_puzzle(volumes, grid, draw), draw.perm), invert(draw.perm))

    np.testing.assert_array_equal(join_tiles(restored, grid, volumes.shape[1:]), volumes[0])


def test_modalities_are_drawn_uniformly():
    rng = np.random.default_rng(0)
    drawn = Counter(int(m) for _ in range(400) for m in draw_puzzle(rng, 27, [0, 2, 3]).modality)

    n = 400 * 27
    for channel in (0, 2, 3):
        assert abs(drawn[channel] - n / 3) < 3 * np.sqrt(n * (1 / 3) * (2 / 3))


@pytest.mark.parametrize(("mode", "expected"), [("mixed", {2, 3, 4}), ("pair", {2}), ("single", {1})])
def test_each_mode_shows_as_many_modalities_as_it_says(mode, expected):
    rng = np.random.default_rng(0)
    counts = {len(set(draw_puzzle(rng, 8, [0, 1, 2, 3], mode=mode).modality)) for _ in range(300)}

    assert counts == expected


def test_a_mixed_puzzle_of_two_tiles_still_mixes():
    rng = np.random.default_rng(0)

    assert all(len(set(draw_puzzle(rng, 2, [0, 1]).modality)) == 2 for _ in range(50))


def test_jitter_parts_neighbouring_tiles_and_is_centred_in_evaluation():
    volumes = np.arange(16.0).reshape(1, 1, 1, 16) + 1
    draw = draw_puzzle(np.random.default_rng(0), 2, [0], jitter=2, centred=True)

    tiles = cut_puzzle(volumes, (1, 1, 2), draw, jitter=2)

    assert tile_shape((1, 1, 16), (1, 1, 2), 2) == (1, 1, 6)
    assert tiles[:, 0, 0].tolist() == [[2, 3, 4, 5, 6, 7], [10, 11, 12, 13, 14, 15]]


def test_equal_seeds_draw_equal_puzzles():
    one, other = (draw_puzzle(np.random.default_rng(9), 27, [0, 1], jitter=3, intensity_jitter=0.2) for _ in range(2))

    for field in ("perm", "modality", "offset", "gain", "shift"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_a_puzzle_without_modalities_is_refused():
    with pytest.raises(ValueError, match="at least one modality"):
        draw_puzzle(np.random.default_rng(0), 8, [])


def test_the_picture_of_a_perfect_answer_shows_the_mixed_volume_again():
    volumes, grid = some_volumes(2, (12, 12, 12)), (2, 2, 2)
    draw = draw_puzzle(np.random.default_rng(1), 8, [0, 1], jitter=1, centred=True)
    scores = np.zeros((8, 8))
    scores[np.arange(8), draw.perm] = 5

    items, details = picture(volumes, draw, scores, grid)

    np.testing.assert_array_equal(items["solved"], items["mixed"])
    assert not items["wrong_tiles"].any()
    assert details["tile_accuracy"] == 1


def test_the_picture_outlines_the_places_that_hold_the_wrong_tile():
    volumes, grid = some_volumes(1, (4, 4, 8)), (1, 1, 4)
    draw = draw_puzzle(np.random.default_rng(1), 4, [0], centred=True)
    answer = draw.perm.copy()
    first, second = np.flatnonzero(np.isin(draw.perm, (0, 3)))
    answer[[first, second]] = answer[[second, first]]
    scores = np.eye(4)[answer] * 5

    items, details = picture(volumes, draw, scores, grid)

    wrong = split_tiles(items["wrong_tiles"], grid).reshape(4, -1).any(axis=1)
    assert wrong.tolist() == [True, False, False, True]
    assert details["tile_accuracy"] == 0.5


def picture(volumes, draw, scores, grid):
    items, details = picture_puzzle(
        volumes=volumes,
        names=("t1", "t2")[: len(volumes)],
        draw=draw,
        scores=scores,
        body=np.ones(len(scores), dtype=bool),
        grid=grid,
        jitter=1 if grid == (2, 2, 2) else 0,
        temperature=0.5,
        rounds=20,
        affine=np.eye(4),
    )
    return {item.name: item.array for item in items}, details


def test_tiles_are_laid_out_in_the_middle_of_their_cells():
    tiles = np.ones((2, 1, 1, 2))

    assert lay_out(tiles, (1, 1, 2), (1, 1, 8)).ravel().tolist() == [0, 1, 1, 0, 0, 1, 1, 0]
