"""Real and odd files, read as nibabel and SimpleITK read them."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import from_nifti
from napari_mmssl.volumes.image_files import read_header, read_volume

NIFTI = [
    "odd_files/niivue/FLAIR.nii.gz",
    "odd_files/niivue/ras.hdr",
    "odd_files/itksnap/t2_chunk.nii.gz",
    "odd_files/panimg/nifti/image10x11x12.nii",
    "stroke_dwi_adc/sub-strokecase0001/adc.nii.gz",
    "cord_multicontrast/t2s.nii.gz",
    "atlas_mni152_spm12/t1.nii.gz",
    *(f"odd_files/orientations/{name}.nii.gz" for name in ("AIL", "IRP", "LAS", "LPS", "PSR", "RAS", "RPI", "SAL")),
]
ITK = [
    "odd_files/niivue/FLAIR.nrrd",
    "odd_files/niivue/mha.mha",
    "odd_files/panimg/image10x10x10.mha",
    "odd_files/panimg/image10x10x10.mhd",
    "odd_files/panimg/image10x10x10-extra-stuff.mhd",
    "odd_files/panimg/nrrd/image10x11x12.nhdr",
    "odd_files/panimg/nrrd/image10x11x12.nrrd",
    "odd_files/panimg/nrrd/image10x11x12_compressed.nhdr",
    "odd_files/panimg/nrrd/image10x11x12_compressed.nrrd",
    "prostate_t2_adc_hbv/ProstateX-0001/adc.mha",
    "prostate_t2_adc_hbv/ProstateX-0001/t2w.mha",
]


@pytest.mark.parametrize("path", NIFTI)
def test_nifti_as_nibabel_reads_it(shared_data, path):
    image = nib.load(shared_data / path)
    volume = read_volume(shared_data / path)
    np.testing.assert_allclose(volume.geometry.affine, from_nifti(image.affine), rtol=1e-12)
    np.testing.assert_allclose(volume.array, image.get_fdata().T, rtol=1e-6)


@pytest.mark.parametrize("path", ITK)
def test_nrrd_and_metaimage_as_simpleitk_reads_them(shared_data, path):
    image = sitk.ReadImage(str(shared_data / path))
    volume = read_volume(shared_data / path)
    np.testing.assert_allclose(volume.array, sitk.GetArrayFromImage(image), rtol=1e-6)
    for z, y, x in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), np.array(volume.geometry.shape) - 1]:
        r, a, s = volume.geometry.index_to_world([z, y, x])
        theirs = image.TransformIndexToPhysicalPoint((int(x), int(y), int(z)))
        assert theirs == pytest.approx((-r, -a, s), abs=1e-6)


@pytest.mark.parametrize("name", ["AIL", "IRP", "LAS", "LPS", "PSR", "RPI", "SAL"])
def test_one_brain_in_eight_orientations_lies_in_one_place(shared_data, name):
    reference = read_volume(shared_data / "odd_files/orientations/RAS.nii.gz")
    turned = read_volume(shared_data / f"odd_files/orientations/{name}.nii.gz")
    # Where the brightness lies in the world, told to a tenth of a voxel.
    np.testing.assert_allclose(centre_of_brightness(turned), centre_of_brightness(reference), atol=0.3)


def centre_of_brightness(volume):
    weights = volume.array.astype(float).ravel()
    places = volume.geometry.index_to_world(np.indices(volume.geometry.shape).reshape(3, -1).T)
    return (places * weights[:, None]).sum(axis=0) / weights.sum()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("odd_files/niivue/complex.nii.gz", "complex"),
        ("odd_files/itksnap/multi_chunk.nii.gz", "64 x 52 x 39 x 1 x 2"),
        ("odd_files/panimg/image3x4.mhd", "3 values per voxel"),
        ("odd_files/panimg/nrrd/image10x11x12_unsupported_version.nrrd", "version 1 to 5"),
    ],
)
def test_what_is_no_volume_is_refused(shared_data, path, wanted):
    with pytest.raises(ReadError, match=wanted):
        read_header(shared_data / path)


def test_a_real_4d_file_has_channels(shared_data):
    path = shared_data / "odd_files/niivue/pcasl.nii.gz"
    assert read_header(path).channels == 10
    expected = nib.load(path).get_fdata()[..., 7].T
    np.testing.assert_allclose(read_volume(path, channel=7).array, expected, rtol=1e-6)
