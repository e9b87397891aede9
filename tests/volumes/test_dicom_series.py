"""DICOM series that are volumes: against the standard's own formula, SimpleITK, and pixels as they were written."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from made_dicom import AXIAL, CT, SAGITTAL, dataset, enhanced, oblique, places, save, write_series
from pydicom.uid import MPEG2MPML, RLELossless

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_series import choose_series, find_series, read_series, read_series_header
from napari_mmssl.volumes.geometry import lps_to_ras, to_canonical, to_nifti
from napari_mmssl.volumes.image_files import read_header, read_label_map, read_volume


def assert_pixels_lie_where_headers_say(folder, volume, intercept=0):
    """Every file's pixels and position are found in the volume, by the formula of PS3.3 C.7.6.2.1.1."""
    to_index = np.linalg.inv(volume.geometry.affine)
    seen = set()
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        row, column = np.split(np.array(ds.ImageOrientationPatient, dtype=float), 2)
        for r, c in ((0, 0), (3, 1), (ds.Rows - 1, ds.Columns - 1)):
            lps = np.array(ds.ImagePositionPatient, dtype=float)
            lps = lps + row * ds.PixelSpacing[1] * c + column * ds.PixelSpacing[0] * r
            z, y, x, _ = to_index @ [-lps[0], -lps[1], lps[2], 1]
            assert (y, x) == pytest.approx((r, c), abs=0.01)
            assert z == pytest.approx(round(z), abs=0.01)
            assert volume.array[round(z), r, c] == pytest.approx(ds.pixel_array[r, c] + float(intercept))
        seen.add(round(z))
    assert seen == set(range(len(volume.array)))


def read_with_simpleitk(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def affine_of(image):
    """Our affine of a SimpleITK image."""
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return to_nifti(lps_to_ras(lps))


@given(seed=st.integers(0, 2**32 - 1))
def test_every_voxel_is_where_its_header_says(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    folder, orientation = tmp_path_factory.mktemp("series"), oblique(rng)
    step = float(rng.uniform(0.5, 8)) * (1 if rng.random() < 0.5 else -1)
    positions = places(int(rng.integers(2, 9)), orientation, step, tuple(rng.uniform(-300, 300, 3)))
    spacing = tuple(rng.uniform(0.3, 3, 2).round(4))
    write_series(folder, positions, rng, orientation=orientation, spacing=spacing, SliceThickness=round(abs(step), 3))
    volume = read_series(folder)
    assert not volume.geometry.is_sheared
    assert volume.geometry.spacing_mm[0] == pytest.approx(abs(step), abs=1e-3)
    assert_pixels_lie_where_headers_say(folder, volume)
    assert find_series(folder).series[0].all_findings == ()


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, (1, 0, 0, 0, 0, -1), None])
def test_grid_and_voxels_are_those_of_simpleitk(tmp_path, rng, orientation):
    orientation = orientation or oblique(rng)
    write_series(tmp_path, places(6, orientation, 2.5), rng, orientation=orientation, slope=2, intercept=-1024)
    image, volume = read_with_simpleitk(tmp_path), read_series(tmp_path)
    np.testing.assert_allclose(volume.geometry.affine, affine_of(image), atol=1e-4)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))


def test_each_slice_has_its_own_rescaling(tmp_path, rng):
    pixels = write_series(
        tmp_path, places(4), rng, each=lambda n: {"slope": 0.5 + n, "intercept": -float(n)}, shuffle=False
    )
    volume = read_series(tmp_path)
    assert volume.array.dtype == np.float32
    wanted = [plane * (0.5 + n) - n for n, plane in enumerate(pixels)]
    np.testing.assert_allclose(volume.array, wanted, rtol=1e-6)


def test_whole_numbers_stay_whole(tmp_path, rng):
    pixels = write_series(tmp_path, places(3), rng, modality="CT", slope=1, intercept=-1024, shuffle=False)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, pixels.astype(int) - 1024)


def test_large_unsigned_values_do_not_wrap(tmp_path):
    pixels = np.array([[65535, 40000], [1, 0]], np.uint16)
    save(dataset(pixels, (0, 0, 0)), tmp_path / "a.dcm")
    save(dataset(pixels, (0, 0, 3)), tmp_path / "b.dcm")
    assert read_series(tmp_path).array.max() == 65535


