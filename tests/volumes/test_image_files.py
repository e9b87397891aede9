import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from strategies import ORIENTATIONS, geometries, nifti_affine

from napari_mmssl.errors import GeometryError, ReadError, WriteError
from napari_mmssl.volumes.geometry import Geometry, from_nifti, to_nifti
from napari_mmssl.volumes.image_files import (
    SUFFIXES,
    NotAVolumeError,
    classes_file,
    is_image,
    read_header,
    read_label_map,
    read_volume,
    stem,
    write_label_map,
    write_volume,
)
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

WRITABLE = [".nii", ".nii.gz", ".nrrd", ".mha"]
OBLIQUE = (7, -12, 20)


def make_volume(rng, affine, shape=(3, 4, 5)):
    return Volume(rng.integers(-500, 500, shape).astype(np.int16), Geometry(shape, from_nifti(affine)))


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("rotation", [(0, 0, 0), OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_written_and_read_again_every_voxel_is_where_it_was(tmp_path, rng, orientation, rotation, suffix):
    volume = make_volume(rng, nifti_affine(orientation, rotation_deg=rotation))
    path = tmp_path / f"v{suffix}"

    write_volume(path, volume)
    again = read_volume(path)

    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.geometry.corners_world(), volume.geometry.corners_world(), atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_simpleitk_finds_each_voxel_of_our_files_at_the_same_place(tmp_path, rng, orientation, suffix):
    volume = make_volume(rng, nifti_affine(orientation, rotation_deg=OBLIQUE))
    write_volume(tmp_path / f"v{suffix}", volume)

    image = sitk.ReadImage(str(tmp_path / f"v{suffix}"))

    for z, y, x in [(0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 4), (2, 3, 4)]:
        r, a, s = volume.geometry.index_to_world([z, y, x])
        assert image.TransformIndexToPhysicalPoint((x, y, z)) == pytest.approx((-r, -a, s), abs=1e-4)
        assert image.GetPixel(x, y, z) == volume.array[z, y, x]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_nibabel_finds_the_affine_and_voxels_of_our_nifti(tmp_path, rng, orientation):
    volume = make_volume(rng, nifti_affine(orientation, rotation_deg=OBLIQUE))
    write_volume(tmp_path / "v.nii.gz", volume)

    image = nib.load(tmp_path / "v.nii.gz")

    np.testing.assert_allclose(image.affine, to_nifti(volume.geometry.affine), atol=1e-5)
    np.testing.assert_array_equal(np.asarray(image.dataobj), volume.array.T)
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SAL"])
def test_files_of_simpleitk_are_read_at_the_place_it_put_them(tmp_path, rng, orientation, suffix):
    array = rng.integers(0, 9, (3, 4, 5)).astype(np.int16)
    image = sitk.DICOMOrient(sitk.GetImageFromArray(array), "LPS")
    affine = nifti_affine(orientation, rotation_deg=OBLIQUE)
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / f"v{suffix}"))

    volume = read_volume(tmp_path / f"v{suffix}")

    np.testing.assert_allclose(volume.geometry.affine, from_nifti(affine), atol=1e-9)
    np.testing.assert_array_equal(volume.array, array)


@given(geometries)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_world_corners_survive_each_format(tmp_path, geometry):
    volume = Volume(np.zeros(geometry.shape, np.uint8), geometry)
    for suffix in WRITABLE:
        write_volume(tmp_path / f"v{suffix}", volume)
        again = read_header(tmp_path / f"v{suffix}").geometry
        # NIfTI stores float32: seven digits of positions up to some hundred mm.
        np.testing.assert_allclose(again.corners_world(), geometry.corners_world(), atol=2e-4)


def test_a_sheared_nifti_keeps_its_shear(tmp_path, rng):
    affine = nifti_affine("LPS")
    affine[:3, 1] += 0.3 * affine[:3, 0]
    volume = make_volume(rng, affine)
    write_volume(tmp_path / "v.nii.gz", volume)
    np.testing.assert_allclose(read_volume(tmp_path / "v.nii.gz").geometry.affine, from_nifti(affine), atol=1e-5)
    assert nib.load(tmp_path / "v.nii.gz").header["qform_code"] == 0
    with pytest.raises(WriteError, match="sheared"):
        write_volume(tmp_path / "v.nrrd", volume)
    assert not (tmp_path / "v.nrrd").exists()


