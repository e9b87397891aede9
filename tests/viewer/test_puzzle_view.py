"""A puzzle picture taken apart: layers, steps from shuffled to solved, words. Without Qt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.ops.permutations import invert
from napari_mmssl.pictures import Picture, read_picture, write_picture
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.layers.placing import transform_of
from napari_mmssl.viewer.pretext.puzzle_view import ROLE, PuzzleView, arrangement_after, unsolved_puzzle
from napari_mmssl.volumes.geometry import Geometry

GRID = (2, 3, 2)
CANONICAL = np.array([[0, 0, 1.0, -10], [0, 1.0, 0, -20], [2.0, 0, 0, 5], [0, 0, 0, 1]])


@pytest.fixture
def prepared(rng):
    volumes = rng.normal(size=(2, 9, 13, 10)).astype(np.float32)
    geometry = Geometry(volumes.shape[1:], CANONICAL)
    return PreparedCase("anna", "anna", ("flair", "t1"), volumes, volumes[0] != 0, None, geometry, geometry)


@pytest.fixture
def unsolved(prepared):
    return PuzzleView(unsolved_puzzle(prepared, ["flair", "t1"], GRID, seed=3, mode="mixed", jitter=1))


def answered(view, matched):
    details = view.picture.details | {"matched": list(matched), "tile_accuracy": 0.5}
    return PuzzleView(Picture("puzzle", 7, "anna", view.picture.items, details))


@given(st.permutations(range(7)), st.integers(0, 7))
def test_every_step_shows_each_tile_once_and_serves_the_places_before_it(answer, n_tiles):
    answer = np.array(answer)

    lying = arrangement_after(answer, n_tiles)

    assert sorted(lying) == list(range(7))
    np.testing.assert_array_equal(lying[:n_tiles], invert(answer)[:n_tiles])


def test_from_shuffled_to_the_truth_restores_the_mixed_image(unsolved):
    np.testing.assert_array_equal(unsolved.put_together(0), unsolved.items["shuffled"].array)
    np.testing.assert_array_equal(unsolved.put_together(12), unsolved.items["mixed"].array)


def test_a_wrong_answer_does_not_restore_it(unsolved):
    wrong = answered(unsolved, np.roll(unsolved.perm, 1))

    assert (wrong.put_together(12) != wrong.items["mixed"].array).any()


def test_layers_come_in_pairs_of_an_image_and_the_labels_over_it(unsolved):
    layers = unsolved.layers()

    assert [kind for _, _, kind in layers] == ["image", "labels"] * 4
    roles = [state["metadata"][METADATA_KEY].role for _, state, _ in layers[::2]]
    assert roles == [f"{ROLE}{name}" for name in ("source", "mixed", "shuffled", "solved")]


def test_the_puzzle_lies_where_the_case_lies(unsolved, prepared):
    data, state, _ = unsolved.layers()[2]

    corner = (transform_of(state) @ [0, 0, 0, 1])[:3][::-1]

    np.testing.assert_allclose(corner, prepared.geometry.index_to_world((0, 0, 0)))
    # Whole cells only.
    assert data.shape == (8, 12, 10)


def test_a_tile_says_where_it_comes_from_and_of_which_modality(unsolved):
    tile = 5
    home = int(unsolved.perm[tile])
    name = unsolved.picture.details["modalities"][unsolved.picture.details["tile_modality"][home]]
    # Centre of the cell with number 5 in a grid of 2 x 3 x 2: (0, 2, 1), cells of 4 x 4 x 5 voxels.
    where = (CANONICAL @ [1.5, 9.5, 7, 1])[:3][::-1]

    words = unsolved.tile_at(f"{ROLE}shuffled", where, 0)

    assert f"tile {tile + 1}, {name}" in words
    assert (f"place {home + 1}" in words) == (home != tile) or "at home" in words
    assert "at home" in unsolved.tile_at(f"{ROLE}solved", where, 12)


def test_outside_the_puzzle_there_is_nothing_to_say(unsolved):
    assert unsolved.tile_at(f"{ROLE}mixed", (500, 0, 0), 0) is None


def test_words_say_whether_somebody_solved_it(unsolved):
    assert "no network was asked" in unsolved.words()
    assert "50%" in answered(unsolved, unsolved.perm).words()


def test_a_picture_on_disk_is_shown_as_it_was_made(unsolved, tmp_path):
    write_picture(tmp_path / "puzzle", unsolved.picture)

    again = PuzzleView(read_picture(tmp_path / "puzzle.json"))

    np.testing.assert_array_equal(again.put_together(12), unsolved.put_together(12))
    assert again.words() == unsolved.words()


@pytest.mark.parametrize(
    ("modalities", "grid", "sentence"),
    [([], (2, 2, 2), "at least one modality"), (["t1"], (8, 2, 2), "do not fit")],
)
def test_what_cannot_be_cut_is_refused_in_a_sentence(prepared, modalities, grid, sentence):
    with pytest.raises(ConfigError, match=sentence):
        unsolved_puzzle(prepared, modalities, grid, seed=0, mode="mixed", jitter=1)


def test_only_the_chosen_modalities_are_mixed(prepared):
    picture = unsolved_puzzle(prepared, ["t1"], GRID, seed=0, mode="mixed", jitter=0)

    assert set(picture.details["tile_modality"]) == {1}