def test_a_multi_frame_file_is_put_in_order(tmp_path, rng):
    orientation, order = oblique(rng), rng.permutation(6)
    positions = [places(6, orientation)[n] for n in order]
    pixels = rng.integers(0, 999, (6, 7, 5)).astype(np.uint16)
    path = save(
        enhanced(pixels, positions, orientation=orientation, slopes=[1 + n for n in order]), tmp_path / "enhanced.dcm"
    )
    volume = read_volume(path)
    np.testing.assert_allclose(
        volume.geometry.index_to_world([2, 0, 0]) * [-1, -1, 1], places(6, orientation)[2], atol=1e-3
    )
    for place, plane in enumerate(pixels[np.argsort(order)]):
        np.testing.assert_allclose(volume.array[place], plane * (1 + place))


def test_frames_of_several_b_values_are_stacks(tmp_path, rng):
    pixels = rng.integers(0, 999, (8, 7, 5)).astype(np.uint16)
    save(enhanced(pixels, places(4) * 2, b_values=[50] * 4 + [800] * 4), tmp_path / "enhanced.dcm")
    with pytest.raises(ReadError, match=r"b-value 50 .* b-value 800"):
        read_series(tmp_path)
    np.testing.assert_array_equal(read_series(tmp_path, channel=1).array, pixels[4:])


def test_a_slice_by_itself_is_a_volume_of_one_slice(tmp_path, rng):
    write_series(tmp_path, places(4), rng, SliceThickness=4)
    header = read_header(tmp_path / "IM0002.dcm")
    assert header.geometry.shape == (1, 7, 5)
    assert header.geometry.spacing_mm == pytest.approx((4, 1.5, 2))


def test_files_without_an_ending_or_a_preamble_are_read(tmp_path, rng):
    pixels = write_series(tmp_path, places(3), rng, shuffle=False)
    for n, path in enumerate(sorted(tmp_path.iterdir())):
        path.write_bytes(path.read_bytes()[132:])
        path.rename(tmp_path / f"{n}")
    np.testing.assert_array_equal(read_series(tmp_path).array, pixels)
    assert read_volume(tmp_path / "1").array.shape == (1, 7, 5)


def test_other_files_among_them_are_passed_over(tmp_path, rng):
    write_series(tmp_path, places(3), rng)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "LICENSE").write_bytes(b"x" * 500)
    (tmp_path / ".DS_Store").write_bytes(b"\0" * 200)
    found = find_series(tmp_path)
    assert found.unreadable == ()
    assert read_series(tmp_path).array.shape == (3, 7, 5)


def test_several_series_of_a_folder_are_chosen_by_uid(tmp_path, rng):
    first = write_series(tmp_path, places(3), rng, series="1.1", shuffle=False)
    second = write_series(tmp_path, places(4), rng, series="1.2", start=10, shuffle=False)
    with pytest.raises(ReadError, match=r"2 series.*1\.1, 1\.2"):
        read_series(tmp_path)
    np.testing.assert_array_equal(read_series(tmp_path, "1.1").array, first)
    np.testing.assert_array_equal(read_series(tmp_path, "1.2").array, second)
    with pytest.raises(ReadError, match="no series with the UID"):
        read_series_header(tmp_path, "1.3")


def test_a_changed_folder_is_looked_at_again(tmp_path, rng):
    write_series(tmp_path, places(3), rng)
    assert len(choose_series(tmp_path).slices) == 3
    write_series(tmp_path, places(5)[3:], rng, start=3)
    assert len(choose_series(tmp_path).slices) == 5


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG2000", "JPEG 2000"), ("JPEG", "JPEG Lossless")])
def test_packed_pixels_are_those_that_were_packed(tmp_path, rng, monkeypatch, compressor, syntax):
    # With it set, Python writes to pipes in another way than on most machines.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    pixels = (np.add.outer(np.arange(24), np.arange(20)) * 40 + rng.integers(-500, 500, (24, 20))).astype(np.int16)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "a.dcm"))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(pixels[None]))
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    assert syntax in ds.file_meta.TransferSyntaxUID.name
    ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing = [0, 0, 0], list(AXIAL), [1, 1]
    save(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_series(tmp_path).array[0], pixels)


def test_run_length_packing_is_unpacked(tmp_path, rng):
    pixels = rng.integers(0, 5, (9, 8)).astype(np.uint16)
    ds = dataset(pixels, (0, 0, 0))
    ds.compress(RLELossless)
    save(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_series(tmp_path).array[0], pixels)


