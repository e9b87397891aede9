"""Lesions of shapes whose size is known by hand, and by an oracle that compares everything with everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmssl.errors import ConfigError, GeometryError
from napari_mmssl.tasks.conventions import BRATS_2018
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume
from napari_mmssl.workflows.difference import ADDED, MISSED, OTHER_CLASS, compare_label_maps
from napari_mmssl.workflows.lesions import find_lesions, find_unsure, longest_mm

OBLIQUE = np.array([[0.3, 0, -1.9, 20], [0, -2.0, 0, 30], [2.9, 0, 0.2, -40], [0, 0, 0, 1]])
CLASSES = (LabelClass(1, "core", "#d55e00"), LabelClass(2, "rim", "#56b4e9"))


def label_map(array, affine=None):
    return LabelMap(array, Geometry(array.shape, np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine), CLASSES)


def two_lesions():
    array = np.zeros((8, 9, 10), np.uint8)
    array[1, 2, 2:6] = 1
    array[1, 2, 6] = 2
    array[6, 7, 8] = 1
    return array


def test_a_bar_has_the_length_of_its_diagonal_and_its_centroid_in_the_middle():
    # The affine of (z, y, x) to RAS: columns are axes, so z runs along R in steps of 1 mm here.
    lesions = find_lesions(label_map(two_lesions()), together=True)

    assert [one.voxels for one in lesions] == [5, 1]
    assert lesions[0].volume_ml == pytest.approx(5 * 6 / 1000)
    assert lesions[0].longest_mm == pytest.approx(np.linalg.norm([1, 2, 15]))
    assert lesions[0].centroid_mm == pytest.approx((1, 4, 12))
    assert lesions[1].longest_mm == pytest.approx(np.linalg.norm([1, 2, 3]))


def test_classes_are_taken_apart_unless_they_are_taken_together():
    lesions = find_lesions(label_map(two_lesions()))

    assert [(one.label.name, one.voxels) for one in lesions] == [("core", 4), ("core", 1), ("rim", 1)]


def test_the_place_to_look_at_lies_inside_of_a_bent_lesion():
    array = np.zeros((3, 9, 9), np.uint8)
    array[1, :, 0] = array[1, 0, :] = array[1, 8, :] = 1
    (lesion,) = find_lesions(label_map(array, OBLIQUE))

    z, y, x = np.round(Geometry(array.shape, OBLIQUE).world_to_index(lesion.inside_mm)).astype(int)
    assert array[z, y, x] == 1


def test_an_empty_map_has_no_lesions_and_small_ones_can_be_left_out():
    assert find_lesions(label_map(np.zeros((3, 3, 3), np.uint8))) == []
    assert [one.voxels for one in find_lesions(label_map(two_lesions()), together=True, least_ml=0.01)] == [5]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 3), min_size=1, max_size=25, unique=True))
def test_longest_diameter_equals_comparing_every_corner_with_every_other(index):
    geometry = Geometry((7, 7, 7), OBLIQUE)
    corners = [np.array(one) + np.array(np.meshgrid(*[(-0.5, 0.5)] * 3)).reshape(3, -1).T for one in index]
    world = geometry.index_to_world(np.concatenate(corners))
    slow = np.linalg.norm(world[:, None] - world[None], axis=-1).max()

    assert longest_mm(np.array(index), geometry) == pytest.approx(slow)


def test_unsure_places_come_by_size_and_a_threshold_of_nothing_is_refused():
    entropy = np.zeros((6, 6, 6), np.float32)
    entropy[0, 0, 0], entropy[3, 3, 2:5] = 0.9, 0.6
    volume = Volume(entropy, Geometry(entropy.shape, np.eye(4)))

    assert [place.voxels for place in find_unsure(volume)] == [3, 1]
    assert [place.voxels for place in find_unsure(volume, least=0.7)] == [1]
    with pytest.raises(ConfigError, match="above 0"):
        find_unsure(volume, least=0)


def test_a_difference_tells_missed_added_and_other_class_apart():
    true = two_lesions()
    drawn = true.copy()
    drawn[6, 7, 8] = 0
    drawn[1, 2, 6] = 1
    drawn[4, 4, 4] = 2

    found = compare_label_maps(label_map(drawn), label_map(true))

    where = found.where.array
    assert where[6, 7, 8] == MISSED.value
    assert where[4, 4, 4] == ADDED.value
    assert where[1, 2, 6] == OTHER_CLASS.value
    assert np.count_nonzero(where) == 3
    assert found.classes["core"].dice == pytest.approx(2 * 4 / (5 + 5))
    assert found.regions["any label"].dice == pytest.approx(2 * 5 / (6 + 6))


def test_a_reference_stored_along_other_axes_is_compared_voxel_for_voxel():
    drawn = label_map(two_lesions(), OBLIQUE)
    turned = np.ascontiguousarray(two_lesions()[::-1].transpose(2, 0, 1))
    flip = np.array([[0, -1, 0, 7], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    reference = LabelMap(turned, Geometry(turned.shape, OBLIQUE @ flip), CLASSES)

    found = compare_label_maps(drawn, reference)

    assert not found.where.array.any()
    assert {scores.dice for scores in found.classes.values()} == {1.0}


def test_regions_of_a_convention_are_scored():
    array = two_lesions()
    found = compare_label_maps(label_map(array), label_map(array), BRATS_2018)

    assert found.regions["WT"].dice == 1
    assert found.regions["WT"].hd95_mm == 0


def test_maps_on_different_grids_are_refused():
    with pytest.raises(GeometryError, match="cannot be compared"):
        compare_label_maps(label_map(two_lesions()), label_map(two_lesions(), OBLIQUE))
