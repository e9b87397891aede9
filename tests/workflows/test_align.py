"""Modalities made to fit, and label maps taken back, on made-up heads whose true movement is known."""

import hashlib
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import ConfigError, GeometryError, ReadError, WriteError
from napari_mmssl.metrics.overlap import dice
from napari_mmssl.pictures import read_picture
from napari_mmssl.tasks.conventions import BRATS_2023, choose_for
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_label_map, read_volume, write_label_map, write_volume
from napari_mmssl.volumes.registration import register
from napari_mmssl.volumes.resample import resample_labels
from napari_mmssl.volumes.volume import LabelMap, Volume
from napari_mmssl.workflows.align import align
from napari_mmssl.workflows.align_back import align_back, read_record
from napari_mmssl.workflows.align_preview import fitted_modalities, read_fit


def turned(degrees, shift_mm=(0, 0, 0)):
    """A world movement: turns about two axes, then a shift."""
    a, b = np.deg2rad(degrees), np.deg2rad(degrees / 2)
    matrix = np.eye(4)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix[:3, :3], matrix[:3, 3] = about_s @ about_r, shift_mm
    return matrix


def grid(shape, spacing, move=None):
    """An oblique grid round the world's origin, in LPS like most scanners write, tilted by ``move``."""
    affine = np.zeros((4, 4))
    for axis, (row, sign) in enumerate([(2, 1), (1, -1), (0, -1)]):
        affine[row, axis] = sign * spacing[axis]
        affine[row, 3] = -sign * spacing[axis] * (shape[axis] - 1) / 2
    affine[3, 3] = 1
    return Geometry(shape, (np.eye(4) if move is None else move) @ affine)


def head(geometry, move=None, contrast=1.0):
    """A made-up head in world space, seen on ``geometry``; ``move`` shifts the head itself."""
    world = geometry.index_to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    if move is not None:
        world = world @ np.linalg.inv(move)[:3, :3].T + np.linalg.inv(move)[:3, 3]
    r, a, s = np.moveaxis(world, -1, 0)
    body = (r / 30) ** 2 + (a / 38) ** 2 + (s / 28) ** 2 < 1
    inside = 60 + 30 * np.sin(r / 7 + 1) * np.cos(a / 9) + 25 * np.sin(s / 8 + a / 11)
    inside += 60 * (((r - 12) / 8) ** 2 + ((a + 10) / 10) ** 2 + (s / 8) ** 2 < 1)
    # Another contrast: not a multiple of the first, as T2 is none of T1.
    values = inside if contrast == 1 else 200 - 1.2 * inside + 0.004 * inside**2
    return np.where(body, values, 0).astype(np.float32), body


def ball(geometry):
    """A smooth lesion of two classes: a ball in a larger one."""
    world = geometry.index_to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    distance = np.linalg.norm(world - (6, -4, 3), axis=-1)
    return (1 * (distance < 14) + 1 * (distance < 8)).astype(np.uint8)


FIXED = grid((34, 48, 44), (2.0, 2.0, 2.0), turned(12))
MOVING = grid((24, 40, 38), (3.0, 2.2, 2.2), turned(-8, (2, 1, -3)))
OFF = turned(7, (5, -4, 3))


@pytest.fixture
def cohort(tmp_path):
    """One head of which t2 was scanned after the person moved."""
    folder = tmp_path / "cohort" / "a"
    folder.mkdir(parents=True)
    write_volume(folder / "t1.nii.gz", Volume(head(FIXED)[0], FIXED))
    write_volume(folder / "t2.nii.gz", Volume(head(MOVING, OFF, contrast=2.0)[0], MOVING))
    write_label_map(folder / "seg.nii.gz", LabelMap(ball(FIXED), FIXED))
    return tmp_path / "cohort"


def test_the_movement_that_was_made_is_found_again():
    found = register(Volume(head(FIXED)[0], FIXED), Volume(head(MOVING, OFF, contrast=2.0)[0], MOVING), "rigid")
    points = np.argwhere(head(FIXED)[1])[::50]
    world = FIXED.index_to_world(points)
    error = (world @ found.matrix[:3, :3].T + found.matrix[:3, 3]) - (world @ OFF[:3, :3].T + OFF[:3, 3])
    assert np.linalg.norm(error, axis=1).max() < 1.0
    assert found.after > 1.3 * found.before
    again = register(Volume(head(FIXED)[0], FIXED), Volume(head(MOVING, OFF, contrast=2.0)[0], MOVING), "rigid")
    assert (again.matrix == found.matrix).all()


