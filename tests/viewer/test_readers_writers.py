"""Files through npe2, as napari calls us: what is opened as what, and what is written where."""

import numpy as np
import pytest
from npe2 import PluginManager
from npe2.io_utils import read, write

from napari_mmssl.errors import GeometryError, MmsslError, WriteError
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, image_layer, labels_layer
from napari_mmssl.viewer.readers import get_reader, open_file, open_folder
from napari_mmssl.viewer.writers import write_case, write_image, write_labels
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_label_map, read_volume, write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

PLUGIN = "napari-mmssl"
TILTED = np.array([[0, 0.2, -1.0, 20], [0, -1.0, -0.2, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])
GRID = Geometry((3, 4, 5), TILTED)


@pytest.fixture(autouse=True)
def _plugin():
    PluginManager.instance().discover()


@pytest.fixture
def scan(tmp_path, rng):
    path = tmp_path / "t1.nii.gz"
    write_volume(path, Volume(rng.integers(0, 99, GRID.shape).astype(np.int16), GRID))
    return path


def label_map(values=(1, 2)):
    array = np.zeros(GRID.shape, np.uint8)
    array.flat[: len(values)] = values
    return LabelMap(array, GRID)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_each_format_is_opened_through_npe2_as_an_image(suffix, tmp_path):
    path = tmp_path / f"t1{suffix}"
    straight = Geometry(GRID.shape, np.array([[0, 0, -1.0, 20], [0, -1.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]]))
    write_volume(path, Volume(np.arange(60, dtype=np.int16).reshape(GRID.shape), straight))

    ((data, state, kind),) = read([str(path)], stack=False, plugin_name=PLUGIN)

    assert kind == "image"
    assert state["scale"] == (3.0, 1.0, 1.0)
    # Stored LPS: both in-plane axes are turned round.
    assert data[0, 0, 0] == 19


@pytest.mark.parametrize("name", ["seg.nii.gz", "case1_label.nii.gz", "BraTS-seg.nii", "gt.nii.gz", "lesion_mask.nii"])
def test_label_maps_are_told_by_name_and_whole_numbers(name, tmp_path):
    path = tmp_path / name
    write_label_map(path, label_map())

    ((_, _, kind),) = open_file(str(path))

    assert kind == "labels"


@pytest.mark.parametrize("name", ["t1.nii.gz", "segment_of_a_movie.nii.gz", "target.nii.gz"])
def test_other_names_and_fractions_are_images(name, tmp_path):
    path = tmp_path / name
    write_volume(path, Volume(np.linspace(0, 1, 60, dtype=np.float32).reshape(GRID.shape), GRID))

    ((_, _, kind),) = open_file(str(path))

    assert kind == "image"


def test_class_names_beside_a_file_decide_and_are_shown(tmp_path):
    path = tmp_path / "liver.nii.gz"
    write_label_map(path, LabelMap(label_map().array, GRID, (LabelClass(1, "liver", "#d55e00"),)))

    ((_, state, kind),) = open_file(str(path))

    assert kind == "labels"
    assert "liver" in state["features"]["class"]


def test_a_series_becomes_one_layer_for_each_channel(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "series.nii.gz", shape_xyz=(5, 6, 7, 3))

    layers = open_file(str(path))

    assert [state["name"] for _, state, _ in layers] == ["series [0]", "series [1]", "series [2]"]


def test_get_reader_declines_what_is_not_ours_without_opening_it(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")

    for path in ("notes.txt", "empty", "photos", "gone.nii.gz"):
        assert get_reader(str(tmp_path / path)) is None
    assert get_reader([str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")]) is None


def test_get_reader_takes_a_damaged_file_so_that_the_person_hears_what_is_wrong(scan):
    scan.write_bytes(scan.read_bytes()[:120])

    reader = get_reader(str(scan))

    assert reader is not None
    with pytest.raises(MmsslError, match=r"t1\.nii\.gz"):
        reader(str(scan))


def test_a_folder_of_cases_opens_the_first(cohort_folder):
    layers = open_folder(str(cohort_folder))

    origins = [state["metadata"][METADATA_KEY] for _, state, _ in layers]
    assert [origin.role for origin in origins] == ["t1", "t1ce", "t2", "flair", "label"]
    assert {origin.case for origin in origins} == {"anna"}


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_painted_label_map_is_written_through_npe2_where_its_scan_lies(scan, tmp_path, suffix):
    data, state, _ = labels_layer(LabelMap(np.zeros(GRID.shape, np.uint8), read_volume(scan).geometry), "new")
    data[2, 1, 3] = 7
    target = tmp_path / f"painted{suffix}"

    written = write(str(target), [(data, state, "labels")], plugin_name=PLUGIN)

    assert written == [str(target)]
    saved = read_label_map(target)
    np.testing.assert_allclose(saved.geometry.affine, TILTED, atol=1e-5)
    assert (saved.array == 7).sum() == 1


def test_class_names_are_written_beside_the_label_map(tmp_path):
    data, state, _ = labels_layer(LabelMap(label_map().array, GRID, (LabelClass(1, "core", "#d55e00"),)), "seg")

    written = write_labels(str(tmp_path / "seg.nii.gz"), data, state)

    assert written[1].endswith("seg.labels.json")
    assert read_label_map(tmp_path / "seg.nii.gz").classes[0].name == "core"


def test_an_image_is_never_written_over_its_own_scan(scan):
    ((data, state, _),) = open_file(str(scan))
    before = scan.read_bytes()

    with pytest.raises(WriteError, match="scans are never changed"):
        write_image(str(scan), data, state)

    assert scan.read_bytes() == before


def test_an_image_written_elsewhere_is_the_same_scan(scan, tmp_path):
    ((data, state, _),) = open_file(str(scan))

    write_image(str(tmp_path / "copy.nii.gz"), data, state)

    one, other = read_volume(scan), read_volume(tmp_path / "copy.nii.gz")
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_array_equal(one.geometry.affine, other.geometry.affine)


def test_a_case_is_written_into_a_folder_under_the_names_of_its_modalities(cohort_folder, tmp_path):
    layers = open_folder(str(cohort_folder))
    target = tmp_path / "copy"

    written = write(str(target), layers, plugin_name=PLUGIN)

    assert sorted(path.name for path in target.glob("*.nii.gz")) == [
        "flair.nii.gz",
        "label.nii.gz",
        "t1.nii.gz",
        "t1ce.nii.gz",
        "t2.nii.gz",
    ]
    assert len(written) == 5
    original = read_volume(cohort_folder / "anna" / "t1.nii.gz")
    np.testing.assert_array_equal(read_volume(target / "t1.nii.gz").array, original.array)


def test_nothing_of_a_case_is_written_when_one_layer_cannot_be(tmp_path):
    good = image_layer(Volume(np.zeros(GRID.shape, np.uint8), GRID), "t1")
    nowhere = (np.zeros((3, 3, 3), np.uint8), {"name": "Labels", "units": ("pixel",) * 3}, "labels")

    with pytest.raises(GeometryError):
        write_case(str(tmp_path / "case"), [good, nowhere])

    assert not (tmp_path / "case").exists()


def test_two_layers_of_one_name_become_two_files(tmp_path):
    layers = [image_layer(Volume(np.full(GRID.shape, n, np.uint8), GRID), "scan") for n in (1, 2)]

    written = write_case(str(tmp_path / "case"), layers)

    assert len(set(written)) == 2
    values = {int(read_volume(tmp_path / "case" / name).array.max()) for name in ("scan.nii.gz", "scan_2.nii.gz")}
    assert values == {1, 2}
