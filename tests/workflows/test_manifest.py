"""The manifest as a person meets it: written by inspect, corrected in a spreadsheet, read by everything."""

import csv
import json

import numpy as np
import pytest

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import ConfigError, LayoutError
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.workflows.manifest import manifest_rows, save_manifest, save_rows
from napari_mmssl.workflows.material import fingerprint, gather


@pytest.fixture
def cohort(tmp_path, write_nifti):
    for name in ("a/t1.nii.gz", "a/scan7.nii.gz", "a/seg_one.nii.gz", "a/seg_two.nii.gz", "b/t1.nii.gz"):
        write_nifti(tmp_path / "cohort" / name, dtype=np.uint8 if "seg" in name else np.int16)
    return tmp_path / "cohort"


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def test_files_that_were_not_taken_are_listed_and_can_be_given_a_role(cohort, tmp_path):
    file = tmp_path / "mine.csv"
    assert main(["inspect", str(cohort), "--save-manifest", str(file)]) == 0
    rows = read(file)
    left = [row["path"] for row in rows if row["role"] == "left_out"]
    assert left == ["cohort/a/scan7.nii.gz", "cohort/a/seg_one.nii.gz", "cohort/a/seg_two.nii.gz"]
    assert "seg_two" in next(row["note"] for row in rows if row["note"])

    roles = {"scan7": ("modality", "FLAIR"), "seg_two": ("label", "")}
    for row in rows:
        for word, (role, modality) in roles.items():
            if word in row["path"]:
                row["role"], row["modality"] = role, modality
    # As a spreadsheet of a German writes it.
    write(file, rows, delimiter=";")
    first, second = find_cohort(file).cases
    assert {name: scan.path.name for name, scan in first.modalities.items()} == {
        "t1": "t1.nii.gz",
        "flair": "scan7.nii.gz",
    }
    assert first.label.path.name == "seg_two.nii.gz"
    assert (second.id, second.findings) == ("b", ())


def test_a_folder_in_no_layout_gives_a_list_to_fill_in(tmp_path, write_nifti, capsys):
    write_nifti(tmp_path / "pile/x1.nii.gz")
    write_nifti(tmp_path / "pile/deeper/x2.nii.gz")
    file = tmp_path / "mine.csv"
    assert main(["inspect", str(tmp_path / "pile"), "--save-manifest", str(file)]) == 2
    assert "its 2 image files are listed" in capsys.readouterr().err
    rows = read(file)
    assert [(row["case"], row["role"]) for row in rows] == [("pile", "left_out"), ("deeper", "left_out")]
    with pytest.raises(LayoutError, match="no row"):
        find_cohort(file)
    for row in rows:
        row["role"], row["modality"] = "modality", "ct"
    write(file, rows)
    assert [case.id for case in find_cohort(file).cases] == ["deeper", "pile"]


