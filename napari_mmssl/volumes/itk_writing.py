"""Write MetaImage files, through SimpleITK."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.geometry import Geometry, lps_to_ras, to_nifti


def write_array(path: Path, array: np.ndarray, geometry: Geometry, description: str) -> None:
    """Write ``array`` ``(z, y, x)``, or several volumes ``(n, z, y, x)``; ``meta_files`` reads it back.

    Raises
    ------
    WriteError
        If the grid is sheared, which this format cannot hold, or SimpleITK cannot write.
    """
    if geometry.is_sheared:
        raise WriteError("its grid is sheared; only NIfTI can store that, name it .nii.gz")
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    image = sitk.GetImageFromArray(array, isVector=False)
    affine = lps_to_ras(to_nifti(geometry.affine))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = np.eye(array.ndim)
    direction[:3, :3] = affine[:3, :3] / spacing
    beyond = array.ndim - 3
    image.SetSpacing([*spacing.tolist(), *[1.0] * beyond])
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin([*affine[:3, 3].tolist(), *[0.0] * beyond])
    if description:
        image.SetMetaData("description", " ".join(description.split()))
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise WriteError(str(error).strip().splitlines()[-1]) from error