def test_nifti_geometry_comes_from_the_qform_when_there_is_no_sform(tmp_path, rng):
    affine = nifti_affine("PIR", rotation_deg=OBLIQUE)
    image = nib.Nifti1Image(rng.integers(0, 9, (5, 4, 3)).astype(np.int16), None)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    nib.save(image, tmp_path / "v.nii")
    np.testing.assert_allclose(read_header(tmp_path / "v.nii").geometry.affine, from_nifti(affine), atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["little", "big", "extended", "nifti2"])
def test_every_kind_of_nifti_header_says_what_nibabel_reads_of_it(tmp_path, rng, kind, suffix):
    array = rng.integers(0, 9, (3, 4, 5)).astype(np.int16)
    image = nib.Nifti1Image(array, np.diag([-1.0, 2.0, 3.0, 1.0]))
    if kind == "big":
        image = nib.Nifti1Image(array, image.affine, nib.Nifti1Header(endianness=">"), dtype=np.int16)
    elif kind == "nifti2":
        image = nib.Nifti2Image(array, image.affine)
    elif kind == "extended":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"seen by nobody"))
    image.header["descrip"] = b"somebody's"
    nib.save(image, tmp_path / f"one{suffix}")

    header, volume = read_header(tmp_path / f"one{suffix}"), read_volume(tmp_path / f"one{suffix}")

    np.testing.assert_array_equal(header.geometry.affine, nib.load(tmp_path / f"one{suffix}").affine[:, [2, 1, 0, 3]])
    assert header.geometry.same_grid(volume.geometry)
    assert (header.description, header.dtype, header.channels) == ("somebody's", np.int16, None)
    np.testing.assert_array_equal(volume.array, array.T)


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1.0), ("meter", 1000.0), ("micron", 0.001), ("unknown", 1.0)])
def test_nifti_units_are_turned_into_mm(tmp_path, unit, scale):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.diag([2.0, 2.0, 3.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "v.nii")
    np.testing.assert_allclose(read_header(tmp_path / "v.nii").geometry.spacing_mm, np.array([3, 2, 2]) * scale)


def test_the_slope_of_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    image.header.set_slope_inter(2.0, -1024.0)
    nib.save(image, tmp_path / "ct.nii.gz")
    # nibabel divides the voxels on saving; what it reads back is the reference.
    expected = nib.load(tmp_path / "ct.nii.gz").get_fdata().T
    volume = read_volume(tmp_path / "ct.nii.gz")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, expected)


def test_whole_numbers_keep_their_type_and_floats_become_float32(tmp_path, write_nifti):
    for dtype, wanted in [(np.int16, np.int16), (np.uint8, np.uint8), (np.float64, np.float32), (">i2", np.int16)]:
        path = write_nifti(tmp_path / "v.nii", dtype=dtype)
        array = read_volume(path).array
        assert array.dtype == wanted
        assert array.dtype.isnative
        assert array.flags.c_contiguous


def test_a_channel_of_a_4d_file_is_read_by_its_number(tmp_path, rng):
    array = rng.integers(0, 99, (3, 4, 5, 2)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "v.nii.gz")
    stacked = sitk.JoinSeries([sitk.GetImageFromArray(np.ascontiguousarray(array[..., n].T)) for n in range(2)])
    sitk.WriteImage(stacked, str(tmp_path / "v.nrrd"))
    for name in ("v.nii.gz", "v.nrrd"):
        assert read_header(tmp_path / name).channels == 2
        np.testing.assert_array_equal(read_volume(tmp_path / name, channel=1).array, array[..., 1].T)
        with pytest.raises(NotAVolumeError, match="4-D and holds 2 volumes"):
            read_volume(tmp_path / name)
        with pytest.raises(ReadError, match="no channel 2; there are 2"):
            read_volume(tmp_path / name, channel=2)


def test_axes_of_one_at_the_end_do_not_count(tmp_path, rng):
    array = rng.integers(0, 99, (3, 4, 5, 1, 1)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "v.nii")
    assert read_header(tmp_path / "v.nii").channels is None
    np.testing.assert_array_equal(read_volume(tmp_path / "v.nii").array, array[..., 0, 0].T)


