from pathlib import Path

import numpy as np
import pytest

from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks.convention_choice import choose, choose_for
from napari_mmssl.volumes.geometry import Geometry


def cohort(*values: set[int]) -> dict[str, set[int]]:
    return {f"case-{n}": met for n, met in enumerate(values)}


@pytest.mark.parametrize(
    ("values", "layout", "modalities", "name"),
    [
        (cohort({0, 1}, {0, 1}, {0}), "folder_per_case", (), "lesion"),
        (cohort({0, 1, 2, 4}, {0, 1, 2}, {0, 2, 4}, set()), "brats", (), "brats2018"),
        (cohort({1, 2, 4}), "folder_per_case", (), "brats2018"),
        (cohort({1, 2}), "brats", (), "brats2018"),
        (cohort({0, 1, 2, 3}), "msd", ("t1", "t1ce", "t2", "flair"), "msd_task01"),
        (cohort({0, 1, 2}), "msd", ("t2", "adc"), "prostate_zones"),
        (cohort({0, 1, 2}), "msd", ("ct",), "values"),
        (cohort({1, 2, 3}), "brats", (), "values"),
        (cohort({1, 2, 3}), "folder_per_case", (), "values"),
        (cohort({1, 2}), "folder_per_case", ("t2", "adc"), "values"),
        (cohort({1, 2, 3, 4}), "brats", (), "values"),
        (cohort({5, 6}, {5}), "folder_per_case", (), "values"),
    ],
)
def test_a_coding_is_chosen_with_its_reason(values, layout, modalities, name):
    convention, reason = choose(values, layout, modalities)
    assert convention.name == name
    assert reason.startswith("the label maps hold ")
    assert all(str(value) in reason for value in set().union(*values.values()) - {0})


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("BraTS-GLI-00001-000-{}.nii.gz", "brats2023"), ("BraTS2021_00001_{}.nii.gz", "values")],
)
def test_the_spelling_of_the_files_tells_brats_2023_from_others(spelling, name):
    names = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"} if name == "brats2023" else {"t1": "t1"}
    grid = Geometry((2, 2, 2), np.eye(4))
    scans = {modality: ScanFile(Path(spelling.format(word)), grid) for modality, word in names.items()}
    found = Cohort(Path(), "brats", (), (Case("a", "a", scans), Case("b", "b", scans)))
    assert choose_for(found, {"a": [0, 1, 2, 3], "b": [2]})[0].name == name


def test_an_unknown_coding_keeps_every_value_as_a_class():
    convention, reason = choose(cohort({2, 5}, {3}), "folder_per_case")
    assert [(c.value, c.name) for c in convention.classes] == [(2, "label 2"), (3, "label 3"), (5, "label 5")]
    assert "a class of its own" in reason


@pytest.mark.parametrize(
    "values",
    [
        cohort({1, 2, 4}, {1, 2, 3}),
        cohort({1, 2, 4}, {1}),
        cohort({1, 2}, {0, 1}, {0}),
        cohort({1}, {255}),
        cohort({1, 2, 4}, {1, 2, 3}, {1, 2}, {1}),
    ],
)
def test_cases_coded_differently_are_refused_with_the_way_out(values):
    with pytest.raises(ConfigError, match=r"coded differently: 'case-\d' holds .* and 'case-\d' .*--regions lesion"):
        choose(values, "folder_per_case")


@pytest.mark.parametrize("values", [{}, cohort({0}, set())])
def test_a_cohort_without_labels_is_refused(values):
    with pytest.raises(ConfigError, match="nothing to learn from"):
        choose(values, "folder_per_case")


def spelled(challenge):
    return [f"BraTS-{challenge}-00001-000-{word}" for word in ("t1n", "t1c", "t2w", "t2f")]


@pytest.mark.parametrize(
    ("challenge", "values", "name"),
    [
        ("GLI", cohort({1, 2, 3}), "brats2023"),
        # After an operation there may be no enhancing tumour left; no case is coded as in 2018.
        ("GLI", cohort({1, 2, 3}, {2, 4}, {1, 2, 4}), "brats2024"),
        ("MET", cohort({1, 2, 3, 4}), "brats2024"),
        ("PED", cohort({1, 2, 3, 4}, {1, 2}), "brats_ped2024"),
        ("PED", cohort({1, 2, 3}), "values"),
    ],
)
def test_sub_challenges_and_operations_change_the_coding(challenge, values, name):
    convention, reason = choose(values, "brats", file_names=spelled(challenge))
    assert convention.name == name
    assert name != "values" or "brats_ped2024" in reason


def test_children_and_adults_together_are_refused():
    with pytest.raises(ConfigError, match="BraTS-PED"):
        choose(cohort({1, 2, 3}), "brats", file_names=[*spelled("PED"), *spelled("GLI")])


def test_a_cohort_that_names_its_labels_is_believed():
    names = {1: "liver", 2: "spleen", 3: "kidney"}
    convention, reason = choose(cohort({1, 2}, {1}), "nnunet", ("ct",), (), names)
    assert [(c.value, c.name) for c in convention.classes] == [(1, "liver"), (2, "spleen")]
    assert "1 liver, 2 spleen" in reason
    only, _ = choose(cohort({1}), "chaos", ("ct",), (), names)
    assert [c.name for c in only.classes] == ["liver"]
    # What is in the labels and not in the names is another coding.
    assert choose(cohort({1, 7}), "nnunet", ("ct",), (), names)[0].classes[0].name == "label 1"
