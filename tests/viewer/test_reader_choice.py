"""What a person meets who drops a scan on napari or opens it from the menu."""

import os

import imageio.v3 as imageio
import numpy as np
import pytest
from napari.errors import MultipleReaderError, ReaderPluginError
from napari.settings import get_settings
from npe2 import PluginManager

from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.preferences import PLUGIN
from napari_mmssl.viewer.reader_choice import PATTERNS, open_without_asking
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import write_volume
from napari_mmssl.volumes.volume import Volume

AFFINE = np.array([[0, 0, -1.0, 20], [0, -1.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])


@pytest.fixture
def choices(qapp):
    """napari's settings of who reads what, put back as they were."""
    PluginManager.instance().discover()
    plugins = get_settings().plugins
    before = plugins.extension2reader
    yield plugins
    plugins.extension2reader = before


@pytest.fixture(params=[".nii.gz", ".nii", ".mha", ".nrrd"])
def scan(request, tmp_path, rng):
    path = tmp_path / f"t1{request.param}"
    write_volume(path, Volume(rng.integers(0, 99, (5, 6, 7)).astype(np.int16), Geometry((5, 6, 7), AFFINE)))
    return path


def test_at_first_napari_asks_and_we_are_among_the_answers(viewer, scan, choices):
    with pytest.raises(MultipleReaderError) as asked:
        viewer.open(scan, plugin=None)
    assert PLUGIN in asked.value.available_plugins


def test_told_so_napari_opens_scans_with_us_at_once(viewer, scan, choices):
    open_without_asking()
    (layer,) = viewer.open(scan, plugin=None)
    assert layer.metadata[METADATA_KEY].path == scan
    assert tuple(layer.scale) == (3.0, 1.0, 1.0)


def test_told_so_a_dropped_folder_is_opened_with_us_at_once(viewer, cohort_folder, choices):
    open_without_asking()
    layers = viewer.open(cohort_folder / "anna", plugin=None)
    assert {layer.metadata[METADATA_KEY].role for layer in layers} == {"t1", "t1ce", "t2", "flair", "label"}


def test_of_a_folder_without_scans_napari_asks_who_else_should_read_it(viewer, tmp_path, choices):
    open_without_asking()
    imageio.imwrite(tmp_path / "photo.png", np.zeros((4, 5), np.uint8))
    # In the window this error brings the question, with those who are left.
    with pytest.raises(ReaderPluginError) as refused:
        viewer.open(tmp_path, plugin=None)
    assert refused.value.reader_plugin == PLUGIN
    assert "refused" in str(refused.value)


def test_choices_for_other_files_stay(choices):
    choices.extension2reader = {"*.tif": "napari"}
    open_without_asking()
    assert choices.extension2reader == {"*.tif": "napari", **dict.fromkeys(PATTERNS, PLUGIN)}


def test_every_ending_that_the_manifest_names_is_among_them():
    patterns = PluginManager.instance().get_manifest(PLUGIN).contributions.readers[0].filename_patterns
    assert {*patterns, f"*{os.sep}"} == set(PATTERNS)
