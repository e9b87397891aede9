"""DICOM-SEG: what is written lies where it was drawn, says what it is, and is read back, by us and by others."""

import zlib

import highdicom as hd
import numpy as np
import pydicom
import pytest
from made_dicom import AXIAL, NAME, PATIENT_ID, SAGITTAL, enhanced, oblique, places, save, write_series
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from napari_mmssl.errors import MmsslError, ReadError, WriteError
from napari_mmssl.volumes import dicom_files, dicom_segmentation_writing
from napari_mmssl.volumes.dicom_segmentation_writing import write_segmentation
from napari_mmssl.volumes.dicom_series import choose_series
from napari_mmssl.volumes.geometry import Geometry, lps_to_ras
from napari_mmssl.volumes.image_files import read_header, read_label_map, read_label_map_and_header
from napari_mmssl.volumes.reindex import reindexed
from napari_mmssl.volumes.volume import LabelClass, LabelMap

CLASSES = (
    LabelClass(1, "peripheral zone", "#56b4e9"),
    LabelClass(2, "oedema", "#d55e00"),
    LabelClass(4, "left kidney", "#123456"),
    LabelClass(9, "Ödem? 'x'", "#ffffff"),
)
TILT = (1, 0, 0, 0, 0.96, 0.28)


def stack_in(folder, kind, rng):
    if kind == "frames":
        pixels = rng.integers(0, 99, (6, 7, 5)).astype(np.uint16)
        order = rng.permutation(6)
        save(enhanced(pixels, [places(6)[n] for n in order]), folder / "a.dcm")
    elif kind == "tilt":
        write_series(folder, [(0, 0, 5.0 * n) for n in range(6)], rng, orientation=TILT)
    else:
        orientation = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": oblique(rng)}[kind]
        write_series(folder, places(6, orientation), rng, orientation=orientation)
    (stack,) = choose_series(folder).stacks
    return stack


def drawn_on(geometry, rng, values=(1, 2, 4)):
    """A label map whose first and last slices are empty."""
    array = rng.choice((0, 0, *values), geometry.shape).astype(np.uint8)
    array[[0, -1]] = 0
    return LabelMap(array, geometry, CLASSES)


def centroids_of(labels):
    return {
        int(value): labels.geometry.index_to_world(np.argwhere(labels.array == value)).mean(axis=0)
        for value in np.unique(labels.array[labels.array > 0])
    }


@pytest.fixture
def written(tmp_path, rng):
    stack = stack_in(tmp_path / "series", "oblique", rng)
    labels = drawn_on(stack.geometry, rng)
    write_segmentation(tmp_path / "seg.dcm", labels, stack)
    return tmp_path / "seg.dcm", labels, stack