def test_scans_that_fit_are_left_where_they_are():
    found = register(Volume(head(FIXED)[0], FIXED), Volume(head(MOVING, contrast=2.0)[0], MOVING), "rigid")
    assert found.moved_mm < 0.5


def test_noise_is_not_moved_onto_noise(rng):
    first, second = (Volume(rng.normal(size=FIXED.shape).astype(np.float32), FIXED) for _ in range(2))
    found = register(first, second, "affine")
    assert (found.matrix == np.eye(4)).all()
    assert found.after is None


def test_an_aligned_cohort_is_read_like_any_other_and_says_how_it_came_about(cohort, tmp_path):
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in cohort.rglob("*.gz")}
    aligned = align(cohort, tmp_path / "out", "t1", "rigid")
    assert (aligned.cases, aligned.notes) == (("a",), ())
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in cohort.rglob("*.gz")} == before
    (case,) = find_cohort(tmp_path / "out").cases
    assert list(case.modalities) == ["t1", "t2"]
    assert all(scan.geometry.same_grid(FIXED) for scan in (*case.modalities.values(), case.label))
    truth, body = head(FIXED, contrast=2.0)
    inner = ndimage.binary_erosion(body, iterations=4)
    laid = read_volume(tmp_path / "out/a/t2.nii.gz").array
    assert np.corrcoef(laid[inner], truth[inner])[0, 1] > 0.97
    assert (read_label_map(tmp_path / "out/a/seg.nii.gz").array == ball(FIXED)).all()
    record = json.loads((tmp_path / "out/align.json").read_text())
    file = record["cases"]["a"]["files"]["t2"]
    assert file["sha256"] == before[cohort / "a/t2.nii.gz"]
    assert file["after"] > file["before"]
    assert record["parameters"]["seed"]
    # What other programs read says the same as the record, in their LPS.
    lines = (tmp_path / "out" / file["transform"]).read_text().splitlines()
    numbers = [float(n) for line in lines if line.startswith("Parameters:") for n in line.split()[1:]]
    turn = np.diag([-1.0, -1.0, 1.0])
    assert np.allclose(np.reshape(numbers[:9], (3, 3)), turn @ np.array(file["matrix"])[:3, :3] @ turn)
    picture = read_picture(tmp_path / "out/pictures/a/align_t2.json")
    assert [item.name for item in picture.items] == ["reference", "before", "after"]


def test_people_clinical_values_and_the_coding_of_labels_come_along(cohort, tmp_path):
    folder = tmp_path / "brats"
    for visit in ("000", "001"):
        name = f"BraTS-GLI-00001-{visit}"
        (folder / name).mkdir(parents=True)
        for ending, file in {"t1n": "t1", "t2w": "t2", "seg": "seg"}.items():
            (folder / name / f"{name}-{ending}.nii.gz").write_bytes((cohort / "a" / f"{file}.nii.gz").read_bytes())
    (folder / "clinical.csv").write_text(
        "Brats_ID,Age,Survival_days\nBraTS-GLI-00001-000,51.5,ALIVE (361 days later)\n"
    )
    source = find_cohort(folder)
    align(folder, tmp_path / "out", "t1", "resample")
    aligned = find_cohort(tmp_path / "out")
    assert aligned.layout == "aligned"
    assert source.cases[0].clinical == {"age_years": 51.5, "survival_days": 361, "survival_observed": False}
    assert [(case.id, case.subject, case.session, case.clinical) for case in aligned.cases] == [
        (case.id, case.subject, case.session, case.clinical) for case in source.cases
    ]
    values = {case.id: {1, 2} for case in source.cases}
    assert choose_for(aligned, values)[0] == choose_for(source, values)[0] == BRATS_2023


