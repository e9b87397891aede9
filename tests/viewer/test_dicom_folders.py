"""DICOM series dropped on the window."""

import numpy as np
import pytest
from made_dicom import SAGITTAL, oblique, places, write_series
from napari.layers import Image

from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.readers import get_reader
from napari_mmssl.volumes.dicom_series import read_series


@pytest.mark.parametrize("suffix", [".dcm", "", ".123"])
def test_a_folder_of_slices_is_a_volume(tmp_path, rng, suffix):
    folder, orientation = tmp_path / "t1", oblique(rng)
    pixels = write_series(folder, places(5, orientation), rng, orientation=orientation, shuffle=False)
    for n, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"CT.1.{n}{suffix}")
    reader = get_reader(str(folder))
    assert reader is not None
    ((data, attributes, kind),) = reader(str(folder))
    assert kind == "image"
    np.testing.assert_array_equal(np.sort(np.asarray(data).ravel()), np.sort(pixels.ravel()))
    kept = attributes["metadata"][METADATA_KEY]
    assert kept.geometry.same_grid(read_series(folder).geometry)


def test_a_tilted_ct_opens(tmp_path, rng):
    write_series(tmp_path / "ct", [(0, 0, 5.0 * n) for n in range(4)], rng, orientation=(1, 0, 0, 0, 0.96, 0.28))
    reader = get_reader(str(tmp_path / "ct"))
    ((data, *_),) = reader(str(tmp_path / "ct"))
    assert np.asarray(data).size == 4 * 7 * 5


def test_a_series_that_is_no_volume_says_why(tmp_path, rng):
    positions = places(6)
    write_series(tmp_path / "t2", positions[:2] + positions[3:], rng)
    with pytest.raises(MmsslError, match="1 of 6 slices is missing"):
        get_reader(str(tmp_path / "t2"))(str(tmp_path / "t2"))


@pytest.mark.parametrize("n", [3, 4])
def test_a_few_sagittal_slices_are_no_colours(tmp_path, rng, n):
    write_series(tmp_path / "t1", places(n, SAGITTAL), rng, orientation=SAGITTAL)
    ((data, attributes, _),) = get_reader(str(tmp_path / "t1"))(str(tmp_path / "t1"))
    layer = Image(data, **attributes)
    assert not layer.rgb
    assert layer.ndim == 3


def test_one_file_opens(tmp_path, rng):
    write_series(tmp_path, places(2), rng)
    path = str(tmp_path / "IM0001.dcm")
    ((data, _, kind),) = get_reader(path)(path)
    assert kind == "image"
    assert np.asarray(data).size == 35


def test_a_folder_of_other_things_is_declined(tmp_path):
    for n in range(40):
        (tmp_path / f"note{n}").write_text("hello " * 50)
    assert get_reader(str(tmp_path)) is None