@pytest.mark.parametrize("kind", ["axial", "sagittal", "oblique", "tilt", "frames"])
def test_voxels_values_names_colours_and_place_come_back(tmp_path, rng, kind):
    stack = stack_in(tmp_path / "series", kind, rng)
    labels = drawn_on(stack.geometry, rng)
    write_segmentation(tmp_path / "seg.dcm", labels, stack)
    back = read_label_map(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(back.array, labels.array)
    np.testing.assert_allclose(back.geometry.affine, labels.geometry.affine, atol=1e-5)
    assert back.classes == CLASSES
    header = read_header(tmp_path / "seg.dcm")
    assert header.classes == CLASSES
    assert header.geometry.shape == labels.geometry.shape


def test_highdicom_reads_the_same_segments_in_the_same_place(written):
    path, labels, _ = written
    volume = hd.seg.segread(path).get_volume(combine_segments=True, relabel=False)
    affine = lps_to_ras(volume.affine)
    ours = centroids_of(labels)
    for number, one in enumerate(CLASSES[:3], start=1):
        places_of = np.argwhere(volume.array == number) @ affine[:3, :3].T + affine[:3, 3]
        assert len(places_of) == (labels.array == one.value).sum()
        np.testing.assert_allclose(places_of.mean(axis=0), ours[one.value], atol=1e-4)


def test_frame_by_frame_each_voxel_lies_where_its_source_slice_says(written):
    """Decoded with nothing but the standard: position, orientation and spacing of each frame, and its bits."""
    path, labels, stack = written
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = shared.PixelMeasuresSequence[0].PixelSpacing
    sums, counts = {}, {}
    source_of = {tuple(np.round(one.position, 4)): one.sop_uid for one in stack.slices}
    for frame, mask in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        referenced = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert source_of[tuple(np.round(position, 4))] == referenced
        j, i = np.nonzero(mask)
        mm = position + np.outer(i, row * between_columns) + np.outer(j, column * between_rows)
        sums[number] = sums.get(number, 0) + (mm * (-1, -1, 1)).sum(axis=0)
        counts[number] = counts.get(number, 0) + len(i)
    for number, one in enumerate(CLASSES[:3], start=1):
        assert counts[number] == (labels.array == one.value).sum()
        np.testing.assert_allclose(sums[number] / counts[number], centroids_of(labels)[one.value], atol=1e-4)


def test_it_says_whose_it_is_and_what_its_segments_are(written):
    path, _, _ = written
    ds = pydicom.dcmread(path)
    assert (str(ds.PatientName), ds.PatientID, ds.Modality) == (NAME, PATIENT_ID, "SEG")
    assert ds.StudyInstanceUID == "1.2.3"
    assert ds.SeriesInstanceUID != "1.2.3.4"
    assert ds.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3.4"
    kinds = [item.SegmentedPropertyTypeCodeSequence[0] for item in ds.SegmentSequence]
    assert [(kind.CodeValue, kind.CodingSchemeDesignator) for kind in kinds[:3]] == [
        ("279706003", "SCT"),
        ("79654002", "SCT"),
        ("64033007", "SCT"),
    ]
    assert kinds[2].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert kinds[3].CodingSchemeDesignator.startswith("99")
    assert {item.SegmentAlgorithmType for item in ds.SegmentSequence} == {"SEMIAUTOMATIC"}


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({}, NAME),
        ({"SpecificCharacterSet": "ISO_IR 100"}, "Müller^Jürgen"),
        ({"SpecificCharacterSet": ["", "ISO 2022 IR 87"]}, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_of_classes_and_people_keep_their_letters(tmp_path, rng, tags, name):
    write_series(tmp_path / "series", places(3), rng, PatientName=name, **tags)
    (stack,) = choose_series(tmp_path / "series").stacks
    classes = (LabelClass(1, "肝臓", "#d55e00"), LabelClass(2, "a\\b", "#123456"), LabelClass(3, "x" * 80, "#ffffff"))
    labels = LabelMap(rng.integers(0, 4, stack.geometry.shape), stack.geometry, classes)
    notes = write_segmentation(tmp_path / "seg.dcm", labels, stack)
    assert pydicom.dcmread(tmp_path / "seg.dcm").PatientName == name
    assert [one.name for one in read_label_map(tmp_path / "seg.dcm").classes] == ["肝臓", "a/b", "x" * 64]
    assert any("cut to 64" in note for note in notes)


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientBirthDate": "removed", "StudyDate": "2020-01-01", "StudyTime": "noon", "PatientSex": "Male"},
        {"AccessionNumber": None, "PatientSex": None, "PatientID": None},
        {"FrameOfReferenceUID": "1.2.9", "SliceThickness": None},
        {"SOPInstanceUID": None, "SeriesInstanceUID": None, "StudyInstanceUID": None},
    ],
)
def test_headers_that_anonymising_spoiled_do_not_keep_a_segmentation_from_being_written(tmp_path, rng, tags):
    with pydicom.config.disable_value_validation():
        each = {key: value for key, value in tags.items() if value is not None}
        write_series(tmp_path / "series", places(3), rng, **each)
        for path in (tmp_path / "series").iterdir():
            ds = pydicom.dcmread(path)
            for key in tags.keys() - each:
                if key in ds:
                    del ds[key]
            ds.save_as(path)
    (stack,) = choose_series(tmp_path / "series").stacks
    labels = LabelMap(rng.integers(0, 2, stack.geometry.shape), stack.geometry)
    write_segmentation(tmp_path / "seg.dcm", labels, stack)
    np.testing.assert_array_equal(read_label_map(tmp_path / "seg.dcm").array, labels.array)
    assert hd.seg.segread(tmp_path / "seg.dcm").number_of_segments == 1


