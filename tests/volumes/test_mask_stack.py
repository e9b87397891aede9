"""Label maps as folders of pictures: each picture in the place of its slice, or refused."""

import numpy as np
import pytest
from made_dicom import places, write_series
from PIL import Image
from tree_making import pictures

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.mask_stack import CODINGS, read_mask_stack

GRID = Geometry((3, 4, 5), np.diag([3.0, 1.0, 1.0, 1.0]))


def in_folder(tmp_path, arrays, name="p_{}.png"):
    folder = tmp_path / "Ground"
    pictures(folder, arrays, name)
    return folder


def test_greys_near_the_published_ones_become_classes_with_names(tmp_path):
    greys = np.zeros((3, 4, 5), np.uint8)
    greys[0, 0] = 55, 63, 70, 110, 126
    greys[1, 1] = 135, 175, 189, 200, 240
    greys[2, 2, :2] = 252, 255
    labels = read_mask_stack(in_folder(tmp_path, greys), GRID, "chaos_mr")
    assert labels.array[0, 0].tolist() == [1, 1, 1, 2, 2]
    assert labels.array[1, 1].tolist() == [2, 3, 3, 3, 4]
    assert labels.array[2, 2].tolist() == [4, 4, 0, 0, 0]
    assert [(one.value, one.name) for one in labels.classes] == [
        (1, "liver"),
        (2, "right kidney"),
        (3, "left kidney"),
        (4, "spleen"),
    ]


@pytest.mark.parametrize(("white", "mode"), [(255, "L"), (1, "L"), (255, "1"), (255, "RGB")])
def test_white_is_liver_in_ct_however_it_is_stored(tmp_path, white, mode):
    greys = np.zeros((3, 4, 5), np.uint8)
    greys[1, 2, 3] = white
    folder = in_folder(tmp_path, greys)
    for path in folder.iterdir():
        Image.open(path).convert(mode).save(path)
    labels = read_mask_stack(folder, GRID, "chaos_ct")
    assert np.argwhere(labels.array == 1).tolist() == [[1, 2, 3]]


def test_pictures_are_counted_as_people_count(tmp_path):
    grid = Geometry((12, 4, 5), np.eye(4))
    greys = np.zeros((12, 4, 5), np.uint8)
    greys[10] = 255
    labels = read_mask_stack(in_folder(tmp_path, greys), grid, "chaos_ct")
    assert np.unique(np.nonzero(labels.array)[0]).tolist() == [10]
    turned = read_mask_stack(tmp_path / "Ground", grid, "chaos_ct reversed")
    assert np.unique(np.nonzero(turned.array)[0]).tolist() == [1]


def broken(folder, how):
    first = sorted(folder.iterdir())[0]
    if how == "missing":
        first.unlink()
    elif how == "cut":
        first.write_bytes(first.read_bytes()[:40])
    elif how == "text":
        first.write_bytes(b"no picture")
    elif how == "size":
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(first)
    elif how == "grey":
        Image.fromarray(np.full((4, 5), 37, np.uint8)).save(first)
    elif how == "deep":
        Image.fromarray(np.zeros((4, 5), np.uint16)).save(first)


@pytest.mark.parametrize("how", ["missing", "cut", "text", "size", "grey", "deep"])
def test_a_damaged_stack_is_refused_in_a_sentence(tmp_path, how):
    folder = in_folder(tmp_path, np.zeros((3, 4, 5), np.uint8))
    broken(folder, how)
    with pytest.raises(ReadError, match=r"Ground|p_0"):
        read_mask_stack(folder, GRID, "chaos_mr")


def test_a_coding_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ReadError, match=", ".join(CODINGS)):
        read_mask_stack(tmp_path, GRID, "mine")


@pytest.fixture
def liver(tmp_path, rng):
    """A CT series and pictures in which the grey of the series itself tells which slice is which."""

    def make(positions, greys):
        person = tmp_path / "Train_Sets/CT/7"
        pixels = write_series(person / "DICOM_anon", positions, rng, shuffle=False, modality="CT", patient="p")
        pictures(person / "Ground", [np.where(one > 500, grey, 0) for one, grey in zip(pixels, greys, strict=True)])
        return find_cohort(tmp_path)

    return make


@pytest.mark.parametrize("backwards", [False, True])
def test_each_picture_lies_where_its_slice_does_whichever_way_the_files_count(liver, backwards):
    positions = places(5)
    (case,) = liver(positions[::-1] if backwards else positions, [255] * 5).cases
    label, ct = read_label(case.label), read_scan(case.modalities["ct"])
    assert label.geometry.same_grid(ct.geometry)
    np.testing.assert_array_equal(label.array == 1, ct.array > 500)


def test_files_whose_names_do_not_follow_their_places_leave_the_label_out(liver):
    positions = places(5)
    positions[1], positions[3] = positions[3], positions[1]
    (case,) = liver(positions, [255] * 5).cases
    assert set(case.modalities) == {"ct"}
    assert case.label is None
    assert "do not follow the places" in " ".join(finding.text for finding in case.findings)


def test_too_few_pictures_leave_the_label_out(liver, tmp_path):
    liver(places(5), [255] * 5)
    next((tmp_path / "Train_Sets/CT/7/Ground").iterdir()).unlink()
    (case,) = find_cohort(tmp_path).cases
    assert case.label is None
    assert "4 pictures for a series of 5 slices" in " ".join(finding.text for finding in case.findings)
