"""Every format into every other through the command line, place and voxels unchanged, and nothing replaced."""

import json

import nibabel as nib
import numpy as np
import pytest
from made_dicom import oblique, places, write_series

from napari_mmssl.cli.main import main
from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_header, read_label_map, read_volume, write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume
from napari_mmssl.workflows.convert import convert

ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha")


@pytest.fixture
def volume(rng):
    affine = np.eye(4)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine[:3, :3] = matrix * (3.1, 0.7, 1.3)
    affine[:3, 3] = (-31.5, 12.25, 80)
    return Volume(rng.integers(-1000, 2000, (4, 5, 6)).astype(np.int16), Geometry((4, 5, 6), affine))


@pytest.mark.parametrize("source", ENDINGS)
@pytest.mark.parametrize("target", ENDINGS)
def test_every_format_becomes_every_other(tmp_path, volume, source, target):
    write_volume(tmp_path / f"in{source}", volume, "MMSSL PHANTOM made up")
    assert main(["convert", str(tmp_path / f"in{source}"), str(tmp_path / f"out{target}")]) == 0
    back = read_volume(tmp_path / f"out{target}")
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.geometry.affine, volume.geometry.affine, atol=1e-5)
    assert read_header(tmp_path / f"out{target}").description == "MMSSL PHANTOM made up"


@pytest.mark.parametrize("target", ENDINGS)
def test_a_series_becomes_a_file(tmp_path, rng, target):
    orientation = oblique(rng)
    write_series(tmp_path / "in", places(5, orientation), rng, orientation=orientation, slope=0.37, intercept=2)
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / f"out{target}")]) == 0
    series, back = read_series(tmp_path / "in"), read_volume(tmp_path / f"out{target}")
    np.testing.assert_array_equal(back.array, series.array)
    np.testing.assert_allclose(back.geometry.affine, series.geometry.affine, atol=1e-5)


def test_a_tilted_series_stays_sheared_where_that_can_be_held(tmp_path, rng, capsys):
    orientation = (1, 0, 0, 0, 0.96, 0.28)
    write_series(tmp_path / "in", [(0, 0, 5.0 * n) for n in range(4)], rng, orientation=orientation)
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.nii.gz")]) == 0
    assert "tilted" in capsys.readouterr().err
    # nibabel's columns are (x, y, z); LPS to RAS.
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii.gz").affine[:3, 2], (0, 0, 5), atol=1e-6)
    for ending in (".nrrd", ".mha"):
        assert main(["convert", str(tmp_path / "in"), str(tmp_path / f"out{ending}")]) == 2
        assert "sheared" in (said := capsys.readouterr().err)
        assert f"out{ending}" in said
        assert "/." not in said
        assert not list(tmp_path.glob(f"*{ending}"))


def test_names_of_classes_go_along(tmp_path, volume):
    labels = LabelMap((volume.array > 500).astype(np.uint8), volume.geometry, (LabelClass(1, "lesion", "#ff0000"),))
    write_label_map(tmp_path / "in.nii.gz", labels)
    convert(tmp_path / "in.nii.gz", tmp_path / "out.mha")
    back = read_label_map(tmp_path / "out.mha")
    assert back.classes == labels.classes
    assert back.array.dtype == np.uint8
    np.testing.assert_array_equal(back.array, labels.array)
    (tmp_path / "other.labels.json").write_text("{}")
    with pytest.raises(WriteError, match=r"other\.labels\.json"):
        convert(tmp_path / "in.nii.gz", tmp_path / "other.nii")


def test_a_network_s_work_stays_marked(tmp_path, volume):
    write_volume(tmp_path / "in.nii", Volume(volume.array, volume.geometry, synthetic=True))
    convert(tmp_path / "in.nii", tmp_path / "out.mha")
    assert read_volume(tmp_path / "out.mha").synthetic


def test_one_volume_of_several(tmp_path, rng, capsys):
    array = rng.integers(0, 99, (4, 5, 6, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "in.nii")
    assert main(["convert", str(tmp_path / "in.nii"), str(tmp_path / "out.mha")]) == 2
    assert "3 volumes" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "in.nii"), str(tmp_path / "out.mha"), "--channel", "2"]) == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "out.mha").array, array[..., 2].T)


def test_one_series_of_several(tmp_path, rng, capsys):
    write_series(tmp_path / "in", places(3), rng, series="1.1")
    write_series(tmp_path / "in", places(4), rng, series="1.2", start=10)
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.nii")]) == 2
    assert "1.1, 1.2" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out.nii"), "--series", "1.2"]) == 0
    assert read_volume(tmp_path / "out.nii").array.shape == (4, 7, 5)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("in.nii", "in.nii", "there already"),
        ("in.nii", "there.mha", "there already"),
        ("in.nii", "link.mha", "there already"),
        ("in.nii", "out.dcm", "name it"),
        ("in.nii", "out", "name it"),
        ("in.nii", "no/such/folder/out.nii", "no/such/folder"),
        ("gone.nii", "out.nii", "no such file"),
        ("broken", "out.nii", "is missing"),
        ("empty", "out.nii", "no DICOM image"),
        ("notes.txt", "out.nii", "known file endings"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path, rng, volume, capsys, source, target, words):
    write_volume(tmp_path / "in.nii", volume)
    (tmp_path / "there.mha").write_text("mine")
    (tmp_path / "link.mha").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    write_series(tmp_path / "broken", [places(6)[n] for n in (0, 1, 2, 4, 5)], rng)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["convert", str(tmp_path / source), str(tmp_path / target)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_inspect_agrees_with_what_was_written(tmp_path, rng, capsys):
    write_series(tmp_path / "in" / "t1", places(5), rng)
    (tmp_path / "out").mkdir()
    main(["inspect", str(tmp_path / "in"), "--json"])
    series = json.loads(capsys.readouterr().out)["cases"][0]["modalities"]["t1"]
    convert(tmp_path / "in" / "t1", tmp_path / "out" / "t1.nii.gz")
    main(["inspect", str(tmp_path / "out"), "--json"])
    file = json.loads(capsys.readouterr().out)["cases"][0]["modalities"]["t1"]
    for key in ("shape", "spacing_mm", "orientation"):
        assert file[key] == series[key]
