"""How alike the people of a cohort are, and how far one threshold on FLAIR goes: phantoms beside patients.

    python benchmarks/phantom_likeness.py [FOLDER ...]

Makes two glioma phantom cohorts (seeds 0 and 1, 12 people each, 2 mm) and measures them, then each FOLDER: any
cohort of skull-stripped brains that ``mmssl inspect`` understands. What the numbers were: docs/concepts/phantoms.md.

Likeness: each brain is put on one 2 mm grid with its centre of mass in the middle (no registration, no turning);
for each pair of people, the correlation of one modality over the voxels that lie in both brains.
Threshold: FLAIR in standard deviations above the brain's mean; Dice with the whole lesion (label above 0), with the
one threshold that is best for the cohort. Lesions under 3 ml are left out.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.case import Cohort, ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.volumes.geometry import to_canonical
from napari_mmssl.volumes.image_files import read_label_map, read_volume
from napari_mmssl.workflows.sample import make_sample

SPACING_MM = 2.0
SHAPE = (80, 100, 80)
THRESHOLDS = np.arange(0.5, 4.0, 0.1)
SMALLEST_LESION_ML = 3.0


def brain_of(array: np.ndarray) -> np.ndarray:
    """Return the voxels that are not background, which is the value of the first corner."""
    background = array[0, 0, 0]
    inside = array > background + 1e-3 * (array.max() - background)
    return ndimage.binary_fill_holes(ndimage.binary_opening(inside))


def centred(scan: ScanFile) -> tuple[np.ndarray, np.ndarray]:
    volume = read_volume(scan.path, scan.channel)
    move = to_canonical(volume.geometry)
    array = move.apply(volume.array).astype(np.float32)
    spacing = np.array(move.apply_to(volume.geometry).spacing_mm)
    brain = brain_of(array)
    middle = np.array(ndimage.center_of_mass(brain)).reshape(3, 1, 1, 1)
    offsets = (np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2) * SPACING_MM
    index = middle + offsets / spacing.reshape(3, 1, 1, 1)
    resampled = (ndimage.map_coordinates(one, index, order=1) for one in (array, brain.astype(np.float32)))
    values, share = resampled
    return values, share > 0.5


def likeness(cohort: Cohort, modality: str) -> str:
    brains = [centred(case.modalities[modality]) for case in cohort.cases if modality in case.modalities]
    if len(brains) < 2:
        return f"  {modality:5}  fewer than two people"
    found = []
    for (first, in_first), (second, in_second) in itertools.combinations(brains, 2):
        both = in_first & in_second
        found.append(np.corrcoef(first[both], second[both])[0, 1])
    brains_ml = [np.count_nonzero(brain) * SPACING_MM**3 / 1000 for _, brain in brains]
    return (
        f"  {modality:5}  {len(brains)} people, correlation of pairs: mean {np.mean(found):.2f}, "
        f"{np.min(found):.2f} to {np.max(found):.2f}; brains {np.mean(brains_ml):.0f} ml (sd {np.std(brains_ml):.0f})"
    )


def threshold(cohort: Cohort) -> str:
    scores = []
    for case in cohort.cases:
        if "flair" not in case.modalities or case.label is None:
            continue
        flair = read_volume(case.modalities["flair"].path, case.modalities["flair"].channel).array.astype(float)
        lesion = read_label_map(case.label.path, case.label.channel).array > 0
        if np.count_nonzero(lesion) * case.label.geometry.voxel_ml < SMALLEST_LESION_ML:
            continue
        brain = flair != flair[0, 0, 0]
        standard = (flair - flair[brain].mean()) / flair[brain].std()
        found = [brain & (standard > limit) for limit in THRESHOLDS]
        scores.append([2 * (one & lesion).sum() / max(1, one.sum() + lesion.sum()) for one in found])
    if not scores:
        return "  no FLAIR with a label map"
    mean = np.mean(scores, axis=0)
    return (
        f"  {len(scores)} lesions, one threshold on FLAIR: Dice {mean.max():.2f} at {THRESHOLDS[mean.argmax()]:.1f} sd"
    )


def report(name: str, folder: Path) -> None:
    cohort = find_cohort(folder)
    print(name)
    for modality in ("t1", "t1ce", "t2", "flair"):
        print(likeness(cohort, modality))
    print(threshold(cohort))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for seed in (0, 1):
            made = make_sample("glioma", Path(scratch) / str(seed), cases=12, seed=seed, spacing_mm=SPACING_MM)
            report(f"glioma phantoms, seed {seed}", made)
    for argument in sys.argv[1:]:
        report(argument, Path(argument))
