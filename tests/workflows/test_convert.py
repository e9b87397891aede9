"""Every format into every other through the command line, place and voxels unchanged, and nothing replaced."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from made_dicom import oblique, places, write_series

from napari_mmssl.cli.main import main
from napari_mmssl.errors import MmsslError, WriteError
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import (
    read_header,
    read_label_map,
    read_volume,
    write_label_map,
    write_volume,
    write_volumes,
)
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


@pytest.mark.parametrize("between", ENDINGS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_type_and_place_survive_two_formats(tmp_path, volume, between, dtype):
    array = (volume.array % 100).astype(dtype) + np.array({"i8": 2**53 + 1, "f8": 1 / 3}.get(dtype, 0), dtype)
    for source in ENDINGS:
        write_volume(tmp_path / f"a{source}", Volume(array, volume.geometry))
        convert(tmp_path / f"a{source}", tmp_path / f"from_{source[1:]}{between}")
        for target in ENDINGS:
            convert(tmp_path / f"from_{source[1:]}{between}", tmp_path / f"from_{source[1:]}_again{target}")
            back = read_volume(tmp_path / f"from_{source[1:]}_again{target}", exact=True)
            assert back.array.dtype == array.dtype
            np.testing.assert_array_equal(back.array, array)
            np.testing.assert_allclose(back.geometry.affine, volume.geometry.affine, atol=2e-5)


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
    assert main(["convert", str(tmp_path / "in.nii"), str(tmp_path / "out.mha"), "--channel", "3"]) == 2
    assert "no channel 3" in capsys.readouterr().err
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
        ("in.nii", "out.dcm", "--reference"),
        ("in.nii", "out.jpg", "name it"),
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


@pytest.mark.parametrize("source", ENDINGS)
@pytest.mark.parametrize("target", ENDINGS)
def test_several_volumes_stay_several(tmp_path, volume, source, target):
    volumes = [Volume(volume.array + n, volume.geometry) for n in range(3)]
    write_volumes(tmp_path / f"in{source}", volumes)
    assert main(["convert", str(tmp_path / f"in{source}"), str(tmp_path / f"out{target}")]) == 0
    assert read_header(tmp_path / f"out{target}").channels == 3
    for n in range(3):
        back = read_volume(tmp_path / f"out{target}", n)
        np.testing.assert_array_equal(back.array, volumes[n].array)
        np.testing.assert_allclose(back.geometry.affine, volume.geometry.affine, atol=1e-5)


def test_several_volumes_can_be_split(tmp_path, volume, capsys):
    write_volumes(tmp_path / "in.nii.gz", [Volume(volume.array + n, volume.geometry) for n in range(2)])
    assert main(["convert", str(tmp_path / "in.nii.gz"), str(tmp_path / "out.nrrd"), "--split"]) == 0
    for n in range(2):
        np.testing.assert_array_equal(read_volume(tmp_path / f"out_{n}.nrrd").array, volume.array + n)
    assert not (tmp_path / "out.nrrd").exists()
    assert main(["convert", str(tmp_path / "in.nii.gz"), str(tmp_path / "out.nrrd"), "--split"]) == 2
    assert "out_0.nrrd' is there already" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "out_0.nrrd"), str(tmp_path / "one.nii"), "--split"]) == 2
    assert "cannot be split" in capsys.readouterr().err


def test_nrrd_keeps_the_place_to_the_last_bit(tmp_path, volume):
    write_volume(tmp_path / "a.nrrd", volume)
    np.testing.assert_array_equal(read_header(tmp_path / "a.nrrd").geometry.affine, volume.geometry.affine)
    convert(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    np.testing.assert_array_equal(read_header(tmp_path / "b.nrrd").geometry.affine, volume.geometry.affine)
    image = sitk.ReadImage(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.array)
    corner = volume.geometry.index_to_world((3, 4, 5)) * (-1, -1, 1)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((5, 4, 3)), corner, atol=1e-9)


def test_nifti_keeps_its_own_place_to_the_last_bit_on_the_way_through_the_others(tmp_path, volume):
    write_volume(tmp_path / "a.nii.gz", volume)
    for ending in (".nrrd", ".nii"):
        convert(tmp_path / "a.nii.gz", tmp_path / f"b{ending}")
        convert(tmp_path / f"b{ending}", tmp_path / f"c{ending}.nii.gz")
        again = nib.load(tmp_path / f"c{ending}.nii.gz")
        np.testing.assert_array_equal(again.affine, nib.load(tmp_path / "a.nii.gz").affine)


CLASSES = (LabelClass(1, "peripheral zone", "#56b4e9"), LabelClass(4, "Läsion (?)", "#d55e01"))


def drawn(folder, rng):
    grid = read_series(folder).geometry
    array = rng.choice((0, 0, 1, 4), grid.shape).astype(np.uint8)
    return LabelMap(array, grid, CLASSES)


def test_a_label_map_goes_round_through_every_format_with_its_names_and_colours(tmp_path, rng):
    write_series(tmp_path / "s", places(5), rng)
    labels = drawn(tmp_path / "s", rng)
    write_label_map(tmp_path / "0.nii.gz", labels)
    name = "0.nii.gz"
    for n, ending in enumerate((".nrrd", ".dcm", ".mha", ".dcm", ".nrrd", ".nii", ".seg.nrrd", ".nii.gz"), start=1):
        command = ["convert", str(tmp_path / name), str(tmp_path / f"{n}{ending}")]
        assert main([*command, *(["--reference", str(tmp_path / "s")] if ending == ".dcm" else [])]) == 0
        name = f"{n}{ending}"
        back = read_label_map(tmp_path / name)
        np.testing.assert_array_equal(back.array, labels.array)
        np.testing.assert_allclose(back.geometry.affine, labels.geometry.affine, atol=1e-5)
        assert back.classes == CLASSES


def test_a_segmentation_is_split_into_its_segments(tmp_path, rng):
    write_series(tmp_path / "s", places(5), rng)
    labels = drawn(tmp_path / "s", rng)
    write_label_map(tmp_path / "seg.nrrd", labels)
    convert(tmp_path / "seg.nrrd", tmp_path / "seg.dcm", reference=tmp_path / "s")
    convert(tmp_path / "seg.dcm", tmp_path / "part.nii.gz", split=True)
    for n, one in enumerate(CLASSES):
        part = read_label_map(tmp_path / f"part_{n}.nii.gz")
        np.testing.assert_array_equal(part.array, np.where(labels.array == one.value, one.value, 0))
        assert part.classes == (one,)


def test_a_part_of_a_label_map_gets_the_whole_grid_of_its_series(tmp_path, rng):
    orientation = oblique(rng)
    write_series(tmp_path / "s", places(6, orientation), rng, orientation=orientation)
    labels = drawn(tmp_path / "s", rng)
    affine = labels.geometry.affine.copy()
    affine[:3, 3] = labels.geometry.index_to_world((2, 1, 0))
    part = LabelMap(labels.array[2:5, 1:6], Geometry((3, 5, 5), affine), CLASSES)
    write_label_map(tmp_path / "part.nrrd", part)
    convert(tmp_path / "part.nrrd", tmp_path / "whole.nii.gz", reference=tmp_path / "s")
    whole = read_label_map(tmp_path / "whole.nii.gz")
    np.testing.assert_array_equal(whole.array[2:5, 1:6], part.array)
    assert np.count_nonzero(whole.array) == np.count_nonzero(part.array)
    assert whole.geometry.same_grid(labels.geometry)


def test_the_reference_is_the_series_with_the_label_map_s_grid(tmp_path, rng, capsys):
    write_series(tmp_path / "s", places(5), rng, series="1.1")
    write_series(tmp_path / "s", places(4), rng, series="1.2", start=10)
    write_series(tmp_path / "other", places(5, step=4), rng)
    grid = read_series(tmp_path / "s", "1.1").geometry
    write_label_map(tmp_path / "a.nii", LabelMap(rng.integers(0, 2, grid.shape), grid))
    convert(tmp_path / "a.nii", tmp_path / "a.dcm", reference=tmp_path / "s")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.dcm").array, read_label_map(tmp_path / "a.nii").array)
    assert (
        main(["convert", str(tmp_path / "a.nii"), str(tmp_path / "b.dcm"), "--reference", str(tmp_path / "other")]) == 2
    )
    assert "a corner of the label map lies 4 mm from that of the series" in capsys.readouterr().err
    assert (
        main(["convert", str(tmp_path / "a.nii"), str(tmp_path / "b.nii"), "--reference", str(tmp_path / "other")]) == 2
    )
    assert "nothing is resampled" in capsys.readouterr().err
    write_series(tmp_path / "other", places(3, step=4), rng, series="1.9", start=60)
    assert (
        main(["convert", str(tmp_path / "a.nii"), str(tmp_path / "b.nii"), "--reference", str(tmp_path / "other")]) == 2
    )
    assert "none of its 2 stacks of slices has the grid of the label map" in capsys.readouterr().err
    write_series(tmp_path / "s", places(5), rng, series="1.3", start=20)
    command = ["convert", str(tmp_path / "a.nii"), str(tmp_path / "b.dcm"), "--reference", str(tmp_path / "s")]
    assert main(command) == 2
    assert "1.1, 1.3" in capsys.readouterr().err
    assert main([*command, "--series", "1.3"]) == 0


def test_what_a_network_drew_is_said_to_be_automatic(tmp_path, rng):
    write_series(tmp_path / "s", places(5), rng)
    (tmp_path / "run").mkdir()
    write_label_map(tmp_path / "run" / "case.nii.gz", drawn(tmp_path / "s", rng))
    (tmp_path / "run" / "predictions.json").write_text("{}")
    convert(tmp_path / "run" / "case.nii.gz", tmp_path / "seg.dcm", reference=tmp_path / "s")
    segments = pydicom.dcmread(tmp_path / "seg.dcm").SegmentSequence
    assert {one.SegmentAlgorithmType for one in segments} == {"AUTOMATIC"}


def test_stacks_of_a_series_are_split_or_none_is_written(tmp_path, rng):
    two = places(5) * 2
    write_series(tmp_path / "s", two, rng, each=lambda n: {"DiffusionBValue": 0.0 if n < 5 else 800.0})
    convert(tmp_path / "s", tmp_path / "out.nii.gz", split=True)
    for n in range(2):
        np.testing.assert_array_equal(
            read_volume(tmp_path / f"out_{n}.nii.gz").array, read_series(tmp_path / "s", channel=n).array
        )
    write_series(tmp_path / "t", [*two[:8], two[9]], rng, each=lambda n: {"DiffusionBValue": 0.0 if n < 5 else 800.0})
    with pytest.raises(MmsslError, match="missing"):
        convert(tmp_path / "t", tmp_path / "broken.nii.gz", split=True)
    assert not list(tmp_path.glob("broken*"))
