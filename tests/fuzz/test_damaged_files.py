"""Damaged image files: whatever is done to a file, one sentence that names it comes out, soon, in little memory."""

import gzip
import logging
import shutil
import struct
import time
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_mmssl.errors import MmsslError, ReadError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import SUFFIXES, read_header, read_label_map, read_volume, write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap

ARRAY = np.random.default_rng(7).integers(-99, 99, (4, 5, 6)).astype(np.int16)
#: Each name with the file that holds its voxels.
SEEDS = {
    "plain.nii": "plain.nii",
    "packed.nii.gz": "packed.nii.gz",
    "second.nii": "second.nii",
    "pair.hdr": "pair.img",
    "raw.nrrd": "raw.nrrd",
    "packed.nrrd": "packed.nrrd",
    "segments.nrrd": "segments.nrrd",
    "raw.nhdr": "raw.raw",
    "packed.nhdr": "packed.raw.gz",
    "raw.mha": "raw.mha",
    "packed.mha": "packed.mha",
    "raw.mhd": "raw.raw",
    "packed.mhd": "packed.zraw",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    nib.save(nib.Nifti1Image(ARRAY.T, np.eye(4)), folder / "plain.nii")
    nib.save(nib.Nifti1Image(ARRAY.T, np.eye(4)), folder / "packed.nii.gz")
    nib.save(nib.Nifti2Image(ARRAY.T, np.eye(4)), folder / "second.nii")
    nib.save(nib.Nifti1Pair(ARRAY.T, np.eye(4)), folder / "pair.hdr")
    classes = (LabelClass(1, "core", "#d55e00"), LabelClass(9, "Ödem", "#123456"))
    write_label_map(folder / "segments.nrrd", LabelMap(ARRAY, Geometry(ARRAY.shape, np.eye(4)), classes))
    image = sitk.GetImageFromArray(ARRAY)
    for suffix in ("nrrd", "nhdr", "mha", "mhd"):
        sitk.WriteImage(image, str(folder / f"raw.{suffix}"), useCompression=False)
        sitk.WriteImage(image, str(folder / f"packed.{suffix}"), useCompression=True)
    return folder


@pytest.fixture
def copies(sound, tmp_path):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    return tmp_path


def outcome(path: Path) -> np.ndarray | None:
    """Read ``path`` in every way; return its voxels, or ``None`` if it was refused as it should be."""
    array, messages = None, []
    begin = time.perf_counter()
    for read in (read_header, read_label_map, read_volume, lambda file: read_volume(file, 0)):
        try:
            result = read(path)
            array = getattr(result, "array", array)
        except MmsslError as error:
            array = None
            messages.append(str(error))
    assert all(path.name in text and "\n" not in text and len(text) < 500 for text in messages)
    assert time.perf_counter() - begin < 5
    return array


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_sound(copies, name):
    np.testing.assert_array_equal(outcome(copies / name), ARRAY)


@pytest.mark.parametrize(("name", "data"), SEEDS.items())
def test_cut_anywhere_nothing_but_the_truth_is_read(copies, name, data):
    whole = (copies / data).read_bytes()
    lengths = {*range(0, len(whole), 7), *range(max(len(whole) - 20, 0), len(whole)), 1, 2, 3, 347, 348, 351, 352}
    for length in sorted(n for n in lengths if n < len(whole)):
        (copies / data).write_bytes(whole[:length])
        array = outcome(copies / name)
        assert array is None or np.array_equal(array, ARRAY), length


@pytest.mark.parametrize("name", [name for name in SEEDS if name.startswith("packed")])
def test_one_wrong_byte_in_packed_voxels_is_noticed(copies, name):
    data = copies / SEEDS[name]
    whole = data.read_bytes()
    start = len(whole) - 200
    for position in range(start, len(whole) - 8, 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        data.write_bytes(damaged)
        assert outcome(copies / name) is None, position


@pytest.mark.parametrize("name", SEEDS)
def test_flipped_bytes_never_escape_as_a_foreign_error(copies, name, rng):
    path = copies / name
    whole = path.read_bytes()
    n_header = min(len(whole), 450)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            position = rng.integers(n_header if rng.random() < 0.8 else len(whole))
            damaged[position] = rng.choice([*b"0123456789-.en \n", 0, 127, 128, 255])
        path.write_bytes(damaged)
        outcome(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_noise_and_nothing_are_refused(tmp_path, suffix, rng):
    path = tmp_path / f"v{suffix}"
    for content in (b"", b"\0" * 400, rng.bytes(1000), b"NRRD0004\n", gzip.compress(rng.bytes(1000)), b"\x1f\x8b"):
        path.write_bytes(content)
        assert outcome(path) is None


def nifti_with(path: Path, offset: int, form: str, *values: float) -> None:
    """Overwrite fields of a NIfTI-1 header, packed or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        content = bytearray(file.read())
    struct.pack_into(form, content, offset, *values)
    with opened(path, "wb") as file:
        file.write(content)


#: Offsets in the NIfTI-1 header: dim 40, datatype 70, pixdim 76, vox_offset 108, qform_code 252, srow_x 280.
LIES = {
    "huge sizes": (40, "<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1),
    "a little more than there is": (40, "<8h", 3, 6, 5, 5, 1, 1, 1, 1),
    "no voxels": (40, "<8h", 3, 6, 0, 4, 1, 1, 1, 1),
    "negative size": (40, "<8h", 3, 6, -5, 4, 1, 1, 1, 1),
    "no axes": (40, "<8h", 0, 6, 5, 4, 1, 1, 1, 1),
    "nine axes": (40, "<8h", 9, 6, 5, 4, 1, 1, 1, 1),
    "unknown type": (70, "<h", 12345),
    "complex voxels": (70, "<2h", 32, 64),
    "colour voxels": (70, "<2h", 128, 24),
    "voxels far behind": (108, "<f", 1e9),
    "voxels before the file": (108, "<f", -1000.0),
    "voxels nowhere": (108, "<f", float("nan")),
    "affine with NaN": (280, "<4f", float("nan"), 0, 0, 0),
    "singular affine": (280, "<4f", 0, 0, 0, 0),
}


@pytest.mark.parametrize("name", ["plain.nii", "packed.nii.gz"])
@pytest.mark.parametrize("lie", LIES)
def test_a_lying_nifti_header_is_refused_without_taking_memory(copies, name, lie):
    nifti_with(copies / name, *LIES[lie])
    assert_refused_in_little_memory(copies / name)


@pytest.mark.parametrize(
    "name", ["raw.nrrd", "packed.nrrd", "raw.nhdr", "packed.nhdr", "raw.mha", "packed.mha", "packed.mhd"]
)
@pytest.mark.parametrize(
    "sizes",
    [b"65535 65535 65535", b"600 500 400", b"6 5 5", b"6 0 4", b"6 -5 4", b"6 5", b"9999999999999999999 5 4", b"6 x 4"],
)
def test_lying_text_headers_are_refused_without_taking_memory(copies, name, sizes):
    content = (copies / name).read_bytes()
    for field in (b"sizes: ", b"DimSize = "):
        content = content.replace(field + b"6 5 4", field + sizes)
    (copies / name).write_bytes(content)
    assert_refused_in_little_memory(copies / name)


def assert_refused_in_little_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        assert outcome(path) is None
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_a_small_file_that_unpacks_to_far_more_than_its_header_says_is_refused_in_little_memory(copies):
    bomb = gzip.compress(bytes(200_000_000))
    (copies / "packed.nii.gz").write_bytes(gzip.compress((copies / "plain.nii").read_bytes()) + bomb)

    assert_refused_in_little_memory(copies / "packed.nii.gz")


@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_a_flipped_byte_inside_a_packed_file_is_refused_not_read_as_noise(copies, place):
    content = bytearray((copies / "packed.nii.gz").read_bytes())
    content[int(len(content) * place)] ^= 0xFF
    (copies / "packed.nii.gz").write_bytes(bytes(content))

    assert outcome(copies / "packed.nii.gz") is None


def test_a_cut_packed_file_is_found_by_its_header_alone(copies):
    path = copies / "packed.nii.gz"
    voxels = np.random.default_rng(1).integers(0, 999, (20, 20, 20)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ReadError, match="ends early"):
        read_header(path)


def test_a_file_in_several_gzip_members_is_whole(copies):
    content = (copies / "plain.nii").read_bytes()
    (copies / "packed.nii.gz").write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    np.testing.assert_array_equal(outcome(copies / "packed.nii.gz"), ARRAY)


def test_voxels_that_lie_in_a_file_that_is_gone(copies):
    (copies / "packed.zraw").unlink()
    with pytest.raises(ReadError, match=r"packed\.zraw.*no such file"):
        read_header(copies / "packed.mhd")


def test_a_folder_called_like_an_image(tmp_path):
    for suffix in SUFFIXES:
        (tmp_path / f"v{suffix}").mkdir()
        assert outcome(tmp_path / f"v{suffix}") is None


def test_nibabel_stays_silent_here_and_speaks_elsewhere(copies):
    # Edges of voxels are positive: nibabel mends others and says so.
    nifti_with(copies / "plain.nii", 80, "<f", -1.0)
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    logger = nib.imageglobals.logger
    logger.addHandler(handler)
    try:
        read_volume(copies / "plain.nii")
        assert said == []
        nib.load(copies / "plain.nii")
        assert "pixdim" in said[0].getMessage()
    finally:
        logger.removeHandler(handler)
