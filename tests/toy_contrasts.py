"""A made-up cohort of simple anatomies in two contrasts that no curve of brightness leads from one to the other."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

#: Brightness of rim, bulk, hollow and lumps in either contrast.
CONTRASTS = {"t1": (40.0, 100.0, 15.0, 70.0), "t2": (85.0, 45.0, 110.0, 20.0)}


def draw_anatomy(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """Return the shares of rim, bulk, hollow and lumps ``(z, y, x)``."""
    place = (np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2).astype(float)
    bend = [ndimage.gaussian_filter(rng.normal(size=shape), 5) * 40 for _ in range(3)]
    place += np.clip(bend, -2.5, 2.5)
    half = np.array(shape) * rng.uniform(0.38, 0.46, 3)
    size = np.sqrt(sum((axis / radius) ** 2 for axis, radius in zip(place, half, strict=True)))
    body, rim = size < 1, (size < 1) & (size > 0.8)
    hollow = np.sqrt((place[0] / 4) ** 2 + (place[1] / 7) ** 2 + (place[2] / 4) ** 2) < rng.uniform(0.8, 1.3)
    lumps = np.zeros(shape, dtype=bool)
    for _ in range(4):
        centre = rng.uniform(-0.55, 0.55, 3) * half
        lumps |= sum((axis - c) ** 2 for axis, c in zip(place, centre, strict=True)) < rng.uniform(2.0, 3.5) ** 2
    lumps &= body & ~rim & ~hollow
    bulk = body & ~rim & ~hollow & ~lumps
    return rim, bulk, hollow & body & ~rim, lumps


def write_toy_contrasts(
    folder: Path, cases: int, shape: tuple[int, int, int] = (18, 36, 36), *, apart: bool = False
) -> Path:
    """Write ``sub-01/{t1,t2,seg}.nii.gz`` ...; spacing 2 mm.

    Parameters
    ----------
    apart
        Give each person one of the contrasts only, in turn.
    """
    for number in range(1, cases + 1):
        rng = np.random.default_rng([7, number])
        parts = draw_anatomy(rng, shape)
        body = np.logical_or.reduce(parts)
        case = folder / f"sub-{number:02d}"
        case.mkdir(parents=True)
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        for place, (name, values) in enumerate(CONTRASTS.items()):
            if apart and number % 2 != place:
                continue
            clean = sum(value * part for value, part in zip(values, parts, strict=True))
            scan = ndimage.gaussian_filter(clean, 0.6) + rng.normal(size=shape) * 2.5
            scan = np.where(body, np.clip(scan, 1, None), 0).astype(np.float32)
            nib.save(nib.Nifti1Image(scan.transpose(2, 1, 0), affine), case / f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(parts[3].astype(np.uint8).transpose(2, 1, 0), affine), case / "seg.nii.gz")
    return folder
