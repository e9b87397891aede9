"""Letters and camera of a viewer, without drawing them; ``test_real_viewer`` looks at the picture."""

import numpy as np
import pytest

from napari_mmssl.viewer.layers.layer_data import image_layer
from napari_mmssl.viewer.layers.orientation_letters import face_patient, prepare_camera, show_plane
from napari_mmssl.viewer.session import session_of
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import Volume

STORED_LPS = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])


def letters(viewer):
    return {
        name.removeprefix("mmssl_"): o.text
        for name, o in viewer.canvas.overlays.items()
        if "mmssl" in name and o.visible
    }


def add_scan(viewer):
    data, state, _ = image_layer(Volume(np.zeros((4, 5, 6)), Geometry((4, 5, 6), STORED_LPS)), "t1")
    return viewer.add_image(data, **state)


def orientation(viewer):
    return tuple(str(sense) for sense in viewer.scene.camera.orientation)


def test_an_empty_viewer_is_turned_to_the_radiological_view(viewer):
    notes = prepare_camera(viewer)
    add_scan(viewer)

    assert notes == []
    assert letters(viewer) == {"top": "A", "bottom": "P", "left": "R", "right": "L"}


@pytest.mark.parametrize(("plane", "top", "left"), [("coronal", "S", "R"), ("sagittal", "S", "A"), ("axial", "A", "R")])
def test_letters_follow_the_plane(viewer, plane, top, left):
    prepare_camera(viewer)
    add_scan(viewer)

    show_plane(viewer, plane)

    assert (letters(viewer)["top"], letters(viewer)["left"]) == (top, left)


def test_letters_follow_a_camera_that_the_person_turned(viewer):
    prepare_camera(viewer)
    add_scan(viewer)

    viewer.scene.camera.orientation2d = ("down", "right")

    assert letters(viewer) == {"top": "P", "bottom": "A", "left": "L", "right": "R"}


def test_letters_follow_napari_rolling_the_axes(viewer):
    prepare_camera(viewer)
    add_scan(viewer)

    viewer.dims.roll()

    assert viewer.dims.order == (2, 0, 1)
    assert letters(viewer) == {"top": "S", "bottom": "I", "left": "A", "right": "P"}


@pytest.mark.parametrize(("plane", "depth"), [("axial", "away"), ("coronal", "towards"), ("sagittal", "away")])
def test_three_dimensions_are_not_mirrored_in_any_plane(viewer, plane, depth):
    prepare_camera(viewer)
    add_scan(viewer)

    show_plane(viewer, plane)
    viewer.dims.ndisplay = 3

    # Sagittal, front left, head up: the patient's left side is turned to the person, so R grows away.
    assert orientation(viewer) == (depth, "up", "left")
    assert letters(viewer) == {}


def test_the_convention_is_remembered_for_the_next_scan(viewer):
    face_patient(viewer, "neurological")
    layer = add_scan(viewer)
    viewer.layers.remove(layer)

    prepare_camera(viewer)
    add_scan(viewer)

    assert session_of(viewer).convention == "neurological"
    assert letters(viewer)["left"] == "L"


def test_a_viewer_with_layers_of_others_is_not_turned_and_that_is_said(viewer):
    viewer.add_image(np.zeros((4, 4)))
    before = orientation(viewer)

    notes = prepare_camera(viewer)

    assert orientation(viewer) == before
    assert "left is on the left" in notes[0]


def test_without_a_scan_of_ours_there_are_no_letters(viewer):
    prepare_camera(viewer)
    layer = add_scan(viewer)

    viewer.layers.remove(layer)
    viewer.add_image(np.zeros((4, 4, 4)))

    assert letters(viewer) == {}


def test_letters_repeat_in_every_cell_of_the_grid(viewer):
    face_patient(viewer)

    assert all(o.gridded for name, o in viewer.canvas.overlays.items() if "mmssl" in name)


def test_in_a_grid_one_letter_for_each_axis_leaves_the_room_of_the_names(viewer):
    prepare_camera(viewer)
    add_scan(viewer)

    viewer.canvas.grid.enabled = True
    in_cells = letters(viewer)
    viewer.canvas.grid.enabled = False

    assert in_cells == {"top": "A", "left": "R"}
    assert letters(viewer) == {"top": "A", "bottom": "P", "left": "R", "right": "L"}
