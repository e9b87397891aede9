"""Series written in ways that the standard allows, or forbids and somebody's scanner does all the same."""

import gdcm
import numpy as np
import pytest
from made_dicom import NAME, PATIENT_ID, dataset, places, save, write_series
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_series import find_series, read_series

PIXELS = (np.arange(35).reshape(7, 5) * 29 - 500).astype(np.int16)


def as_big_endian(ds, path):
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = PIXELS.astype(">i2").tobytes()
    ds.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)


def as_deflated(ds, path):
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)


def as_implicit_without_preamble(ds, path):
    del ds.file_meta
    ds.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)


def as_jpeg_ls(ds, path):
    ds.compress(JPEGLSLossless, encoding_plugin="pyjpegls")
    ds.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("write", [as_big_endian, as_deflated, as_implicit_without_preamble, as_jpeg_ls])
@pytest.mark.parametrize("name", ["IM{}", "1.2.840.113619.{}"])
def test_every_way_to_write_bytes_gives_the_same_voxels(tmp_path, write, name):
    for n, place in enumerate(places(3)):
        write(dataset(PIXELS, place, number=n, slope=1, intercept=-24), tmp_path / name.format(n))
    np.testing.assert_array_equal(read_series(tmp_path).array, [PIXELS - 24] * 3)


@pytest.mark.filterwarnings("ignore:Invalid value for VR IS")
def test_a_number_of_a_slice_that_is_none_keeps_nobody_from_reading(tmp_path):
    """Where slices lie says their order; the number only tells repeats apart."""
    for n, place in enumerate(places(3)):
        ds = dataset(PIXELS + n, place)
        # What pydicom refuses to write, scanners have written.
        ds.add_new("InstanceNumber", "LO", f"{n}A")
        ds.save_as(tmp_path / f"{n}.dcm", enforce_file_format=True)
        raw = (tmp_path / f"{n}.dcm").read_bytes()
        assert raw.count(b"\x20\x00\x13\x00LO") == 1
        (tmp_path / f"{n}.dcm").write_bytes(raw.replace(b"\x20\x00\x13\x00LO", b"\x20\x00\x13\x00IS"))
    np.testing.assert_array_equal(read_series(tmp_path).array, [PIXELS + n for n in range(3)])


