"""The three linked planes: where things are drawn, and what a person points at."""

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton

from napari_mmssl.viewer.layers.anatomy import PLANES
from napari_mmssl.viewer.layers.layer_data import image_layer, labels_layer
from napari_mmssl.viewer.layers.orientation_letters import face_patient
from napari_mmssl.viewer.planes.slices import can_be_cut, cut, value_words
from napari_mmssl.viewer.planes.widget import PlanesWidget
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

#: Stored L, P, S with voxels of 2 x 3 x 4 mm along R, A and S.
LPS = np.array([[0, 0, -2.0, 11], [0, -3.0, 0, 13], [4.0, 0, 0, -17], [0, 0, 0, 1]])
SHAPE = (7, 8, 9)


@pytest.fixture
def volume():
    return Volume(np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE), Geometry(SHAPE, LPS))


@pytest.fixture
def layer(volume):
    data, state, _ = image_layer(volume, "t1 · anna", case="anna", role="t1")
    return Image(data, **state)


@pytest.fixture
def planes(viewer, layer, qtbot):
    viewer.add_layer(layer)
    face_patient(viewer)
    widget = PlanesWidget(viewer)
    qtbot.addWidget(widget)
    widget.resize(900, 320)
    widget.show()
    return widget


@pytest.mark.parametrize("plane", PLANES)
def test_every_voxel_is_cut_at_the_place_it_has_in_the_scanner(volume, layer, plane):
    rng = np.random.default_rng(3)
    layer.contrast_limits = (0, 503)
    layer.colormap = "gray"
    for index in rng.integers(0, SHAPE, (20, 3)):
        world = volume.geometry.index_to_world(index)[::-1]

        one = cut(layer, plane, world)

        _, vertical, horizontal = PLANES[plane]
        spacing = (np.subtract(one.high, one.low)) / one.rgba.shape[:2]
        row, column = (np.array([world[vertical], world[horizontal]]) - one.low) / spacing - 0.5
        assert (row, column) == pytest.approx((round(row), round(column)))
        shown = one.rgba[round(row), round(column), 0]
        assert shown == pytest.approx(volume.array[tuple(index)] / 503 * 255, abs=1.5)


def test_a_plane_outside_of_the_volume_cuts_nothing(layer):
    assert cut(layer, "axial", np.array([500.0, 0, 0])) is None


def test_a_turned_layer_is_left_out_rather_than_drawn_wrong(layer):
    turned = Image(layer.data, rotate=np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]]))

    assert can_be_cut(layer)
    assert not can_be_cut(turned)


def test_values_are_named_with_their_class(volume, layer):
    label = np.zeros(SHAPE, np.uint8)
    label[1, 2, 3] = 2
    data, state, _ = labels_layer(LabelMap(label, volume.geometry, (LabelClass(2, "oedema", "#56b4e9"),)), "label")
    world = volume.geometry.index_to_world((1, 2, 3))[::-1]

    words = value_words([layer, Labels(data, **state)], world)

    assert words == [f"t1 {volume.array[1, 2, 3]:.4g}", "label: oedema"]


@pytest.mark.parametrize("plane", PLANES)
def test_a_click_puts_the_crosshair_where_it_was_made(planes, viewer, qtbot, plane):
    pane = planes.panes[plane]
    viewer.dims.set_point(range(3), (-5.0, 1.0, 3.0))
    wanted = np.array(viewer.dims.point)
    _, vertical, horizontal = PLANES[plane]
    step = np.array([one.step for one in viewer.dims.range])
    wanted[[vertical, horizontal]] += step[[vertical, horizontal]]
    spot = pane.place_of(wanted)

    qtbot.mouseClick(pane, Qt.MouseButton.LeftButton, pos=QPoint(round(spot.x()), round(spot.y())))

    np.testing.assert_allclose(viewer.dims.point, wanted, atol=step.max() / 2 + 0.3)


def test_place_and_world_are_inverses_also_zoomed(planes):
    pane = planes.panes["coronal"]
    pane._zoom, pane._shift = 3.0, np.array([4.0, -7.0])
    world = np.array([2.0, -3.0, 5.0])
    pane._point = world

    np.testing.assert_allclose(pane.world_at(pane.place_of(world)), world, atol=1e-9)