def test_a_manifest_that_is_there_is_not_written_over(cohort, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("hours of work")
    for name in ("mine.csv", "gone/mine.csv", "mine.xlsx"):
        with pytest.raises(ConfigError):
            save_manifest(find_cohort(cohort), tmp_path / name)
    assert main(["inspect", str(cohort), "--save-manifest", str(file)]) == 2
    assert file.read_text() == "hours of work"


def test_rows_that_a_person_changed_are_written_and_replace_the_file_only_if_asked(cohort, tmp_path):
    file = tmp_path / "mine.json"
    rows = manifest_rows(find_cohort(cohort), file)
    save_rows([row for row in rows if row["case"] == "b"], file)
    assert [case.id for case in find_cohort(file).cases] == ["b"]
    with pytest.raises(ConfigError, match="corrections"):
        save_rows(rows, file)
    save_rows(rows, file, replace=True)
    assert [case.id for case in find_cohort(file).cases] == ["a", "b"]
    assert json.loads(file.read_text())["version"] == 1


HEAD = "case,role,modality,path,age_years,survival_observed,subject,channel"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name,file\na,b", "no column case, role, path"),
        ("", "no column"),
        (f"{HEAD}\na,image,t1,x.nii,,,,", "roles are modality, label"),
        (f"{HEAD}\na,modality,t1,x.nii,,,,\na,modality,T1w,y.nii,,,,", "two rows for t1"),
        (f"{HEAD}\na,label,,x.nii,,,,\na,label,,y.nii,,,,", "2 rows for label maps"),
        (f"{HEAD}\n,modality,t1,x.nii,,,,", "name no case"),
        (f"{HEAD}\na,modality,,x.nii,,,,", "names no modality"),
        (f"{HEAD}\na,modality,t1,x.nii,60,,,\na,modality,t2,y.nii,61,,,", "disagree on age_years"),
        (f"{HEAD}\na,modality,t1,x.nii,old,,,", "'old' is no value of age_years; it is a number"),
        (f"{HEAD}\na,modality,t1,x.nii,,perhaps,,", "it is true or false"),
        (f"{HEAD}\na,modality,t1,x.nii,,,p,\na,modality,t2,y.nii,,,q,", "more than one subject: p, q"),
        (f"{HEAD}\na,modality,t1,x.nii,,,,-1", "channel '-1'"),
        (f"{HEAD}\n\0", "damaged"),
    ],
)
def test_a_wrong_manifest_is_refused_in_a_sentence(tmp_path, text, wanted):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(LayoutError, match=wanted):
        find_cohort(tmp_path / "m.csv")


@pytest.mark.parametrize(
    "data",
    [
        [1],
        {"format": "mmssl-manifest", "version": 2, "rows": []},
        {"format": "mmssl-manifest", "version": 1},
        {"format": "mmssl-manifest", "version": 1, "rows": [1]},
        {"format": "mmssl-manifest", "version": 1, "rows": [{"case": ["a"]}]},
        {"something": "else"},
        {"training": [{"t1": 3}]},
        {"training": [{"image": [3]}]},
        {"datasets": {"a": {"subjects": 3}}},
    ],
)
def test_a_damaged_list_is_refused_in_a_sentence(tmp_path, data):
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(LayoutError, match=r"m\.json"):
        find_cohort(tmp_path / "m.json")


def test_a_missing_file_of_a_manifest_is_a_finding_and_paths_may_lead_anywhere(tmp_path, write_nifti):
    write_nifti(tmp_path / "elsewhere/ö x.nii.gz")
    (tmp_path / "lists").mkdir()
    absolute = tmp_path / "elsewhere/ö x.nii.gz"
    (tmp_path / "lists/m.csv").write_text(
        f"case,role,modality,path\na,modality,t1,../elsewhere/ö x.nii.gz\na,modality,t2,{absolute}\n"
        "a,modality,ct,../../../gone.nii.gz\na,label,,no_folder/seg.nii.gz\n",
        encoding="utf-8",
    )
    (case,) = find_cohort(tmp_path / "lists/m.csv").cases
    assert set(case.modalities) == {"t1", "t2"}
    assert [finding.kind for finding in case.findings] == ["unreadable", "unreadable"]
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == ["m.csv"]


def test_a_training_is_fed_the_same_from_the_manifest_as_from_the_folder(tmp_path, write_nifti):
    for n in range(6):
        write_nifti(tmp_path / f"cohort/p{n // 2}/week-{n}/t1.nii.gz", affine=np.diag([1.0, 1.0, 1.0 + n, 1.0]))
        write_nifti(
            tmp_path / f"cohort/p{n // 2}/week-{n}/seg.nii.gz", affine=np.diag([1.0, 1.0, 1.0 + n, 1.0]), dtype=np.uint8
        )
    save_manifest(find_cohort(tmp_path / "cohort"), tmp_path / "mine.csv")
    by_folder, by_file = (gather(tmp_path / name, DataSettings(), 3, labelled=True) for name in ("cohort", "mine.csv"))
    assert [case.id for case in by_file.train] == [case.id for case in by_folder.train]
    assert (by_file.split, by_file.spacing_mm, by_file.modalities) == (
        by_folder.split,
        by_folder.spacing_mm,
        by_folder.modalities,
    )
    assert fingerprint(by_file.cohort) == fingerprint(by_folder.cohort)
