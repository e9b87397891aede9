"""Series with something wrong: named by a fixed word, and never a volume with a plausible wrong spacing."""

import shutil

import numpy as np
import pydicom
import pytest
from made_dicom import AXIAL, SAGITTAL, dataset, enhanced, oblique, places, save, write_series

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_series import choose_series, find_series, read_series, read_series_header


def kinds(folder):
    return [finding.kind for finding in choose_series(folder).all_findings]


def assert_refused(folder, kind, words):
    assert kind in kinds(folder)
    for read in (read_series, read_series_header):
        with pytest.raises(ReadError, match=words) as caught:
            read(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", [[1], [4], [2, 3], [1, 5], [3, 4, 5]])
@pytest.mark.parametrize("step", [0.7, 3.0, -5.0])
def test_a_missing_slice(tmp_path, rng, missing, step):
    orientation = oblique(rng)
    positions = [place for n, place in enumerate(places(8, orientation, step)) if n not in missing]
    write_series(tmp_path, positions, rng, orientation=orientation)
    assert_refused(tmp_path, "missing_slice", f"{len(missing)} of 8 slices .* missing")


def test_a_missing_slice_of_three(tmp_path, rng):
    write_series(tmp_path, [places(4)[n] for n in (0, 1, 3)], rng)
    assert_refused(tmp_path, "missing_slice", "1 of 4 slices is missing")


def test_slices_missing_at_regular_places_are_told_by_the_header(tmp_path, rng):
    write_series(tmp_path, places(8)[::2], rng, SpacingBetweenSlices=3, each=lambda n: {"number": 2 * n + 1})
    assert kinds(tmp_path) == ["missing_slice"]
    # The positions are true all the same.
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(6)


@pytest.mark.parametrize(("tags", "found"), [({}, ["missing_slice"]), ({"SpacingBetweenSlices": 6}, [])])
def test_every_second_slice_is_suspected_by_its_number(tmp_path, rng, tags, found):
    write_series(tmp_path, places(8)[::2], rng, each=lambda n: {"number": 2 * n + 1}, **tags)
    assert kinds(tmp_path) == found
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(6)


def test_a_gap_between_slices_that_a_vendor_writes_as_spacing_is_none(tmp_path, rng):
    write_series(tmp_path, places(6, step=4), rng, SliceThickness=3, SpacingBetweenSlices=1)
    assert kinds(tmp_path) == []


@pytest.mark.parametrize("steps", [(3, 3, 4, 3), (3, 3.3, 3, 3), (1, 2.5, 1, 1), (2, 2, 2, 2.2), (3, 4.6, 2, 5)])
def test_uneven_steps(tmp_path, rng, steps):
    along = np.concatenate([[0], np.cumsum(steps)])
    write_series(tmp_path, [(0, 0, float(z)) for z in along], rng)
    assert_refused(tmp_path, "uneven_spacing", "mm apart along their normal")


def test_rounding_is_not_uneven(tmp_path, rng):
    positions = [(0, 0, round(n * 0.625, 1)) for n in range(30)]
    write_series(tmp_path, positions, rng)
    assert kinds(tmp_path) == []
    assert read_series(tmp_path).geometry.spacing_mm[0] == pytest.approx(0.625, rel=0.01)


def test_slices_that_wander_sideways(tmp_path, rng):
    positions = [(5.0 * (n == 2), 0, 3.0 * n) for n in range(6)]
    write_series(tmp_path, positions, rng)
    assert_refused(tmp_path, "uneven_spacing", "straight line")


def test_a_doubled_slice(tmp_path, rng):
    write_series(tmp_path, [*places(5), places(5)[2]], rng)
    assert_refused(tmp_path, "duplicate_slice", "6 slices lie in 5 places")


def test_a_file_that_is_there_twice_does_no_harm(tmp_path, rng):
    pixels = write_series(tmp_path, places(5), rng, shuffle=False)
    shutil.copy(tmp_path / "IM0002.dcm", tmp_path / "copy of IM0002.dcm")
    assert kinds(tmp_path) == ["duplicate_slice"]
    np.testing.assert_array_equal(read_series(tmp_path).array, pixels)


@pytest.mark.parametrize("angle", [-20.0, 3.0, 14.0])
def test_a_gantry_tilt_is_kept_exactly(tmp_path, rng, angle):
    tilt = np.deg2rad(angle)
    orientation = (1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt)))
    positions = [(-50.0, -60.0, 10.0 + 5 * n) for n in range(5)]
    pixels = write_series(tmp_path, positions, rng, orientation=orientation, modality="CT", shuffle=False)
    series = choose_series(tmp_path)
    (finding,) = series.all_findings
    assert finding.kind == "gantry_tilt"
    assert f"{abs(angle):.3g} degrees" in finding.text
    assert f"{5 * np.cos(tilt):.4g} mm apart along their normal" in finding.text
    volume = read_series(tmp_path)
    assert volume.geometry.is_sheared
    np.testing.assert_allclose(volume.geometry.index_to_world([3, 0, 0]), [50, 60, 25], atol=1e-4)
    np.testing.assert_array_equal(volume.array, pixels)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (lambda n: {"DiffusionBValue": 800.0 * (n % 2)}, "b-value 0 .* b-value 800"),
        (lambda n: {"EchoTime": 10 + 80 * (n % 2)}, "echo 10 ms .* echo 90 ms"),
        (lambda n: {"TemporalPositionIdentifier": 1 + n % 2}, "time point 1 .* time point 2"),
        (lambda n: {"AcquisitionNumber": 1 + n % 2}, "acquisition 1 .* acquisition 2"),
        (lambda n: {"ImageType": ["ORIGINAL", "PRIMARY", "MP"[n % 2]]}, "image type m .* image type p"),
    ],
)
def test_several_stacks_in_one_series(tmp_path, rng, tags, words):
    pixels = write_series(tmp_path, [place for place in places(5) for _ in range(2)], rng, each=tags, shuffle=False)
    assert_refused(tmp_path, "mixed_series", f"2 stacks .*{words}")
    for channel in range(2):
        np.testing.assert_array_equal(read_series(tmp_path, channel=channel).array, pixels[channel::2])
    with pytest.raises(ReadError, match="no stack 2"):
        read_series(tmp_path, channel=2)


