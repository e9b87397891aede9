"""Headers that lie about spacing or length, and would be believed by a plain reader."""

import gzip

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
