"""Made-up cohorts whose clinical table follows from what is seen on the scans."""

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (16, 16, 16)


def write_clinical_cohort(folder: Path, cases: int, *, noise: float = 0.0, drawn: bool = False) -> Path:
    """Write ``BraTS20_Training_001/..._{t1,flair}.nii.gz`` ... and the tables of BraTS 2020.

    The larger the bright ball on flair, the sooner the person dies; large ones are of grade HGG, and every fifth
    person was alive when last seen. ``noise`` is the spread of ln(days) that the ball does not tell. With ``drawn`` the
    ball has a label map, ``..._seg.nii.gz``.
    """
    survival, grades = ["Brats20ID,Age,Survival_days,Extent_of_Resection"], ["Grade,BraTS_2020_subject_ID"]
    z, y, x = np.indices(SHAPE) - 7.5
    body = x**2 + y**2 + z**2 < 60
    for number in range(1, cases + 1):
        rng = np.random.default_rng(number)
        radius = 1.5 + 3.5 * rng.random()
        centre = rng.uniform(-2, 2, 3)
        ball = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < radius**2
        name = f"BraTS20_Training_{number:03d}"
        (folder / name).mkdir(parents=True)
        for modality, bright in (("t1", 0.0), ("flair", 300.0)):
            values = np.where(body, 200 + 10 * rng.normal(size=SHAPE) + bright * ball, 0).astype(np.float32)
            nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), folder / name / f"{name}_{modality}.nii.gz")
        if drawn:
            label = (ball & body).astype(np.uint8)
            nib.save(nib.Nifti1Image(label, np.diag([2.0, 2, 2, 1])), folder / name / f"{name}_seg.nii.gz")
        days = round(2000 * np.exp(-0.8 * radius + noise * rng.normal()))
        cell = f"ALIVE ({days} days later)" if number % 5 == 0 else str(days)
        survival.append(f"{name},{60 if number % 3 else ''},{cell},GTR")
        grades.append(f"{'HGG' if radius > 3.25 else 'LGG'},{name}")
    (folder / "survival_info.csv").write_text("\n".join(survival) + "\n")
    (folder / "name_mapping.csv").write_text("\n".join(grades) + "\n")
    return folder
