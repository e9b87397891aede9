"""Files of one case whose axes run different ways over the same voxels."""

from dataclasses import replace

import numpy as np
import pytest

from napari_mmssl.cohorts.checks import check_cohort
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import Geometry, Reorientation
from napari_mmssl.volumes.image_files import write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelMap, Volume

TILT = np.array([[0.0, 0.6, 0.8], [0.0, 0.8, -0.6], [1.0, 0.0, 0.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TILT * (3.0, 1.0, 1.5)
AFFINE[:3, 3] = (-20, 11, 5)
GRID = Geometry((9, 12, 14), AFFINE)
TURN = Reorientation((1, 2, 0), (True, False, True))


def write_case(folder, rng, turn):
    """Write a case of which t2 and the label map are stored as ``turn`` says."""
    folder.mkdir(parents=True)
    body = np.zeros(GRID.shape)
    body[2:7, 2:10, 3:12] = 100
    labels = (body > 0).astype(np.uint8) * (1 + (np.indices(GRID.shape)[1] > 5))
    arrays = [(body + rng.random(GRID.shape) * 50).astype(np.float32) for _ in range(2)]
    write_volume(folder / "t1.nii.gz", Volume(arrays[0], GRID))
    write_volume(folder / "t2.nii.gz", Volume(turn.apply(arrays[1]), turn.apply_to(GRID)))
    write_label_map(folder / "seg.nii.gz", LabelMap(turn.apply(labels), turn.apply_to(GRID)))
    return check_cohort(find_cohort(folder.parent)).cases[0]


def test_a_case_is_prepared_the_same_however_its_files_are_stored(tmp_path):
    plain, turned = (
        write_case(tmp_path / name / "case", np.random.default_rng(4), turn)
        for name, turn in (("plain", Reorientation((0, 1, 2), (False, False, False))), ("turned", TURN))
    )
    assert turned.modalities["t2"].geometry.orientation != plain.modalities["t2"].geometry.orientation
    assert turned.findings == plain.findings == ()
    one, other = (prepare_case(case, (2.0, 2.0, 2.0)) for case in (plain, turned))
    np.testing.assert_array_equal(one.volumes, other.volumes)
    np.testing.assert_array_equal(one.label, other.label)
    assert one.geometry.same_grid(other.geometry)


def test_a_file_that_lies_elsewhere_is_still_refused(tmp_path, rng):
    case = write_case(tmp_path / "case", rng, TURN)
    moved = TURN.apply_to(GRID).affine.copy()
    moved[0, 3] += 1
    elsewhere = replace(case.modalities["t2"], geometry=Geometry(case.modalities["t2"].geometry.shape, moved))
    with pytest.raises(GeometryError, match="mmssl align"):
        prepare_case(replace(case, modalities={**case.modalities, "t2": elsewhere}), None)
