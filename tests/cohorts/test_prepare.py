"""Preparation can be undone: what is drawn on the prepared grid lies where it lay in the file."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from strategies import nifti_affine

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.inference.drawing import draw_classes
from napari_mmssl.metrics.overlap import dice
from napari_mmssl.tasks.conventions import BRATS_2018

SHAPE = (64, 60, 50)
#: Radii in mm of nested balls, and the label value between each and the next smaller one.
RADII_MM, VALUES = (26, 18, 11), (2, 4, 1)


def waves(world_mm):
    """Return what a scan shows at these places: waves of 25 mm, told from waves shifted by a voxel."""
    return np.sin(world_mm @ [0.07, 0.13, 0.2])


def write_case(folder, orientation, spacing_xyz=(1.0, 1.1, 1.4), rotation_deg=(9, -6, 12)):
    """Write one tilted scan with a label map of nested balls, and return the case."""
    affine = nifti_affine(orientation, spacing_xyz, rotation_deg=rotation_deg)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    middle = nib.affines.apply_affine(affine, np.array(SHAPE) / 2)
    # Off the middle, so that a mirrored or shifted map would be found out.
    distance = np.linalg.norm(world - middle - [2, -1.5, 1], axis=-1)
    label = np.zeros(SHAPE, dtype=np.uint8)
    for radius, value in zip(RADII_MM, VALUES, strict=True):
        label[distance < radius] = value
    scan = np.where(distance < 28, 300 + 100 * waves(world), 0).astype(np.float32)
    (folder / "sub-01").mkdir(parents=True)
    nib.save(nib.Nifti1Image(scan, affine), folder / "sub-01/t1.nii.gz")
    nib.save(nib.Nifti1Image(label, affine), folder / "sub-01/seg.nii.gz")
    return find_cohort(folder).cases[0], label


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (1.2, 1.2, 1.2)])
def test_labels_survive_the_way_to_the_network_and_back(tmp_path, orientation, spacing_mm):
    case, label = write_case(tmp_path, orientation)
    prepared = prepare_case(case, spacing_mm)

    classes = BRATS_2018.to_classes(prepared.label)
    certain = (classes == np.arange(classes.max() + 1)[:, None, None, None]).astype(np.float32)
    back = draw_classes([(certain, prepared)], BRATS_2018).label_map

    # Arrays here run (z, y, x), those of the file (x, y, z).
    np.testing.assert_allclose(back.geometry.affine, case.modalities["t1"].geometry.affine)
    for value in VALUES:
        assert dice(back.array == value, value == label.T) > 0.9
    for radius in range(len(RADII_MM)):
        inside = VALUES[radius:]
        assert dice(np.isin(back.array, inside), np.isin(label.T, inside)) > 0.98


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
def test_the_prepared_grid_shows_what_is_at_the_same_place_in_the_world(tmp_path, orientation):
    case, _ = write_case(tmp_path, orientation)
    prepared = prepare_case(case, (2.0, 1.5, 1.5))

    inner = ndimage.binary_erosion(prepared.foreground, iterations=2)
    places = prepared.geometry.index_to_world(np.argwhere(inner))
    shown = prepared.volumes[0][inner]
    assert np.corrcoef(shown, waves(places))[0, 1] > 0.999
    assert np.corrcoef(shown, waves(places + 1))[0, 1] < 0.98