def test_a_2d_file_is_one_slice(tmp_path, rng):
    array = rng.integers(0, 99, (6, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([-1.0, -2.0, 1.0, 1.0])), tmp_path / "v.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(array.T.copy()), str(tmp_path / "v.mha"))
    for name in ("v.nii.gz", "v.mha"):
        volume = read_volume(tmp_path / name)
        assert volume.geometry.orientation == "LPS"
        np.testing.assert_array_equal(volume.array, array.T[np.newaxis])


def test_a_slice_without_thickness_gets_one(tmp_path):
    image = nib.Nifti1Image(np.zeros((6, 4), np.int16), None)
    image.header["pixdim"][1:4] = 2, 3, 0
    image.set_sform(np.diag([2.0, 3.0, 0.0, 1.0]), code=1)
    nib.save(image, tmp_path / "v.nii")
    assert read_header(tmp_path / "v.nii").geometry.spacing_mm == (1, 3, 2)


def test_colours_complex_and_five_axes_are_no_volumes(tmp_path):
    rgb = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "rgb.nii")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.complex64), np.eye(4)), tmp_path / "complex.nii")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3, 1, 2), np.int16), np.eye(4)), tmp_path / "five.nii")
    sitk.WriteImage(sitk.Image([3, 3, 3], sitk.sitkVectorUInt8, 3), str(tmp_path / "vector.nrrd"))
    for name, wanted in [
        ("rgb.nii", "colours"),
        ("complex.nii", "complex"),
        ("five.nii", "3 x 3 x 3 x 1 x 2"),
        ("vector.nrrd", "3 values"),
    ]:
        with pytest.raises(NotAVolumeError, match=wanted) as caught:
            read_header(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage, nib.Spm2AnalyzeImage])
def test_analyze_is_read_as_nibabel_reads_it_and_its_sides_are_doubted(tmp_path, rng, kind):
    array = rng.integers(0, 99, (3, 4, 5)).astype(np.int16)
    nib.save(kind(array, np.diag([2.0, 3, 4, 1])), tmp_path / "v.hdr")
    volume, theirs = read_volume(tmp_path / "v.hdr"), nib.load(tmp_path / "v.hdr")
    np.testing.assert_array_equal(volume.array, array.T)
    np.testing.assert_allclose(to_nifti(volume.geometry.affine), theirs.affine)
    # SPM wrote directions into a .mat file; without one the side is anybody's guess.
    assert ("which side is left" in read_header(tmp_path / "v.hdr").doubt) == (kind is nib.AnalyzeImage)


def test_a_nifti_pair_is_read_from_either_of_its_files(tmp_path, rng):
    array = rng.integers(0, 99, (3, 4, 5)).astype(np.int16)
    nib.save(nib.Nifti1Pair(array, np.eye(4)), tmp_path / "v.hdr")
    for name in ("v.hdr", "v.img"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, array.T)
    assert [is_image(tmp_path / name) for name in ("v.hdr", "v.img")] == [True, False]


def test_half_a_nifti_pair_names_the_other_half(tmp_path):
    nib.save(nib.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "v.hdr")
    (tmp_path / "v.img").unlink()
    for read in (read_header, read_volume):
        with pytest.raises(ReadError, match=r"v\.hdr.*its voxels should lie in 'v\.img'"):
            read(tmp_path / "v.hdr")


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.float64])
def test_float_and_large_label_files_with_whole_numbers_are_label_maps(tmp_path, dtype):
    array = np.array([0, 1, 4, 4, 0, 2, 1, 1]).reshape(2, 2, 2)
    nib.save(nib.Nifti1Image(array.astype(dtype), np.eye(4), dtype=dtype), tmp_path / "seg.nii.gz")
    label_map = read_label_map(tmp_path / "seg.nii.gz")
    assert np.issubdtype(label_map.array.dtype, np.integer)
    np.testing.assert_array_equal(label_map.array, array.T)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e12])
def test_values_that_are_no_classes_are_refused(tmp_path, value):
    array = np.zeros((2, 2, 2), np.float32)
    array[0, 0, 0] = value
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "seg.nii.gz")
    with pytest.raises(ReadError, match="no label map"):
        read_label_map(tmp_path / "seg.nii.gz")


