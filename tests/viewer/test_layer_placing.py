"""Layers keep every voxel's place in the world: read, shown, edited, saved and read again. Without Qt."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmssl.errors import GeometryError
from napari_mmssl.viewer.layers.layer_data import (
    METADATA_KEY,
    image_layer,
    labels_layer,
    origin_of,
    to_label_map,
    to_volume,
)
from napari_mmssl.viewer.layers.placing import contrast_limits, display_place, transform_of
from napari_mmssl.volumes.geometry import Geometry, to_canonical
from napari_mmssl.volumes.image_files import read_label_map, read_volume, write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

SHAPE = (5, 7, 4)
ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]


def grid(axes, flips, tilt_deg=0.0, shape=SHAPE):
    affine = np.zeros((4, 4))
    for column, (row, sense, edge) in enumerate(zip(axes, flips, (3.0, 0.7, 1.1), strict=True)):
        affine[row, column] = sense * edge
    angle = np.deg2rad(tilt_deg)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:, 3] = (-31.5, 12.25, 90.0, 1)
    return Geometry(shape, affine)


def drawn_at(state, index):
    """Where napari draws a voxel of the layer's array, as (R, A, S)."""
    return (transform_of(state) @ [*index, 1])[:3][::-1]


@pytest.mark.parametrize("tilt_deg", [0.0, 17.0])
@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_an_edited_label_map_comes_back_from_disk_at_the_same_world_position(axes, flips, tilt_deg, tmp_path):
    geometry = grid(axes, flips, tilt_deg)
    written = tmp_path / "seg.nii.gz"
    write_label_map(written, LabelMap(np.zeros(SHAPE, np.uint8), geometry))
    data, state, _ = labels_layer(read_label_map(written), "seg")
    data[1, 2, 3 % data.shape[2]] = 6
    painted = to_canonical(geometry).apply_to(geometry).index_to_world((1, 2, 3 % data.shape[2]))

    write_label_map(written, to_label_map(data, state))

    again = read_label_map(written)
    (index,) = np.argwhere(again.array == 6)
    np.testing.assert_allclose(again.geometry.index_to_world(index), painted, atol=1e-4)
    assert again.geometry.orientation == geometry.orientation
    np.testing.assert_allclose(again.geometry.affine, geometry.affine, atol=1e-5)


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_without_tilt_napari_draws_every_voxel_at_its_scanner_position(axes, flips):
    geometry = grid(axes, flips)
    array = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    data, state, _ = image_layer(Volume(array, geometry), "t1")

    assert min(state["scale"]) > 0
    assert np.shares_memory(data, array)
    for index in ((0, 0, 0), (4, 6, 3), (2, 5, 1)):
        (shown,) = np.argwhere(data == array[index])
        np.testing.assert_allclose(drawn_at(state, shown), geometry.index_to_world(index), atol=1e-9)


@given(tilt=st.floats(-30, 30), which=st.integers(0, 47), shape=st.tuples(*[st.integers(1, 9)] * 3))
@settings(max_examples=60, deadline=None)
def test_a_tilted_volume_is_drawn_around_its_true_centre_with_true_edges(tilt, which, shape):
    geometry = grid(*ORIENTATIONS[which], tilt_deg=tilt, shape=shape)
    place = display_place(geometry)
    canonical = to_canonical(geometry).apply_to(geometry)
    centre = (np.array(canonical.shape) - 1) / 2

    drawn = np.array(place.translate) + np.array(place.scale) * centre

    np.testing.assert_allclose(drawn[::-1], canonical.index_to_world(centre), atol=1e-9)
    np.testing.assert_allclose(sorted(place.scale), sorted(geometry.spacing_mm))


def test_a_labels_layer_made_on_our_grid_gets_the_true_geometry_of_the_scan():
    geometry = grid((2, 0, 1), (1, -1, -1), tilt_deg=12)
    scan = image_layer(Volume(np.zeros(SHAPE), geometry), "t1", case="p1")
    # napari's new-labels button copies shape, scale, translation and units, not the metadata.
    state = {key: scan[1][key] for key in ("scale", "translate", "units")} | {"name": "Labels", "metadata": {}}
    painted = np.zeros(scan[0].shape, np.int32)
    painted[1, 2, 3] = 1

    saved = to_label_map(painted, state, [scan])

    np.testing.assert_array_equal(saved.geometry.affine, geometry.affine)
    where = saved.geometry.index_to_world(np.argwhere(saved.array)[0])
    np.testing.assert_allclose(where, to_canonical(geometry).apply_to(geometry).index_to_world((1, 2, 3)))


def test_a_foreign_layer_in_mm_is_saved_by_its_own_transform():
    state = {"name": "mine", "scale": [2.0, 1, 1], "translate": [5.0, -3, 7], "units": ("millimeter",) * 3}
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[2, 1, 3] = 1

    saved = to_label_map(labels, state)

    np.testing.assert_array_equal(saved.array, labels)
    np.testing.assert_allclose(saved.geometry.index_to_world((2, 1, 3)), (10.0, -2.0, 9.0))


