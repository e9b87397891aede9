"""Headers that lie about spacing or length, and would be believed by a plain reader."""

import gzip
import os

import nibabel as nib
import numpy as np
import pytest

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes import file_length
from napari_mmssl.volumes.image_files import read_header, read_volume


def test_a_packed_nrrd_that_goes_on_long_after_its_voxels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(file_length, "MOST_TRAILING_BYTES", 1 << 18)
    head = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: gzip\n\n"
    (tmp_path / "bomb.nrrd").write_bytes(head + gzip.compress(bytes(1 << 20)))
    with pytest.raises(ReadError, match="goes on long after the last voxel"):
        read_volume(tmp_path / "bomb.nrrd")


@pytest.mark.parametrize("qform_code", [0, 1])
def test_a_nifti_spacing_of_zero_is_refused_unless_an_affine_stands_beside_it(tmp_path, qform_code):
    """nibabel calls it 1 mm: a plausible wrong spacing."""
    image = nib.Nifti1Image(np.ones((4, 5, 6), np.float32), np.diag([2, 2, 2, 1]))
    image.header["pixdim"][1] = 0
    image.header["sform_code"], image.header["qform_code"] = 0, qform_code
    (tmp_path / "bare.nii").write_bytes(image.header.binaryblock + bytes(4) + np.ones(120, np.float32).tobytes())
    with pytest.raises(ReadError, match="0 mm apart along an axis"):
        read_header(tmp_path / "bare.nii")
    image.header["sform_code"] = 1
    (tmp_path / "placed.nii").write_bytes(image.header.binaryblock + bytes(4) + np.ones(120, np.float32).tobytes())
    assert read_header(tmp_path / "placed.nii").geometry.spacing_mm == pytest.approx((2, 2, 2))


def test_a_volume_larger_than_the_free_memory_is_refused_before_it_is_taken(tmp_path):
    """A sparse file is as long as its header says, and takes no room on the disk."""
    header = nib.Nifti1Header()
    header.set_data_shape((20000, 20000, 20000))
    header.set_data_dtype(np.uint8)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header.set_sform(np.eye(4), code=1)
    path = tmp_path / "v.nii"
    path.write_bytes(header.binaryblock + bytes(4))
    try:
        os.truncate(path, 352 + 20000**3)
    except OSError:
        pytest.skip("this disk holds no file of 8 TB")
    assert read_header(path).geometry.shape == (20000, 20000, 20000)
    with pytest.raises(ReadError, match=r"7450\.6 GiB of memory"):
        read_volume(path)


def test_numbers_that_no_float32_holds_are_refused_and_not_infinite(tmp_path):
    array = np.ones((3, 3, 3))
    nib.save(nib.Nifti1Image(array * 1e300, np.eye(4)), tmp_path / "v.nii")
    with pytest.raises(ReadError, match=r"beyond 3\.4e38"):
        read_volume(tmp_path / "v.nii")
    array[0, 0, 0] = np.inf
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "inf.nii")
    assert np.isinf(read_volume(tmp_path / "inf.nii").array[0, 0, 0])


@pytest.mark.parametrize(("shift_mm", "doubted"), [(0.0, False), (0.5, False), (40.0, True)])
def test_a_qform_elsewhere_than_the_sform_is_told(tmp_path, shift_mm, doubted):
    """Programs choose between the two; all real scans at hand have both in one place."""
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), affine)
    image.set_sform(affine, code=2)
    affine[0, 3] = shift_mm
    image.set_qform(affine, code=1)
    nib.save(image, tmp_path / "v.nii")

    header = read_header(tmp_path / "v.nii")

    assert header.geometry.affine[0, 3] == 0
    assert ("up to 40 mm from where its sform" in header.doubt) == doubted
    assert bool(header.doubt) == doubted


def test_one_slice_too_few_in_the_header_is_not_cut_off(tmp_path):
    """The columns may as well be what is wrong, and then every voxel lies elsewhere."""
    sizes = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 %d\nElementType = MET_UCHAR\nElementDataFile = %s\n"
    voxels = bytes(range(64))
    (tmp_path / "v.mha").write_bytes((sizes % (3, "LOCAL")).encode() + voxels)
    with pytest.raises(ReadError, match="more voxels than its header announces: 64 bytes in place of 48"):
        read_header(tmp_path / "v.mha")
    (tmp_path / "v.nrrd").write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 3\nencoding: raw\n\n" + voxels)
    with pytest.raises(ReadError, match="more voxels than its header announces"):
        read_volume(tmp_path / "v.nrrd")
    # A header beside a raw file may describe a part of it.
    (tmp_path / "v.raw").write_bytes(voxels)
    (tmp_path / "v.mhd").write_text(sizes % (3, "v.raw"))
    assert read_volume(tmp_path / "v.mhd").array.max() == 47


def test_what_a_library_says_of_a_damaged_header_is_not_all_that_is_said(tmp_path):
    (tmp_path / "v.mha").write_text("NDims = 3\nDimSize = ten 4 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n")
    with pytest.raises(ReadError, match="it is damaged, or not what it says it is"):
        read_header(tmp_path / "v.mha")


def test_what_is_left_of_a_cut_packed_file_is_counted(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 255, (20, 20, 20)).astype(np.uint8), np.eye(4))
    nib.save(image, tmp_path / "v.nii.gz")
    packed = (tmp_path / "v.nii.gz").read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ReadError, match=r"with (3|4)\d{3} of the 8352 bytes"):
        read_header(tmp_path / "v.nii.gz")