@pytest.mark.parametrize("private", [(0x0019, 0x100C, "IS", 800), (0x0043, 0x1039, "IS", [1000000800, 8, 0, 0])])
def test_b_values_of_vendors(tmp_path, rng, private):
    group, element, vr, value = private
    write_series(tmp_path, places(3) * 2, rng, shuffle=False)
    for path in sorted(tmp_path.iterdir())[3:]:
        ds = pydicom.dcmread(path)
        ds.add_new((group, element), vr, value)
        save(ds, path)
    assert_refused(tmp_path, "mixed_series", r"no b-value .* b-value 800")


def test_a_marked_localizer_is_left_out(tmp_path, rng):
    pixels = write_series(tmp_path, places(6), rng, shuffle=False)
    tags = {"orientation": SAGITTAL, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "number": 7}
    save(dataset(np.zeros((7, 5), np.uint16), (0, 0, 0), **tags), tmp_path / "pilot.dcm")
    assert kinds(tmp_path) == ["localizer"]
    np.testing.assert_array_equal(read_series(tmp_path).array, pixels)


def test_a_series_of_localizers_is_no_volume(tmp_path, rng):
    write_series(tmp_path, places(3), rng, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert_refused(tmp_path, "localizer", "planning")


def test_a_slice_that_lies_across(tmp_path, rng):
    write_series(tmp_path, places(6), rng)
    save(dataset(np.zeros((7, 5), np.uint16), (0, 0, 0), orientation=SAGITTAL, number=7), tmp_path / "pilot.dcm")
    assert_refused(tmp_path, "localizer", "1 of 7 slices lie across")
    assert "mixed_series" in kinds(tmp_path)


def test_two_orientations(tmp_path, rng):
    write_series(tmp_path, places(6), rng)
    write_series(tmp_path, places(6, SAGITTAL), rng, orientation=SAGITTAL, start=10)
    assert_refused(tmp_path, "mixed_series", "orientation 1 .* orientation 2")


def test_two_matrix_sizes(tmp_path, rng):
    write_series(tmp_path, places(6)[:3], rng)
    write_series(tmp_path, places(6)[3:], rng, start=10, shape=(8, 5))
    assert_refused(tmp_path, "mixed_series", "7 x 5 pixels .* 8 x 5 pixels")


def test_slices_turned_a_little_each_are_no_stack(tmp_path, rng):
    turned = [(1, 0, 0, 0, float(np.cos(a)), float(np.sin(a))) for a in np.deg2rad(range(6))]
    write_series(tmp_path, places(6), rng, each=lambda n: {"orientation": turned[n]})
    assert_refused(tmp_path, "mixed_series", "6 stacks")


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Modality": "RTSTRUCT"}, "RTSTRUCT"),
        ({"Modality": "SEG"}, "SEG"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"PixelSpacing": None}, "PixelSpacing is missing"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"Rows": 0}, "no image"),
    ],
)
def test_what_is_no_volume_is_said(tmp_path, rng, tags, words):
    write_series(tmp_path, places(3), rng, **tags)
    assert_refused(tmp_path, "not_a_volume", words)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"Rows": 60000, "Columns": 60000}, "ends early"),
        ({"PixelSpacing": [0, 1]}, "mm apart"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angles"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "right angles"),
        ({"ImagePositionPatient": [0, 0, 1e30]}, "no place in a scanner"),
        ({"ImagePositionPatient": [0, 0]}, "no list of numbers"),
    ],
)
def test_lying_headers(tmp_path, rng, tags, words):
    write_series(tmp_path, places(3), rng, **tags)
    assert_refused(tmp_path, "unreadable", words)


def test_a_cut_file_makes_its_series_unreadable(tmp_path, rng):
    write_series(tmp_path, places(5), rng)
    path = tmp_path / "IM0003.dcm"
    path.write_bytes(path.read_bytes()[:-10])
    assert_refused(tmp_path, "unreadable", r"1 of 5 slices are damaged .*ends early")


def test_a_file_cut_in_its_header_is_named(tmp_path, rng):
    write_series(tmp_path, places(5), rng)
    (tmp_path / "IM0003.dcm").write_bytes((tmp_path / "IM0003.dcm").read_bytes()[:150])
    (tmp_path / "empty.dcm").touch()
    found = find_series(tmp_path)
    assert ["IM0003.dcm" in str(e) or "empty.dcm" in str(e) for e in found.unreadable] == [True, True]


def test_frames_that_are_not_described(tmp_path, rng):
    ds = enhanced(rng.integers(0, 9, (4, 6, 6)).astype(np.uint16), places(4))
    ds.NumberOfFrames = 10**9
    save(ds, tmp_path / "a.dcm")
    with pytest.raises(ReadError, match="1000000000 frames and describes 4"):
        read_series(tmp_path)


def test_a_single_slice_of_unknown_thickness_says_so(tmp_path, rng):
    write_series(tmp_path, places(1), rng, SliceThickness=None)
    assert kinds(tmp_path) == ["not_a_volume"]
    assert "guess" in choose_series(tmp_path).all_findings[0].text
    assert choose_series(tmp_path).slices[0].row == AXIAL[:3]
