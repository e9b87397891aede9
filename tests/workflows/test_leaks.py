"""Who was seen before: known again by name and by picture, from runs with and without pictures of their people."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.inspect import inspect
from napari_mmssl.workflows.leaks import SeenBefore, remember_people, seen_people


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.mktemp("home")))


def anatomy(number, shape=(36, 42, 34)):
    """A made-up head, bright on its own places and nobody else's."""
    rng = np.random.default_rng(number)
    grid = np.indices(shape) - (np.array(shape) / 2)[:, None, None, None]
    body = sum((g / (0.42 * n)) ** 2 for g, n in zip(grid, shape, strict=True)) < 1
    pattern = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    return np.where(body, 300 + 2000 * pattern, 0), body


def save(folder, values, spacing=4.0, orientation="LPS", dtype=np.float32):
    folder.mkdir(parents=True)
    flips = [-1.0 if letter in "LPI" else 1.0 for letter in orientation]
    affine = np.diag([spacing * f for f in flips] + [1.0])
    nib.save(
        nib.Nifti1Image(values[tuple(slice(None, None, int(f)) for f in flips)].astype(dtype), affine),
        folder / "t1.nii.gz",
    )


@pytest.fixture
def cohort(tmp_path):
    for number, name in enumerate(["TCGA-DU-7294", "TCGA-FG-6692", "TCGA-HT-1111"]):
        save(tmp_path / "learned" / name, anatomy(number)[0])
    return find_cohort(tmp_path / "learned")


def run_that_saw(cohort, names, path, stage="pretraining", parents=()):
    run = RunFolder.create(path, "pretrain", {})
    prepared = [prepare_case(case, (5.0, 5.0, 5.0), with_label=False) for case in cohort.cases if case.id in names]
    remember_people(run, stage, cohort, prepared[:1], prepared[1:], parents)
    return path


def test_a_person_is_known_again_by_the_picture_whatever_the_file_and_its_name(cohort, tmp_path):
    values, body = anatomy(0)
    save(tmp_path / "new" / "someone", np.where(body, values * 0.37 + 50, 0), orientation="RAS", dtype=np.int16)
    save(tmp_path / "new" / "stranger", anatomy(17)[0])
    new = find_cohort(tmp_path / "new")
    before = SeenBefore(new, [run_that_saw(cohort, {"TCGA-DU-7294", "TCGA-FG-6692"}, tmp_path / "run")])
    ((seen, reason),) = before.matches(new.case("someone"))
    assert (seen.person.case_id, seen.stage, seen.group) == ("TCGA-DU-7294", "pretraining", "train")
    assert "show the same in t1" in reason
    assert before.record(new.case("someone"))["trained_on"] is True
    assert before.record(new.case("stranger")) == {"trained_on": False, "seen_in": [], "because": []}


def test_a_person_is_known_again_by_other_spellings_of_the_name(cohort, tmp_path):
    save(tmp_path / "new" / "sub-TCGA-FG-6692", anatomy(99)[0])
    new = find_cohort(tmp_path / "new")
    before = SeenBefore(new, [run_that_saw(cohort, {"TCGA-FG-6692"}, tmp_path / "run")])
    (record,) = [before.record(case) for case in new.cases]
    assert record["seen_in"] == ["pretraining"]
    assert "named alike" in record["because"][0]


def test_people_of_parents_are_remembered_when_the_parents_are_gone(cohort, tmp_path):
    first = run_that_saw(cohort, {"TCGA-DU-7294"}, tmp_path / "first")
    second = run_that_saw(cohort, {"TCGA-FG-6692"}, tmp_path / "second", "fine-tuning", [first])
    (first / "people.json").unlink()
    assert {(one.person.case_id, one.stage) for one in seen_people(second)} == {
        ("TCGA-DU-7294", "pretraining"),
        ("TCGA-FG-6692", "fine-tuning"),
    }


def test_runs_from_before_pictures_were_kept_give_their_names(cohort, tmp_path):
    run = RunFolder.create(tmp_path / "old", "finetune", {})
    run.write_provenance(
        {
            "data": {"folder": str(cohort.root)},
            "convention": {},
            "used": {"train": ["TCGA-DU-7294"], "validation": []},
            "parents": [{"used": {"train": ["TCGA-FG-6692"]}}],
        }
    )
    before = SeenBefore(cohort, [tmp_path / "old"])
    assert [before.record(case)["seen_in"] for case in cohort.cases] == [["fine-tuning"], ["pretraining"], []]


def test_a_damaged_or_newer_list_of_people_is_one_sentence(cohort, tmp_path):
    path = run_that_saw(cohort, {"TCGA-DU-7294"}, tmp_path / "run") / "people.json"
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "format": 99}))
    with pytest.raises(RunError, match="newer"):
        seen_people(tmp_path / "run")
    path.write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        seen_people(tmp_path / "run")


def test_inspect_finds_the_same_person_twice_and_in_what_it_is_held_against(cohort, tmp_path):
    values, body = anatomy(2)
    save(tmp_path / "learned" / "copy", np.where(body, values + 100, 0), orientation="RPI")
    found = inspect(tmp_path / "learned", against=[run_that_saw(cohort, {"TCGA-DU-7294"}, tmp_path / "run")])
    leaks = {case.id: [f.text for f in case.findings if f.kind == "possible_leak"] for case in found.cohort.cases}
    assert {case_id for case_id, texts in leaks.items() if texts} == {"copy", "TCGA-HT-1111", "TCGA-DU-7294"}
    assert "'TCGA-HT-1111'" in leaks["copy"][0]
    # Held against the cohort it came from, a person meets itself.
    assert str(tmp_path / "learned") in leaks["TCGA-DU-7294"][0]


def test_sessions_of_one_subject_are_no_leak(cohort):
    same = replace(cohort, cases=tuple(replace(case, subject="one") for case in cohort.cases))
    from napari_mmssl.cohorts.checks import check_voxels

    checked, _ = check_voxels(same)
    assert not [f for case in checked.cases for f in case.findings if f.kind == "possible_leak"]