def test_a_packing_that_cannot_be_unpacked_is_named(tmp_path, rng):
    for n, position in enumerate(places(2)):
        ds = dataset(np.zeros((4, 4), np.uint16), position)
        ds.file_meta.TransferSyntaxUID = MPEG2MPML
        ds.PixelData = pydicom.encaps.encapsulate([b"\0" * 40])
        ds["PixelData"].VR = "OB"
        save(ds, tmp_path / f"{n}.dcm")
    assert read_series_header(tmp_path).geometry.shape == (2, 4, 4)
    with pytest.raises(ReadError, match=r"MPEG2 .*1\.2\.840\.10008\.1\.2\.4\.100.*uncompressed"):
        read_series(tmp_path)


def test_a_ct_is_read_by_its_class(tmp_path, rng):
    write_series(tmp_path, places(3), rng, modality="CT")
    assert pydicom.dcmread(next(tmp_path.iterdir())).SOPClassUID == CT
    assert choose_series(tmp_path).slices[0].modality == "CT"


# --- on real series, where they are at hand ---

GOOD = (
    "ProstateX-0001/adc",
    "ProstateX-0218/adc",
    "ProstateX-0218/calc_bval",
    "ProstateX-0218/t2_tse_tra",
    "totalseg_ct",
    "dicom2nifti_failing_slicecount",
    "dicom2nifti_hitachi_anatomical",
)


def series_and_truth(shared_data):
    folder = shared_data / "dicom"
    slices = folder / "dicom2nifti_generic_anatomical"
    small, large = sorted(find_series(slices).series, key=lambda series: series.slices[0].shape)
    yield slices, small.uid, "002_non_isotropic_ground_truth"
    yield slices, large.uid, "001_implicit_ground_truth"
    yield folder / "dicom2nifti_failing_slicecount", None, "001_ground_truth"
    yield folder / "dicom2nifti_hitachi_anatomical", None, "001_ground_truth"


def test_real_series_are_what_another_converter_made_of_them(shared_data):
    for folder, uid, name in series_and_truth(shared_data):
        volume = read_series(folder, uid)
        for truth in (read_volume(folder / f"{name}{end}.nii.gz") for end in ("", "_reoriented")):
            ours, theirs = (to_canonical(one.geometry) for one in (volume, truth))
            grid, other = ours.apply_to(volume.geometry), theirs.apply_to(truth.geometry)
            np.testing.assert_allclose(grid.affine, other.affine, atol=2e-3)
            np.testing.assert_allclose(ours.apply(volume.array), theirs.apply(truth.array), rtol=1e-4)


@pytest.mark.parametrize("name", GOOD)
def test_real_series_are_what_simpleitk_reads(shared_data, name):
    folder = shared_data / "dicom" / name
    volume = read_series(folder)
    order = [str(one.path) for one in choose_series(folder).stacks[0].slices]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(order)
    image = reader.Execute()
    np.testing.assert_allclose(volume.geometry.affine, affine_of(image), atol=2e-3)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    # Of two slices without a thickness nobody can tell whether others lay between them.
    doubted = ["missing_slice"] if name == "dicom2nifti_failing_slicecount" else []
    assert [finding.kind for finding in choose_series(folder).all_findings] == doubted


def test_the_real_gantry_tilt_is_kept(shared_data):
    folder = shared_data / "dicom/dicom2nifti_failing_gantrytilting"
    (finding,) = choose_series(folder).all_findings
    assert finding.kind == "gantry_tilt"
    volume = read_series(folder)
    assert volume.geometry.is_sheared
    assert_pixels_lie_where_headers_say(folder, volume, -1024)


def test_real_labels_lie_on_their_ct(shared_data):
    labels = read_label_map(shared_data / "dicom/totalseg_ct_seg.nii.gz")
    ct = read_series(shared_data / "dicom/totalseg_ct")
    one, other = to_canonical(labels.geometry), to_canonical(ct.geometry)
    assert one.apply_to(labels.geometry).same_grid(other.apply_to(ct.geometry))
    organs = one.apply(labels.array) > 0
    # Air is at -1000 HU; organs are not.
    assert other.apply(ct.array)[organs].mean() > -200


def test_every_real_folder_opens_or_is_refused_in_a_sentence(shared_data):
    folders = [path for path in (shared_data / "dicom").rglob("*") if path.is_dir()]
    assert len(folders) >= 11
    for folder in folders:
        for series in find_series(folder).series:
            assert read_series(folder, series.uid).array.ndim == 3
        if not find_series(folder).series:
            with pytest.raises(ReadError, match="no DICOM image lies in it"):
                read_series(folder)
