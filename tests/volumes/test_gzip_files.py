import gzip
import zlib

import nibabel as nib
import numpy as np
import pytest

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes import gzip_files
from napari_mmssl.volumes.gzip_files import unpack
from napari_mmssl.volumes.image_files import read_volume


@pytest.fixture(params=["isal", "zlib"], autouse=True)
def unpacker(request, monkeypatch):
    """Both ways to unpack, since not every machine has the fast one."""
    module = pytest.importorskip("isal.isal_zlib") if request.param == "isal" else zlib
    monkeypatch.setattr(gzip_files, "_zlib", module)


@pytest.fixture
def content() -> bytes:
    return np.random.default_rng(0).integers(0, 9, 70_000, dtype=np.uint8).tobytes()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
        lambda data: gzip.compress(data) + bytes(512),
        lambda data: gzip.compress(data + b"more behind the voxels"),
    ],
    ids=["one member", "two members", "zeros behind", "more content"],
)
def test_it_gives_the_bytes_that_were_packed(tmp_path, content, pack):
    path = tmp_path / "file.gz"
    path.write_bytes(pack(content))

    assert unpack(path, len(content)).tobytes() == content


@pytest.mark.parametrize("place", [-1, -5, 40, 20_000], ids=["length", "checksum", "start", "middle"])
def test_one_wrong_bit_is_found_wherever_it_is(tmp_path, content, place):
    packed = bytearray(gzip.compress(content))
    packed[place] ^= 4
    path = tmp_path / "file.gz"
    path.write_bytes(packed)

    with pytest.raises(ReadError, match=r"damaged|ends early|cut short"):
        unpack(path, len(content))


@pytest.mark.parametrize("kept", [0, 5, 200, -9, -4, -1])
def test_a_cut_file_is_refused(tmp_path, content, kept):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content)[:kept])

    with pytest.raises(ReadError, match=r"damaged|ends early|cut short"):
        unpack(path, len(content))


def test_rubbish_behind_the_last_member_is_refused(tmp_path, content):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content) + b"rubbish")

    with pytest.raises(ReadError, match="damaged"):
        unpack(path, len(content))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(bytes(80 << 20), 1))

    with pytest.raises(ReadError, match="goes on long after"):
        unpack(path, 1000)


def test_a_claim_that_no_packing_can_hold_takes_no_memory(tmp_path, content):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(content))

    with pytest.raises(ReadError, match="ends early"):
        unpack(path, 1 << 50)


@pytest.mark.parametrize(("slope", "inter"), [(1.0, 0.0), (0.37, -12.5)])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u1", ">f4", "<f8"])
def test_scaled_voxels_of_one_of_several_volumes_are_nibabels_bit_for_bit(tmp_path, rng, dtype, slope, inter):
    image = nib.Nifti1Image(rng.integers(0, 200, (5, 6, 7, 3)).astype(dtype), np.diag([2, 3, 4, 1]))
    image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(slope, inter)
    nib.save(image, tmp_path / "four.nii.gz")

    array = read_volume(tmp_path / "four.nii.gz", 1).array

    wanted = np.asanyarray(nib.load(tmp_path / "four.nii.gz").dataobj)[..., 1].T
    np.testing.assert_array_equal(array, wanted.astype(array.dtype))
    assert array.flags.writeable
    assert array.base is None or array.base.nbytes <= array.nbytes