@pytest.mark.parametrize(("highest", "wanted"), [(4, np.uint8), (300, np.uint16), (70000, np.uint32), (-1, np.int8)])
@pytest.mark.parametrize("suffix", WRITABLE)
def test_label_maps_are_written_in_the_smallest_type_with_their_classes(tmp_path, suffix, highest, wanted):
    array = np.zeros((2, 3, 4), np.int64)
    array[1, 1, 1] = highest
    classes = (LabelClass(1, "necrotic core", "#ff0000"), LabelClass(4, "enhancing tumour", "#00ff7f"))
    label_map = LabelMap(array, Geometry((2, 3, 4), np.eye(4)), classes)
    path = tmp_path / f"seg{suffix}"

    write_label_map(path, label_map)
    again = read_label_map(path)

    np.testing.assert_array_equal(again.array, array)
    assert read_header(path).dtype == wanted
    assert again.classes == classes
    beside = classes_file(path)
    if suffix == ".nrrd":
        # The file says it itself, in Slicer's words.
        assert not beside.exists()
        assert sitk.ReadImage(path).GetMetaData("Segment1_Name") == "enhancing tumour"
        return
    assert json.loads(beside.read_text())["classes"][0] == {
        "value": 1, "name": "necrotic core", "colour": "#ff0000"
    }  # fmt: skip


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_synthetic_volume_says_so_in_its_header(tmp_path, rng, suffix):
    volume = make_volume(rng, np.eye(4))
    path = tmp_path / f"v{suffix}"
    write_volume(path, Volume(volume.array, volume.geometry, synthetic=True), "t2 from t1")
    assert read_header(path).synthetic
    assert read_volume(path).synthetic
    assert "t2 from t1" in read_header(path).description
    write_volume(path, volume, "measured")
    assert not read_volume(path).synthetic


def test_a_failed_write_leaves_the_old_file(tmp_path, rng):
    volume = make_volume(rng, np.eye(4))
    write_volume(tmp_path / "v.mha", volume)
    before = (tmp_path / "v.mha").read_bytes()
    sheared = np.eye(4)
    sheared[0, 1] = 0.4
    with pytest.raises(WriteError):
        write_volume(tmp_path / "v.mha", Volume(volume.array, Geometry((3, 4, 5), sheared)))
    assert (tmp_path / "v.mha").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["v.mha"]


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_folder_that_is_not_there_is_an_error_of_ours(tmp_path, rng, suffix):
    with pytest.raises(WriteError, match="nowhere"):
        write_volume(tmp_path / "nowhere" / f"v{suffix}", make_volume(rng, np.eye(4)))


@pytest.mark.parametrize("name", ["v.png", "v.mhd", "v.hdr", "v"])
def test_other_endings_are_not_written(tmp_path, rng, name):
    with pytest.raises(WriteError, match="name it"):
        write_volume(tmp_path / name, make_volume(rng, np.eye(4)))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(ReadError, match=r"gone.*no such file"):
        read_header(tmp_path / f"gone{suffix}")


def test_of_a_file_that_is_not_there_its_ending_is_not_the_trouble(tmp_path):
    with pytest.raises(ReadError, match="gone': no such file"):
        read_header(tmp_path / "gone")


def test_an_unknown_ending_is_told_the_known_ones(tmp_path):
    (tmp_path / "v.png").write_bytes(b"")
    with pytest.raises(ReadError, match=r"\.nii\.gz"):
        read_header(tmp_path / "v.png")


def test_names_lose_double_endings_as_one(tmp_path):
    names = {
        "a.nii.gz": "a",
        "a.b.nii.gz": "a.b",
        "A.NII.GZ": "A",
        "a.nrrd": "a",
        "a_t1.mha": "a_t1",
        "x.labels.json": "x.labels",
    }
    assert {name: stem(tmp_path / name) for name in names} == names
    assert [is_image(tmp_path / name) for name in ("._a.nii.gz", ".nii.gz", "a.nii.gz", "a.raw", "a.NRRD")] == [
        False, False, True, False, True
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_damaged_affine_is_a_geometry_error_that_names_the_file(tmp_path, bad):
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.int16), np.eye(4))
    image.header["srow_x"] = bad, 0, 0, 0
    image.header["sform_code"] = 1
    header = image.header.copy()
    (tmp_path / "v.nii").write_bytes(header.binaryblock + b"\0" * 4 + bytes(54))
    with pytest.raises(GeometryError, match=r"v\.nii.*damaged"):
        read_header(tmp_path / "v.nii")
