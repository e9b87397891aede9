"""Made-up cohorts of a few tiny people, for tests that train."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

MODALITIES = ("t1", "flair")


def write_small_cohort(
    folder: Path, cases: int = 6, shape: tuple[int, int, int] = (22, 24, 20), modalities: tuple[str, ...] = MODALITIES
) -> Path:
    """Write ``sub-01/{t1,flair,seg}.nii.gz`` ...: a smooth ellipsoid of tissue with a bright ball in it.

    ``shape`` is in file order ``(x, y, z)``; spacing 2 mm, orientation LPS, a bright side that tells places apart. The
    texture is strong enough for no two people to be taken for one.
    """
    for number in range(1, cases + 1):
        rng = np.random.default_rng(number)
        x, y, z = np.indices(shape) - (np.array(shape) / 2)[:, None, None, None]
        radius = np.array(shape) * 0.45
        body = (x / radius[0]) ** 2 + (y / radius[1]) ** 2 + (z / radius[2]) ** 2 < 1
        texture = ndimage.gaussian_filter(rng.normal(size=shape), 2) * 3
        centre = rng.uniform(-3, 3, 3)
        ball = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < 16) & body
        affine = np.diag([-2.0, -2.0, 2.0, 1.0])
        affine[:3, 3] = (20, 25, -15)
        case = folder / f"sub-{number:02d}"
        case.mkdir(parents=True)
        for index, name in enumerate(modalities):
            values = (100 + 4 * x + 3 * y - 5 * z) * (-1) ** index + 300 + 120 * texture + 150 * ball
            values += rng.normal(size=shape) * 5
            nib.save(nib.Nifti1Image(np.where(body, values, 0).astype(np.float32), affine), case / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(ball.astype(np.uint8), affine), case / "seg.nii.gz")
    return folder