def test_frames_left_out_are_background_and_the_grid_is_found_again(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(dicom_segmentation_writing, "_MOST_BYTES", 0)
    stack = stack_in(tmp_path / "series", "oblique", rng)
    array = np.zeros(stack.geometry.shape, np.uint8)
    array[1, 2:4, 1:3], array[4, 1, 1] = 1, 4
    labels = LabelMap(array, stack.geometry, CLASSES)
    notes = write_segmentation(tmp_path / "seg.dcm", labels, stack)
    assert any("left out" in note for note in notes)
    part = read_label_map(tmp_path / "seg.dcm")
    assert part.geometry.shape == (4, 7, 5)
    np.testing.assert_array_equal(part.array, array[1:5])
    whole = reindexed(part, stack.geometry)
    np.testing.assert_array_equal(whole.array, array)
    for value, place in centroids_of(labels).items():
        np.testing.assert_allclose(centroids_of(part)[value], place, atol=1e-4)


def test_flipped_and_swapped_axes_are_turned_back(tmp_path, rng):
    stack = stack_in(tmp_path / "series", "oblique", rng)
    labels = drawn_on(stack.geometry, rng)
    turn = np.zeros((4, 4))
    turn[2, 0], turn[0, 1], turn[1, 2], turn[3, 3] = 1, -1, 1, 1
    turn[0, 3] = labels.array.shape[0] - 1
    array = labels.array[::-1].transpose(2, 0, 1)
    turned = LabelMap(array, Geometry(array.shape, labels.geometry.affine @ turn), CLASSES)
    for value, place in centroids_of(labels).items():
        np.testing.assert_allclose(centroids_of(turned)[value], place, atol=1e-6)
    write_segmentation(tmp_path / "seg.dcm", turned, stack)
    np.testing.assert_array_equal(read_label_map(tmp_path / "seg.dcm").array, labels.array)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda array, grid: (array[:, :-1], Geometry((6, 6, 5), grid.affine), ()), None),
        (
            lambda array, grid: (array, Geometry(grid.shape, grid.affine + np.eye(4)[:, [3, 3, 3, 0]] * 0.7), ()),
            "corner",
        ),
        (lambda array, grid: (array[:, :, :4], Geometry((6, 7, 4), grid.affine * (2, 1, 1, 1)), ()), "6 x 7 x 4"),
        (lambda array, grid: (array.astype(np.int16) - 3, grid, ()), "holds -3"),
        (lambda array, grid: (np.arange(210).reshape(6, 7, 5) * 2 + 90000, grid, ()), "90418"),
        (lambda array, grid: (np.zeros_like(array), grid, ()), "empty"),
    ],
)
def test_what_is_no_label_map_of_the_series_is_refused_in_a_sentence(tmp_path, rng, spoil, words):
    stack = stack_in(tmp_path / "series", "axial", rng)
    labels = LabelMap(*spoil(drawn_on(stack.geometry, rng).array, stack.geometry))
    target = tmp_path / "seg.dcm"
    if words is None:
        # One row less is a part of the series, and fits.
        write_segmentation(target, labels, stack)
        assert read_label_map(target).array.shape == (6, 7, 5)
        return
    with pytest.raises(WriteError, match=words) as refused:
        write_segmentation(target, labels, stack)
    assert NAME not in str(refused.value)
    assert not list(tmp_path.glob("*.dcm"))


def sources(folder):
    return [pydicom.dcmread(one.path) for one in choose_series(folder).stacks[0].slices]


