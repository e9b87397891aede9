"""The status bar tells scanner millimetres, also over a scan that napari draws straight."""

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtWidgets import QApplication, QLabel

from napari_mmssl.viewer.layers.anatomy import position_words
from napari_mmssl.viewer.layers.orientation_letters import prepare_camera
from napari_mmssl.viewer.preferences import PLUGIN
from napari_mmssl.viewer.reading import read_file

SHAPE_XYZ = (14, 12, 10)


@pytest.fixture
def tilted(tmp_path):
    """A NIfTI scan turned by 20 degrees and stored LPS, each voxel with a value of its own."""
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, -1.5, 3.0])
    affine[:3, 3] = (33, -41, 57)
    path = tmp_path / "t1.nii"
    nib.save(nib.Nifti1Image(np.arange(np.prod(SHAPE_XYZ), dtype=np.int16).reshape(SHAPE_XYZ), affine), path)
    return path


def expected(path, value):
    """Where nibabel says that the voxel of this value lies, in words."""
    image = nib.load(path)
    (voxel,) = np.argwhere(np.asarray(image.dataobj) == value)
    return position_words(nib.affines.apply_affine(image.affine, voxel))


def shown(viewer, path):
    (layer,) = (Layer.create(*parts) for parts in read_file(path).layers)
    viewer.add_layer(layer)
    prepare_camera(viewer)
    return layer


def point_at(viewer, index):
    """Move the cursor to a voxel of the topmost layer, as drawn."""
    layer = viewer.layers[-1]
    viewer.mouse_over_canvas = True
    viewer.cursor.position = tuple(layer.data_to_world(index))
    viewer.dims.point = viewer.cursor.position
    viewer.update_status_from_cursor()
    return layer.data[tuple(index)]


@pytest.mark.parametrize("index", [(0, 0, 0), (3, 7, 11), (9, 2, 5)])
def test_the_status_is_where_nibabel_has_the_voxel(viewer, tilted, index):
    shown(viewer, tilted)
    value = point_at(viewer, index)
    assert viewer.status["coords"] == expected(tilted, value)
    assert viewer.status["coordinates"] == f"{expected(tilted, value)}: {value}"


def test_with_several_layers_selected_too(viewer, tilted):
    layer, other = shown(viewer, tilted), shown(viewer, tilted)
    viewer.layers.selection = {layer, other}
    value = point_at(viewer, (3, 7, 11))
    assert viewer.status.startswith(f"{expected(tilted, value)} » ")


def test_other_layers_keep_napari_s_words(viewer, tilted):
    shown(viewer, tilted)
    viewer.layers.selection.active = viewer.add_image(np.zeros((5, 6, 7)), name="foreign")
    point_at(viewer, (1, 2, 3))
    assert "mm" not in viewer.status["coords"]


@pytest.mark.gl
def test_the_window_shows_it(make_napari_viewer, tilted):
    viewer = make_napari_viewer(show=True)
    viewer.open(tilted, plugin=PLUGIN)
    value = point_at(viewer, (3, 7, 11))
    for _ in range(3):
        QApplication.processEvents()
    words = " ".join(label.text() for label in viewer.window._qt_window.statusBar().findChildren(QLabel))
    assert expected(tilted, value) in words