def test_twelve_bits_with_a_sign_or_with_an_overlay_above_them(tmp_path):
    values = (np.arange(35).reshape(7, 5) * 57 - 1000).astype(np.int16)
    for n, place in enumerate(places(2)):
        ds = dataset(values, place, number=n, BitsStored=12, HighBit=11)
        # The four bits above are no part of the number.
        ds.PixelData = ((values.view(np.uint16) & 0x0FFF) | 0x6000).tobytes()
        ds.save_as(tmp_path / f"{n}.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_series(tmp_path).array, [values] * 2)


@pytest.mark.parametrize("signed", [False, True])
def test_lossy_jpeg_of_twelve_bits(tmp_path, signed):
    """The only lossy packing of scanners with more than 8 bits that is not JPEG 2000 or JPEG-LS."""
    y, x = np.mgrid[:64, :48]
    wave = 1500 * np.sin(x / 9) * np.cos(y / 11) + (0 if signed else 2000)
    pixels = wave.astype(np.int16 if signed else np.uint16)
    for n, place in enumerate(places(2)):
        ds = dataset(pixels + n, place, number=n, BitsStored=12, HighBit=11)
        if signed:
            ds.PixelData = ((pixels + n).view(np.uint16) & 0x0FFF).tobytes()
        packed_by_gdcm(save(ds, tmp_path / f"{n}.dcm"))
    read = read_series(tmp_path).array
    assert abs(read.astype(int) - [pixels, pixels + 1]).max() <= 12


def packed_by_gdcm(path):
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    codec = gdcm.JPEGCodec()
    codec.SetLossless(False)
    codec.SetQuality(95)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    change.SetUserCodec(codec)
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()


def test_dark_where_others_are_bright_is_still_the_measured_value(tmp_path, rng):
    pixels = write_series(tmp_path, places(3), rng, PhotometricInterpretation="MONOCHROME1", slope=2, intercept=-5)
    np.testing.assert_array_equal(read_series(tmp_path).array, pixels * 2.0 - 5)


def kinds(folder):
    return [finding.kind for series in find_series(folder).series for finding in series.all_findings]


@pytest.mark.parametrize("n", [1, 4])
def test_a_mosaic_is_named_and_never_taken_for_slices(tmp_path, rng, n):
    write_series(tmp_path, places(n), rng, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    assert kinds(tmp_path) == ["not_a_volume"]
    with pytest.raises(ReadError, match="mosaic"):
        read_series(tmp_path)


def test_two_people_in_one_series_are_never_one_volume(tmp_path, rng):
    write_series(tmp_path, places(6), rng, each=lambda n: {"patient": f"{PATIENT_ID}-{n % 2}"})
    assert kinds(tmp_path) == ["mixed_series"]
    with pytest.raises(ReadError, match=r"patient 1 \(3 slices\); patient 2") as refused:
        read_series(tmp_path)
    assert PATIENT_ID not in str(refused.value)
    assert NAME not in str(refused.value)


@pytest.mark.parametrize(
    ("thickness", "told", "found"), [(3, 3, ["missing_slice"]), (3, 6, []), (6, 0.5, []), (6, 6, [])]
)
def test_slices_further_apart_than_the_header_tells(tmp_path, rng, thickness, told, found):
    """Numbered anew by whoever left every second one out; a gap between thick slices is something else."""
    write_series(tmp_path, places(5, step=6.0), rng, SliceThickness=thickness, SpacingBetweenSlices=told)
    assert kinds(tmp_path) == found
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(6)


@pytest.mark.parametrize(("told", "found"), [(None, ["missing_slice"]), (9, [])])
def test_thin_slices_far_apart_are_doubted_unless_the_header_tells_so(tmp_path, rng, told, found):
    """Of a stack numbered anew, the thickness is the last that tells of every third slice."""
    tags = {} if told is None else {"SpacingBetweenSlices": told}
    write_series(tmp_path, places(5, step=9.0), rng, SliceThickness=3, **tags)
    assert kinds(tmp_path) == found
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(9)


@pytest.mark.parametrize(
    ("step", "number", "tags", "found"),
    [
        (12, 4, {}, ["missing_slice"]),
        (3, 1, {"SliceThickness": None}, ["missing_slice"]),
        (3, 1, {}, []),
        (3, 1, {"SliceThickness": None, "SpacingBetweenSlices": 3}, []),
    ],
)
def test_two_slices_are_doubted_unless_the_header_confirms_their_distance(tmp_path, rng, step, number, tags, found):
    """One distance cannot be compared with another: it alone never shows that a slice is missing."""
    write_series(tmp_path, places(2, step=step), rng, each=lambda n: {"number": number * n + 1}, **tags)
    assert kinds(tmp_path) == found
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(step)


def test_directions_of_one_b_value_are_stacks(tmp_path, rng):
    """Where no other tag parts them: every slice lies in its place three times."""
    directions = np.eye(3).tolist()
    pixels = write_series(
        tmp_path,
        places(4) * 3,
        rng,
        shuffle=False,
        each=lambda n: {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": directions[n // 4]},
    )
    assert kinds(tmp_path) == ["mixed_series"]
    (series,) = find_series(tmp_path).series
    assert [stack.told_apart_by for stack in series.stacks] == [
        "gradient direction 1/0/0", "gradient direction 0/1/0", "gradient direction 0/0/1"
    ]  # fmt: skip
    np.testing.assert_array_equal(read_series(tmp_path, channel=1).array, pixels[4:8])


def test_a_slope_of_zero_means_none(tmp_path, rng):
    pixels = write_series(tmp_path, places(3), rng, slope=0, intercept=0)
    np.testing.assert_array_equal(read_series(tmp_path).array, pixels)


def test_b_values_are_told_by_the_name_of_the_sequence_where_no_tag_has_them(tmp_path, rng):
    names = {0: "*ep_b0", 1: "*ep_b800t"}
    write_series(tmp_path, places(4) * 2, rng, each=lambda n: {"SequenceName": names[n // 4]})
    assert kinds(tmp_path) == ["mixed_series"]
    with pytest.raises(ReadError, match=r"b-value 800 \(4 slices\)"):
        read_series(tmp_path)


def test_a_header_without_pixels_is_named(tmp_path, rng):
    write_series(tmp_path, places(3), rng, PixelData=None)
    with pytest.raises(ReadError, match="holds no pixels"):
        read_series(tmp_path)
