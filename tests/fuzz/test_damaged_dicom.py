"""Damaged DICOM files: whatever is done to one, our own errors come out, soon, and the process lives."""

import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from made_dicom import AXIAL, NAME, PATIENT_ID, dataset, enhanced, places, save, write_series
from pydicom.uid import RLELossless

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import MmsslError
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.image_files import read_header

PIXELS = (np.add.outer(np.arange(16), np.arange(12)) * 20).astype(np.int16)


def packed(path: Path, compressor: str) -> Path:
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(PIXELS[None]))
    ds = pydicom.dcmread(path)
    ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing = [0, 0, 0], list(AXIAL), [1, 1]
    ds.PatientName, ds.PatientID = NAME, PATIENT_ID
    return save(ds, path)


@pytest.fixture
def seed(request, tmp_path):
    path = tmp_path / "seed.dcm"
    if request.param == "plain":
        save(dataset(PIXELS, (0, 0, 0), slope=1, intercept=0), path)
    elif request.param == "frames":
        save(enhanced(np.stack([PIXELS] * 3), places(3)), path)
    elif request.param == "RLE":
        ds = dataset(PIXELS, (0, 0, 0))
        ds.compress(RLELossless)
        save(ds, path)
    else:
        packed(path, request.param)
    return path.read_bytes()


def outcome(path: Path) -> np.ndarray | None:
    """Read ``path`` in every way; return its voxels, or ``None`` if it was refused as it should be."""
    array, messages = None, []
    begin = time.perf_counter()
    for read in (read_header, find_cohort, read_series):
        try:
            array = getattr(read(path), "array", None)
        except MmsslError as error:
            array = None
            messages.append(str(error))
    for text in messages:
        assert "\n" not in text
        assert len(text) < 600
        assert NAME[:6] not in text
        assert PATIENT_ID[:6] not in text
    assert time.perf_counter() - begin < 20
    return array


@pytest.mark.parametrize("seed", ["plain", "frames", "RLE"], indirect=True)
def test_cut_anywhere_nothing_but_the_truth_is_read(tmp_path, seed):
    path = tmp_path / "cut.dcm"
    for length in (*range(0, len(seed), 13), *range(len(seed) - 30, len(seed))):
        path.write_bytes(seed[:length])
        array = outcome(path)
        assert array is None or all(np.array_equal(plane, PIXELS) for plane in array), length


@pytest.mark.parametrize(
    ("seed", "n"), [("plain", 300), ("frames", 300), ("RLE", 150), ("JPEG2000", 25), ("JPEG", 12)], indirect=["seed"]
)
def test_flipped_bytes_never_escape_as_a_foreign_error(tmp_path, seed, n, rng):
    path = tmp_path / "flipped.dcm"
    for _ in range(n):
        damaged = bytearray(seed)
        for _ in range(rng.integers(1, 8)):
            damaged[rng.integers(132, len(seed))] = rng.integers(256)
        path.write_bytes(damaged)
        outcome(path)


@pytest.mark.parametrize("seed", ["JPEG"], indirect=True)
def test_a_decoder_that_ends_its_process_costs_a_sentence(tmp_path, seed):
    """GDCM 3.2.6 ends its process on both: a height that is not there, and pixels sampled 0 x 0."""
    path = tmp_path / "a.dcm"
    start = seed.index(b"\xff\xd8\xff")
    for offset, value in ((6, 255), (16, 0)):
        damaged = bytearray(seed)
        damaged[start + offset] = value
        path.write_bytes(damaged)
        with pytest.raises(MmsslError, match="damaged or cut short"):
            read_series(path)


def test_noise_in_a_folder_of_slices(tmp_path, rng):
    write_series(tmp_path, places(5), rng)
    for name, content in {
        "noise.dcm": rng.bytes(3000),
        "zeros.dcm": b"\0" * 3000,
        "empty.dcm": b"",
        "preamble": b"\0" * 128 + b"DICM",
        "deep": b"\0" * 128 + b"DICM" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000,
        "noise": rng.bytes(3000),
    }.items():
        (tmp_path / name).write_bytes(content)
    (case,) = find_cohort(tmp_path).cases
    assert [finding.kind for finding in case.findings if finding.kind == "unreadable"] == ["unreadable"]
    assert read_series(tmp_path).array.shape == (5, 7, 5)


def test_a_packed_file_cannot_ask_for_any_amount_of_memory(tmp_path):
    ds = dataset(PIXELS, (0, 0, 0))
    ds.compress(RLELossless)
    ds.Rows = ds.Columns = 65535
    save(ds, tmp_path / "a.dcm")
    begin = time.perf_counter()
    assert outcome(tmp_path / "a.dcm") is None
    assert time.perf_counter() - begin < 5