def test_names_of_label_values_come_along(cohort, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "case,role,modality,path,label_names\n"
        "a,modality,t1,cohort/a/t1.nii.gz,\na,modality,odd one,cohort/a/t2.nii.gz,\n"
        "a,label,,cohort/a/seg.nii.gz,1: rim; 2: core\n"
    )
    align(manifest, tmp_path / "out", "t1", "resample")
    aligned = find_cohort(tmp_path / "out")
    assert aligned.label_names == {1: "rim", 2: "core"}
    assert set(aligned.case("a").modalities) == {"t1", "odd_one"}
    assert aligned.case("a").findings == ()


def test_label_maps_go_back_onto_the_scans_own_grids(cohort, tmp_path):
    align(cohort, tmp_path / "out", "t1", "rigid")
    (tmp_path / "drawn").mkdir()
    write_label_map(tmp_path / "drawn/a.nii.gz", LabelMap(ball(FIXED), FIXED))
    first, second = align_back(tmp_path / "drawn", tmp_path / "out", tmp_path / "back")
    assert [first.name, second.name] == ["a_t1.nii.gz", "a_t2.nii.gz"]
    assert (read_label_map(first).array == ball(FIXED)).all()
    back = read_label_map(second)
    assert back.geometry.same_grid(MOVING)
    # The head moved by OFF between the scans, and the lesion with it.
    truth = ball(Geometry(MOVING.shape, np.linalg.inv(OFF) @ MOVING.affine))
    for value in (1, 2):
        assert dice(back.array >= value, truth >= value) > 0.93
    with pytest.raises(WriteError, match="is not replaced"):
        align_back(tmp_path / "drawn", tmp_path / "out", tmp_path / "back")


@pytest.mark.parametrize("method", ["resample", "rigid", "affine"])
def test_labels_survive_there_and_back(method):
    """Fine grids on both sides: what is lost is lost by resampling alone."""
    there = grid((44, 62, 58), (1.5, 1.5, 1.5), turned(-15, (2, 1, 3)))
    movement = {"resample": np.eye(4), "rigid": OFF, "affine": OFF @ np.diag([1.05, 0.97, 1.02, 1.0])}[method]
    laid = Geometry(there.shape, np.linalg.inv(movement) @ there.affine)
    start = ball(FIXED)
    back = resample_labels(resample_labels(start, FIXED, laid), laid, FIXED)
    for value in (1, 2):
        assert dice(back >= value, start >= value) > 0.98
    assert set(np.unique(back)) == {0, 1, 2}


def test_many_labels_go_by_the_nearest_voxel():
    values = np.arange(1, 61, dtype=np.uint8).reshape(3, 4, 5)
    coarse = grid((3, 4, 5), (2.0, 2.0, 2.0))
    fine = grid((6, 8, 10), (1.0, 1.0, 1.0))
    assert (resample_labels(values, coarse, fine) == np.kron(values, np.ones((2, 2, 2), dtype=np.uint8))).all()


def test_bringing_a_cohort_onto_a_template_file(cohort, tmp_path):
    atlas = grid((30, 40, 36), (2.5, 2.5, 2.5))
    write_volume(tmp_path / "atlas.nii.gz", Volume(head(atlas)[0], atlas))
    align(cohort, tmp_path / "out", str(tmp_path / "atlas.nii.gz"), "rigid")
    (case,) = find_cohort(tmp_path / "out").cases
    assert all(scan.geometry.same_grid(atlas) for scan in case.modalities.values())
    truth, body = head(atlas, contrast=2.0)
    inner = ndimage.binary_erosion(body, iterations=3)
    assert np.corrcoef(read_volume(tmp_path / "out/a/t2.nii.gz").array[inner], truth[inner])[0, 1] > 0.95


def test_what_cannot_be_aligned_is_one_sentence(cohort, tmp_path, capsys):
    with pytest.raises(ConfigError, match="'flair' is neither an image file nor a modality"):
        align(cohort, tmp_path / "out", "flair", "rigid")
    with pytest.raises(WriteError, match="not empty"):
        align(cohort, cohort, "t1", "rigid")
    with pytest.raises(ReadError, match=r"no align\.json"):
        align_back(cohort, cohort, tmp_path / "back")
    assert main(["align", str(cohort), "--out", str(tmp_path / "out")]) == 2
    assert "--to" in capsys.readouterr().err
    flat = grid((2, 40, 40), (5.0, 2.0, 2.0))
    with pytest.raises(GeometryError, match="2 slices"):
        register(Volume(head(flat)[0], flat), Volume(head(FIXED)[0], FIXED), "rigid")