def other_segmentation(folder, array, kind):
    """As another program writes one: no values of ours in it, no colours."""
    every = sources(folder)
    for ds in every:
        ds.FrameOfReferenceUID, ds.AccessionNumber, ds.StudyID = "1.2.9", "", ""
        ds.PatientBirthDate, ds.PatientSex, ds.StudyDate, ds.StudyTime = "", "", None, None
    n = array.shape[-1] if array.ndim == 4 else int(array.max())
    described = [
        hd.seg.SegmentDescription(k, f"part {k}", codes.SCT.Organ, codes.SCT.Liver, "MANUAL") for k in range(1, n + 1)
    ]
    seg = hd.seg.Segmentation(every, array, kind, described, hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1")
    seg.save_as(folder.parent / "other.dcm")
    return folder.parent / "other.dcm"


def test_overlapping_segments_are_named_and_can_be_had_one_by_one(tmp_path, rng):
    stack = stack_in(tmp_path / "series", "axial", rng)
    masks = rng.random((*stack.geometry.shape, 2)) > 0.4
    path = other_segmentation(tmp_path / "series", masks.astype(np.uint8), "BINARY")
    with pytest.raises(ReadError, match="'part 1' and 'part 2' overlap"):
        read_label_map(path)
    for n in range(2):
        np.testing.assert_array_equal(read_label_map(path, n).array, masks[..., n] * (n + 1))
    with pytest.raises(ReadError, match="no segment 2"):
        read_label_map(path, 2)


def test_fractional_segments_are_cut_at_one_half_and_that_is_said(tmp_path, rng):
    stack = stack_in(tmp_path / "series", "axial", rng)
    shares = rng.dirichlet((1, 1, 1), stack.geometry.shape)[..., :2].astype(np.float32)
    path = other_segmentation(tmp_path / "series", shares, "FRACTIONAL")
    labels, header = read_label_map_and_header(path)
    # Stored in 255 steps: what lies within one of them of a half may fall either way.
    clear = np.abs(shares - 0.5).min(axis=-1) > 0.01
    wanted = np.where(shares.max(axis=-1) > 0.5, shares.argmax(axis=-1) + 1, 0)
    np.testing.assert_array_equal(labels.array[clear], wanted[clear])
    assert "one half" in header.notes[0]


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless])
def test_label_map_segmentations_are_read_packed_or_not(tmp_path, rng, syntax):
    stack = stack_in(tmp_path / "series", "axial", rng)
    array = rng.integers(0, 4, stack.geometry.shape).astype(np.uint8)
    path = other_segmentation(tmp_path / "series", array, "LABELMAP")
    if syntax is not None:
        ds = pydicom.dcmread(path)
        # GDCM's encoder ends the process.
        ds.compress(syntax, encoding_plugin="pydicom" if syntax == RLELossless else "pyjpegls")
        ds.save_as(path)
    labels = read_label_map(path)
    np.testing.assert_array_equal(labels.array, array)
    assert [one.name for one in labels.classes] == ["part 1", "part 2", "part 3"]


def test_a_folder_that_holds_one_segmentation_stands_for_it(tmp_path, written):
    path, labels, _ = written
    (tmp_path / "export").mkdir()
    path.rename(tmp_path / "export" / "1-1.dcm")
    np.testing.assert_array_equal(read_label_map(tmp_path / "export").array, labels.array)


def test_damaged_segmentations_are_refused_or_read_never_worse(written, rng):
    path, _, _ = written
    whole = path.read_bytes()
    for n in (*range(140, len(whole), 797), *rng.integers(132, len(whole), 30)):
        path.write_bytes(whole[:n])
        outcome(path)
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 8)):
            damaged[rng.integers(132, len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        outcome(path)


def outcome(path):
    said = ""
    try:
        read_label_map(path)
    except MmsslError as error:
        said = str(error)
    assert NAME[:6] not in said
    assert "\n" not in said


def test_frames_far_apart_do_not_fill_the_memory(written):
    path, _, _ = written
    ds = pydicom.dcmread(path)
    ds.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0].ImagePositionPatient = [9e5, 9e5, 9e5]
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 0.002
    ds.save_as(path)
    with pytest.raises(ReadError):
        read_label_map(path)


def test_segmentations_packed_as_a_whole_are_read_and_bombs_are_not(written, monkeypatch):
    monkeypatch.setattr(dicom_files, "_MOST_UNPACKED_BYTES", 1 << 20)
    path, labels, _ = written
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    np.testing.assert_array_equal(read_label_map(path).array, labels.array)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    path.write_bytes(whole[:start] + packer.compress(bytes(1 << 21)) + packer.flush())
    with pytest.raises(ReadError, match="unpacks to more than a scan"):
        read_label_map(path)
    path.write_bytes(whole[:-40])
    outcome(path)