def test_a_rotated_foreign_layer_keeps_its_rotation():
    turn = [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]
    state = {"name": "turned", "scale": [2.0, 3, 1], "rotate": turn, "units": ("mm",) * 3}

    saved = to_volume(np.zeros((3, 4, 5)), state)

    # Index (1, 0, 0) is 2 mm along A, not along S.
    np.testing.assert_allclose(saved.geometry.index_to_world((1, 0, 0)), (0, 2, 0), atol=1e-12)


def test_a_layer_in_pixels_is_refused_instead_of_written_nowhere():
    with pytest.raises(GeometryError, match="does not say where it lies"):
        to_label_map(np.zeros(SHAPE, np.uint8), {"name": "Labels", "units": ("pixel",) * 3})


def test_a_two_dimensional_layer_is_refused():
    with pytest.raises(GeometryError, match="2 axes"):
        to_label_map(np.zeros((4, 4), np.uint8), {"name": "Labels", "units": ("mm",) * 2})


def test_a_tilted_layer_that_was_moved_is_refused_and_a_straight_one_follows_the_move():
    for tilt_deg in (0.0, 12.0):
        data, state, _ = image_layer(Volume(np.zeros(SHAPE), grid((2, 1, 0), (1, 1, 1), tilt_deg)), "t1")
        moved = state | {"translate": tuple(np.add(state["translate"], (0, 5, 0)))}
        if tilt_deg:
            with pytest.raises(GeometryError, match="moved in napari"):
                to_volume(data, moved)
        else:
            before, after = to_volume(data, state).geometry, to_volume(data, moved).geometry
            np.testing.assert_allclose(after.affine[:3, 3] - before.affine[:3, 3], (0, 5, 0), atol=1e-9)


def test_a_synthetic_volume_is_marked_in_name_colour_and_metadata_and_stays_so():
    data, state, _ = image_layer(Volume(np.ones(SHAPE), grid((2, 1, 0), (1, 1, 1)), synthetic=True), "flair")

    assert "synthetic" in state["name"]
    assert state["colormap"] != "gray"
    assert origin_of(state, data.shape).synthetic
    assert to_volume(data, state).synthetic


def test_classes_keep_names_and_colours_and_new_values_get_a_name_of_their_own():
    oedema = LabelClass(2, "oedema", "#56b4e9")
    array = np.zeros(SHAPE, np.uint8)
    array[0, 0, 0], array[1, 1, 1] = 2, 7
    data, state, _ = labels_layer(LabelMap(array, grid((2, 1, 0), (1, 1, 1)), (oedema,)), "seg")
    data[2, 2, 2] = 9

    saved = to_label_map(data, state)

    assert [one.name for one in saved.classes] == ["oedema", "label 7", "label 9"]
    assert saved.classes[0] == oedema
    assert state["colormap"][2] == "#56b4e9"
    assert dict(zip(state["features"]["index"], state["features"]["class"], strict=True))[7] == "label 7"


def test_painting_never_reaches_an_array_that_must_not_change():
    array = np.zeros(SHAPE, np.uint8)
    array.flags.writeable = False
    data, _, _ = labels_layer(LabelMap(array, grid((2, 1, 0), (1, 1, 1))), "seg")

    data[0, 0, 0] = 1

    assert array.max() == 0


def test_contrast_leaves_out_background_outliers_and_nan():
    rng = np.random.default_rng(0)
    array = np.zeros((40, 40, 40))
    array[10:30, 10:30, 10:30] = rng.normal(500, 50, (20, 20, 20))
    array[15, 15, 15], array[0, 0, 0] = 1e6, np.nan

    low, high = contrast_limits(array)

    assert low == 0
    assert 600 < high < 700


@pytest.mark.parametrize("fill", [0, -7, np.nan])
def test_contrast_of_an_empty_volume_is_a_proper_range(fill):
    low, high = contrast_limits(np.full((4, 4, 4), fill, dtype=np.float32))

    assert high > low


def test_the_metadata_key_is_the_documented_one():
    assert METADATA_KEY == "mmssl"


def test_one_real_brain_in_eight_orientations_is_one_layer():
    folder = Path(__file__).parents[3] / "shared" / "data" / "odd_files" / "orientations"
    files = sorted(folder.glob("*.nii.gz"))
    if not files:
        pytest.skip("the development data are not here")

    first, *others = [image_layer(read_volume(path), "t1") for path in files]

    for data, state, _ in others:
        np.testing.assert_array_equal(data, first[0])
        np.testing.assert_allclose(state["scale"], first[1]["scale"], atol=1e-4)
        np.testing.assert_allclose(state["translate"], first[1]["translate"], atol=1e-3)