def test_cases_without_the_reference_are_left_out_and_named(cohort, tmp_path):
    (cohort / "b").mkdir()
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), cohort / "b/t2.nii.gz")
    aligned = align(cohort, tmp_path / "out", "t1", "resample")
    assert aligned.cases == ("a",)
    assert aligned.notes == ("'b' has no t1 and is left out",)


def test_a_case_that_cannot_be_aligned_keeps_no_other_from_it(cohort, tmp_path):
    shutil.copytree(cohort / "a", cohort / "b")
    empty = nib.load(cohort / "a/t2.nii.gz")
    nib.save(nib.Nifti1Image(np.full(empty.shape, np.nan, np.float32), empty.affine), cohort / "a/t2.nii.gz")

    aligned = align(cohort, tmp_path / "out", "t1", "rigid")

    assert aligned.cases == ("b",)
    assert re.fullmatch("case 'a', t2: .*nothing in common.*; it is left out", aligned.notes[0])
    with pytest.raises(GeometryError, match=r"case 'a', t2: .*nothing in common"):
        align(cohort, tmp_path / "alone", "t1", "rigid", case_ids=["a"])


def test_label_maps_from_elsewhere_are_refused(cohort, tmp_path):
    align(cohort, tmp_path / "out", "t1", "resample")
    (tmp_path / "drawn").mkdir()
    write_label_map(tmp_path / "drawn/a.nii.gz", LabelMap(ball(MOVING), MOVING))
    with pytest.raises(GeometryError, match="aligned grid"):
        align_back(tmp_path / "drawn", tmp_path / "out", tmp_path / "back")
    back = ["align", str(tmp_path / "drawn"), "--out", str(tmp_path / "back")]
    assert main([*back, "--back", str(tmp_path / "out"), "--case", "a"]) == 2
    assert main([*back, "--to", "t1", "--on", "t1"]) == 2
    with pytest.raises(ReadError, match="no file or folder"):
        align_back(tmp_path / "nowhere", tmp_path / "out", tmp_path / "back")
    (tmp_path / "out/align.json").write_text('{"format": 99, "cases": {}}')
    with pytest.raises(ReadError, match="newer"):
        read_record(tmp_path / "out")


def test_one_case_is_aligned_and_can_be_compared_with_what_it_was(cohort, tmp_path, capsys):
    shutil.copytree(cohort / "a", cohort / "b")
    words = ["align", str(cohort), "--to", "t1", "--out", str(tmp_path / "out"), "--case", "b", "--json"]
    assert main(words) == 0
    first, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"done": 1, "total": 1}
    assert (last["cases"], last["notes"]) == (["b"], [])
    assert fitted_modalities(tmp_path / "out", "b") == ["t2"]
    fit = read_fit(find_cohort(cohort).case("b"), tmp_path / "out", "t2")
    truth, body = head(FIXED, contrast=2.0)
    inner = ndimage.binary_erosion(body, iterations=4)
    before, after = (np.corrcoef(one.array[inner], truth[inner])[0, 1] for one in (fit.before, fit.after))
    assert before < 0.9 < 0.97 < after
    assert (fit.fixed.array == read_volume(cohort / "b/t1.nii.gz").array).all()
    assert re.fullmatch(
        r"t2 is moved by \d+\.\d mm \(mean of the corners\): mutual information with t1 rises .*", fit.words
    )
    with pytest.raises(ReadError, match="'a' was left out"):
        fitted_modalities(tmp_path / "out", "a")


def test_a_case_that_is_not_there_is_named_with_those_that_are(cohort, tmp_path):
    with pytest.raises(ConfigError, match="unknown case 'z'; known: a"):
        align(cohort, tmp_path / "out", "t1", "resample", case_ids=["z"])
    assert not (tmp_path / "out").exists()
