"""Brains of people in made-up contrasts: their label maps, painted as four sequences. For development only.

The anatomies are real, so that what is learned on phantoms can be asked of people; the brightness is drawn, so that
nothing a scanner does gives an answer away. Label values are those of FreeSurfer.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

#: Kind of tissue to label values, left and right; what is not named within the brain counts as fluid.
_TISSUES = {
    "white": (2, 41, 7, 46, 16, 28, 60, 77, 85),
    "grey": (3, 42, 8, 47, 17, 53, 18, 54, 26, 58),
    "nuclei": (10, 49, 11, 50, 12, 51, 13, 52),
    "fluid": (4, 43, 5, 44, 14, 15, 24, 25, 57, 30, 62),
}
#: Everything from here on is outside the brain.
_FIRST_OUTSIDE = 100
_BRIGHTNESS = {
    "t1": {"white": 1.0, "grey": 0.72, "nuclei": 0.82, "fluid": 0.28},
    "t1ce": {"white": 0.92, "grey": 0.72, "nuclei": 0.80, "fluid": 0.34},
    "t2": {"white": 0.42, "grey": 0.62, "nuclei": 0.50, "fluid": 1.15},
    "flair": {"white": 0.52, "grey": 0.64, "nuclei": 0.58, "fluid": 0.18},
}


def render_people(label_maps: Path, folder: Path) -> Path:
    """Write ``person-01/{t1,t1ce,t2,flair}.nii.gz`` ... for every ``seg_*.nii.gz`` in ``label_maps``."""
    for number, path in enumerate(sorted(label_maps.glob("seg_*.nii.gz")), start=1):
        image = nib.load(path)
        labels = np.asarray(image.dataobj).astype(int)
        brain = _largest_piece((labels > 0) & (labels < _FIRST_OUTSIDE))
        rng = np.random.default_rng([17, number])
        case = folder / f"person-{number:02d}"
        case.mkdir(parents=True)
        for modality in _BRIGHTNESS:
            scan = np.where(brain, np.maximum(_paint(rng, labels, modality), 0.01) * rng.uniform(300, 900), 0)
            nib.save(nib.Nifti1Image(scan.astype(np.float32), image.affine), case / f"{modality}.nii.gz")
    return folder


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected piece; optic nerves and vessels may lie apart from the brain."""
    pieces, _ = ndimage.label(mask)
    return np.asarray(pieces == np.bincount(pieces[mask]).argmax())


def _paint(rng: np.random.Generator, labels: np.ndarray, modality: str) -> np.ndarray:
    """Return one sequence: tissues of brightness drawn for this person, texture, sensitivity, noise."""
    kinds = {value: kind for kind, values in _TISSUES.items() for value in values}
    drawn = {kind: value * rng.lognormal(0, 0.08) for kind, value in _BRIGHTNESS[modality].items()}
    look = np.zeros(labels.max() + 1)
    for value in range(1, len(look)):
        # Each structure has a shade of its own, so that nuclei and lobes are not all one grey.
        look[value] = drawn[kinds.get(value, "fluid")] * rng.lognormal(0, 0.03)
    scan = ndimage.gaussian_filter(look[labels], 0.5)
    texture, field = (ndimage.gaussian_filter(rng.normal(size=labels.shape), scale) for scale in (1.5, 20))
    scan = scan * (1 + 0.04 * texture / texture.std()) * np.exp(0.12 * field / field.std())
    return np.asarray(np.hypot(scan + 0.02 * rng.normal(size=labels.shape), 0.02 * rng.normal(size=labels.shape)))
