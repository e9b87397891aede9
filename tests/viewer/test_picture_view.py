"""Everything in a picture is drawn, and where it belongs: checked against the voxels it was measured in."""

import numpy as np
import pytest

from napari_mmssl.ops.topology_pictures import picture_matches, picture_neighbourhood
from napari_mmssl.pictures import Picture, PictureItem
from napari_mmssl.viewer.layers.picture_view import PictureView, picture_cells, picture_words
from napari_mmssl.viewer.parts.panel import Panel

SHAPE = (8, 10, 12)
#: Stored so that axes run to S, P and L.
TURNED = np.array([[0, 0, -2.0, 20], [0, -2.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])
CENTRES = np.stack(np.meshgrid([1, 5], [2, 7], [3, 9], indexing="ij"), axis=-1).reshape(-1, 3).astype(float)


def bright_at(index):
    array = np.zeros(SHAPE, np.float16)
    array[tuple(np.asarray(index, int))] = 1
    return array


def matches():
    found = np.full(8, -1)
    found[2], found[5] = 6, 1
    images = (bright_at(CENTRES[2]), bright_at(CENTRES[6]))
    items, details = picture_matches(
        images=images,
        names=("t1", "t2"),
        cases=("anna", "bert"),
        affines=(TURNED, TURNED),
        centres=CENTRES,
        usable=np.ones(8, bool),
        matches=found,
    )
    return Picture("neighbourhood_alignment", 3, "anna", tuple(items), details)


@pytest.fixture
def view(viewer, qtbot):
    panel = Panel(viewer, "mmssl_test")
    qtbot.addWidget(panel)
    return PictureView(panel)


def test_a_line_begins_and_ends_on_the_voxels_of_its_tokens(view, viewer):
    view.show(matches())

    start, along = viewer.layers["matches"].data[0]
    first, second = viewer.layers["first"], viewer.layers["second"]
    assert first.data[tuple(np.round(first.world_to_data(start)).astype(int))] == 1
    assert second.data[tuple(np.round(second.world_to_data(start + along)).astype(int))] == 1
    assert len(viewer.layers["unmatched"].data) == 6


def test_lines_cross_one_cell_and_are_seen_from_every_slice_until_the_case_is_back(view, viewer):
    assert len(picture_cells(matches())) == 1
    view.show(matches())
    assert min(viewer.dims.thickness) > 0

    view.clear()

    assert len(viewer.layers) == 0
    assert not any(viewer.dims.thickness)


def test_neighbours_lie_over_the_image_they_were_found_in_and_the_token_over_both():
    neighbours = np.array([[[1, 2]] * 8, [[3, 4]] * 8])
    items, details = picture_neighbourhood(
        images=np.zeros((2, *SHAPE), np.float16),
        names=("t1", "t2"),
        affine=TURNED,
        centres=CENTRES,
        usable=np.ones(8, bool),
        neighbours=neighbours,
        valid=np.ones((2, 8, 2), bool),
    )
    cells = picture_cells(Picture("cross_modal_triplet", 1, "anna", tuple(items), details))

    names = [[state["name"] for _, state, _ in cell] for cell in cells]
    assert names == [
        ["first", "neighbours first", "token (first)"],
        ["second", "neighbours second", "token (second)"],
    ]


def test_label_maps_of_a_fine_tuning_are_side_by_side_over_the_scan():
    scan = PictureItem("flair", "image", np.zeros(SHAPE, np.float16), TURNED, "")
    maps = [PictureItem(name, "labels", np.ones(SHAPE, np.uint8), TURNED, "") for name in ("reference", "prediction")]

    cells = picture_cells(Picture("segmentation", 1, "anna", (scan, *maps), {}))

    assert [[kind for _, _, kind in cell] for cell in cells] == [["image", "labels"]] * 2
    assert [cell[1][1]["name"] for cell in cells] == ["reference", "prediction"]


def test_a_picture_without_matches_shows_its_people_and_says_so():
    picture = matches()
    none = tuple(item for item in picture.items if item.kind != "lines")
    words = picture_words(Picture("neighbourhood_alignment", 1, "anna", none, {"matched_share": 0.0}))

    assert "0% of the tokens" in words
    assert picture_cells(Picture("neighbourhood_alignment", 1, "anna", none, {}))


def test_an_answer_lies_in_the_grey_of_what_it_answers(view, viewer):
    ramp = np.linspace(0, 10, np.prod(SHAPE)).reshape(SHAPE)
    arrays = {"target": ramp, "reconstruction": ramp / 100, "error": ramp / 50}
    items = tuple(PictureItem(name, "image", array, TURNED, "") for name, array in arrays.items())
    view.show(Picture("masked_reconstruction", 1, "anna", items, {}))

    limits = {layer.name: tuple(layer.contrast_limits) for layer in viewer.layers}
    assert limits["reconstruction"] == limits["target"]
    assert limits["error"][1] < 0.3


def test_an_answer_to_one_of_two_lies_in_the_grey_of_that_one(view, viewer):
    ramp = np.linspace(0, 10, np.prod(SHAPE)).reshape(SHAPE)
    arrays = {"first": ramp, "first_inpainted": ramp / 100, "second": ramp * 5, "second_inpainted": ramp}
    items = tuple(PictureItem(name, "image", array, TURNED, "") for name, array in arrays.items())
    view.show(Picture("rotation_inpainting_contrast", 1, "anna", items, {}))

    limits = {layer.name: tuple(layer.contrast_limits) for layer in viewer.layers}
    assert limits["first inpainted"] == limits["first"]
    assert limits["second inpainted"] == limits["second"]
