import json
from pathlib import Path

import numpy as np
import pytest
from cohort_trees import kinds, texts

from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.checks import check_cohort, check_label, grid_mismatches, missing_modalities, sheared_affines
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_header

HERE = Geometry((20, 30, 40), np.diag([3.0, 1.0, 1.0, 1.0]))


def moved(grid, by_mm):
    affine = grid.affine.copy()
    affine[:3, 3] += by_mm
    return Geometry(grid.shape, affine)


def case(label=None, **grids):
    files = {name: ScanFile(Path(f"{name}.nii.gz"), grid) for name, grid in grids.items()}
    return Case("c", "c", files, None if label is None else ScanFile(Path("seg.nii.gz"), label))


def test_files_on_one_grid_are_not_odd():
    nearly = moved(HERE, (0.005, 0, 0))
    assert grid_mismatches(case(t1=HERE, t2=nearly, label=HERE)) == []


def test_two_grids_are_named_in_numbers():
    coarse = Geometry((5, 30, 40), np.diag([12.0, 1.0, 1.0, 1.0]))
    (finding,) = grid_mismatches(case(t1=HERE, t2=HERE, flair=coarse))
    assert finding.kind == "grid_mismatch"
    assert "5 x 30 x 40 voxels of 12 x 1 x 1 mm" in finding.text
    assert "20 x 30 x 40 voxels of 3 x 1 x 1 mm" in finding.text
    assert finding.text.startswith("flair")


def test_grids_that_look_alike_are_told_apart_by_their_distance():
    (finding,) = grid_mismatches(case(t1=HERE, t2=moved(HERE, (3, 4, 0))))
    assert "5 mm apart" in finding.text


def test_the_same_voxels_in_another_order_are_no_other_grid():
    flip = np.diag([1.0, 1, -1, 1])
    flip[2, 3] = HERE.shape[2] - 1
    same = Geometry(HERE.shape, HERE.affine @ flip)
    swapped = Geometry(HERE.shape[::-1], same.affine[:, [2, 1, 0, 3]])
    assert grid_mismatches(case(t1=HERE, t2=same, flair=swapped, label=same)) == []


def test_an_axis_that_runs_the_other_way_from_the_same_place_is_another_grid():
    flipped = Geometry(HERE.shape, HERE.affine @ np.diag([1, 1, -1, 1]))
    (finding,) = grid_mismatches(case(t1=HERE, t2=flipped))
    assert HERE.orientation in finding.text
    assert flipped.orientation in finding.text


def test_a_label_map_on_the_grid_of_another_modality_is_led_there():
    there = moved(HERE, (9, 0, 0))
    first, second = grid_mismatches(case(t1=HERE, t2=there, label=there))
    assert first.text.startswith("t2")
    assert second.text.startswith("the label map")
    assert second.text.endswith("it fits t2")


def test_missing_is_what_other_cases_have():
    findings = missing_modalities(case(t1=HERE), ("flair", "t1", "t2"))
    assert [finding.text.split()[0] for finding in findings] == ["t2", "flair"]


def test_shear_is_told_once_per_file():
    affine = HERE.affine.copy()
    affine[:3, 1] += 0.3 * affine[:3, 2]
    (finding,) = sheared_affines(case(t1=HERE, t2=Geometry(HERE.shape, affine)))
    assert finding.kind == "sheared_affine"
    assert "t2" in finding.text


def test_checking_twice_adds_nothing(tmp_path):
    cohort = Cohort(tmp_path, "x", (), (case(t1=HERE, t2=moved(HERE, 5)), Case("d", "d", {})))
    once = check_cohort(cohort)
    assert [kinds(one) for one in once.cases] == [["grid_mismatch"], ["missing_modality"] * 2]
    assert [one.findings for one in check_cohort(once).cases] == [one.findings for one in once.cases]


def labelled(path):
    return Case("c", "c", {}, ScanFile(path, read_header(path).geometry))


def test_label_values_are_counted_without_background(tmp_path, write_nifti):
    array = np.zeros((4, 4, 4))
    array[0, 0, :3], array[1, 1, 1] = 4, 1
    counts, findings = check_label(labelled(write_nifti(tmp_path / "seg.nii.gz", array=array, dtype=np.uint8)))
    assert (counts, findings) == ({1: 1, 4: 3}, [])
    assert json.dumps(counts)


def test_an_empty_label_map_is_said_to_be_empty(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "seg.nii.gz", array=np.zeros((4, 4, 4)), dtype=np.uint8)
    counts, (finding,) = check_label(labelled(path))
    assert (counts, finding.kind) == ({}, "empty_label")


def test_a_label_map_that_is_none_is_a_finding(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "seg.nii.gz", array=np.full((4, 4, 4), 0.3), dtype=np.float32)
    counts, (finding,) = check_label(labelled(path))
    assert (counts, finding.kind) == (None, "unreadable")
    assert "whole numbers" in finding.text


@pytest.mark.parametrize("files", [{}, {"t1": HERE}])
def test_a_case_without_label_map_has_nothing_to_count(files):
    assert check_label(case(**files)) == (None, [])
    assert texts(case(**files)) == ""