def test_the_patient_s_right_is_on_the_left_of_the_pane_and_turns_with_the_convention(planes, viewer):
    pane = planes.panes["axial"]
    right, left = np.array([0, 0, 5.0]), np.array([0, 0, -5.0])

    radiological = pane.place_of(right).x() < pane.place_of(left).x()
    face_patient(viewer, "neurological")
    neurological = pane.place_of(right).x() > pane.place_of(left).x()

    assert radiological
    assert neurological


def test_the_picture_shows_the_bright_voxel_where_its_place_is(planes, viewer, layer, volume):
    layer.data = np.zeros(layer.data.shape, np.float32)
    world = volume.geometry.index_to_world((3, 2, 6))[::-1]
    layer.data[tuple(np.round((world - layer.translate) / layer.scale).astype(int))] = 1
    layer.contrast_limits = (0, 1)
    layer.interpolation2d = "nearest"
    viewer.dims.set_point(range(3), world)
    pane = planes.panes["sagittal"]
    # Away from the crosshair's lines and letters: a little off the middle of the voxel.
    spot = pane.place_of(world + np.array([1.2, 0.9, 0]))

    shot = pane.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)

    assert shot.pixelColor(round(spot.x()), round(spot.y())).lightness() > 200
    away = pane.place_of(world + np.array([8.2, 6.9, 0]))
    assert shot.pixelColor(round(away.x()), round(away.y())).lightness() < 40


def test_side_by_side_no_scan_covers_the_label_map_in_a_pane(planes, viewer, layer, volume):
    labels = LabelMap(np.ones(SHAPE, np.uint8), volume.geometry, (LabelClass(1, "lesion", "#d55e00"),))
    data, state, _ = labels_layer(labels, "label · anna", case="anna", role="label")
    viewer.layers.insert(0, Labels(data, **state))
    layer.blending = "opaque"
    viewer.dims.set_point(range(3), volume.geometry.index_to_world((3, 4, 4))[::-1])

    def colourful():
        shot = planes.panes["axial"].grab().toImage()
        every = [shot.pixelColor(x, y) for x in range(0, shot.width(), 5) for y in range(0, shot.height(), 5)]
        return any(colour.red() > colour.blue() + 60 for colour in every)

    assert not colourful()
    viewer.canvas.grid.enabled = True
    assert colourful()


def test_the_wheel_goes_to_the_next_slice(planes, viewer):
    before = viewer.dims.point

    planes.panes["coronal"].stepped.emit(1)

    assert np.subtract(viewer.dims.point, before) == pytest.approx([0, viewer.dims.range[1].step, 0])


def test_the_words_tell_scanner_millimetres_and_values(planes, viewer, volume):
    viewer.dims.set_point(range(3), volume.geometry.index_to_world((2, 3, 4))[::-1])

    words = planes.findChild(QLabel, "crosshair_position").text()

    assert "R 3.0  A 4.0  I 9.0 mm" in words
    assert f"t1 {volume.array[2, 3, 4]:.4g}" in words


def test_the_large_view_shows_each_plane_in_turn(planes, viewer):
    orders = []
    for _ in range(3):
        planes.findChild(QPushButton, "next_plane").click()
        orders.append(viewer.dims.order)

    assert set(orders) == set(PLANES.values())


def test_closing_it_ends_all_listening(viewer, layer, qtbot):
    from qtpy.QtWidgets import QMainWindow

    viewer.add_layer(layer)
    window = QMainWindow()
    qtbot.addWidget(window)
    emitters = [viewer.dims.events.point, layer.events.opacity, viewer.layers.events.inserted]
    before, clicks = [len(emitter.callbacks) for emitter in emitters], list(viewer.mouse_drag_callbacks)
    widget = PlanesWidget(viewer)
    window.setCentralWidget(widget)
    assert [len(emitter.callbacks) for emitter in emitters] != before

    widget.setParent(None)
    widget.deleteLater()
    qtbot.wait(20)

    assert [len(emitter.callbacks) for emitter in emitters] == before
    assert viewer.mouse_drag_callbacks == clicks
    layer.opacity = 0.3


def test_following_the_mouse_is_a_choice(planes, viewer):
    viewer.cursor.position = (-5.0, 1.0, 3.0)
    still = viewer.dims.point
    planes.findChild(QCheckBox, "follow_mouse").setChecked(True)

    viewer.cursor.position = (3.0, -2.0, 1.0)

    assert still != viewer.dims.point
