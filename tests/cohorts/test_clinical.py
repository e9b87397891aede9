import pytest

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.clinical import read_clinical, survival
from napari_mmssl.cohorts.clinical_summary import describe_clinical


def cases(*ids):
    return [Case(case_id, case_id, {}) for case_id in ids]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("361", {"survival_days": 361, "survival_observed": True}),
        (" 289.0 ", {"survival_days": 289, "survival_observed": True}),
        ("ALIVE (361 days later)", {"survival_days": 361, "survival_observed": False}),
        ("alive (36 days later)", {"survival_days": 36, "survival_observed": False}),
        ("NA", {}),
        ("", {}),
        ("-5", {}),
        ("nan", {}),
        ("inf", {}),
        ("ALIVE", {}),
    ],
)
def test_one_cell_of_survival(cell, wanted):
    assert survival(cell) == wanted


def test_survival_table_of_brats_2018(tmp_path):
    rows = [
        "BraTS18ID,Age,Survival,ResectionStatus",
        "Brats18_A_1,74.907,153,GTR",
        "Brats18_B_1,66.5,ALIVE (361 days later),NA",
    ]
    (tmp_path / "survival_data.csv").write_text("\n".join(rows))
    values, reasons = read_clinical([tmp_path], cases("Brats18_A_1", "Brats18_B_1", "Brats18_C_1"))
    assert values == {
        "Brats18_A_1": {"age_years": 74.907, "survival_days": 153, "survival_observed": True, "resection": "GTR"},
        "Brats18_B_1": {"age_years": 66.5, "survival_days": 361, "survival_observed": False},
    }
    assert "2 of 3" in reasons[0]


def test_tables_of_brats_2020_with_blanks_and_a_byte_order_mark(tmp_path):
    (tmp_path / "survival_info.csv").write_text(
        "\ufeffBrats20ID,Age,Survival_days,Extent_of_Resection\n BraTS20_Training_001 ,60.4,289,GTR\n", encoding="utf-8"
    )
    (tmp_path / "name_mapping.csv").write_text(
        "Grade,BraTS_2017_subject_ID,TCGA_TCIA_subject_ID,BraTS_2020_subject_ID\nHGG,Brats17_X,NA,BraTS20_Training_001\n"
    )
    values, _ = read_clinical([tmp_path], cases("BraTS20_Training_001"))
    assert values["BraTS20_Training_001"] == {
        "age_years": 60.4,
        "survival_days": 289,
        "survival_observed": True,
        "resection": "GTR",
        "grade": "HGG",
    }


def ages(tmp_path, rows, *ids):
    (tmp_path / "survival_info.csv").write_text("ID,Age\n" + "".join(f"{name},{age}\n" for name, age in rows))
    values, _ = read_clinical([tmp_path], cases(*ids))
    return {case_id: row["age_years"] for case_id, row in values.items()}


def test_three_digits_and_four_digits_mean_the_same_person(tmp_path):
    assert ages(tmp_path, [("UCSF-PDGM-004", 40)], "UCSF-PDGM-0004") == {"UCSF-PDGM-0004": 40}


def test_an_exact_id_is_not_taken_for_its_likeness(tmp_path):
    rows = [("P-004", 40), ("P-0004", 41)]
    assert ages(tmp_path, rows, "P-0004") == {"P-0004": 41}
    assert ages(tmp_path, rows, "P-0004", "P-004") == {"P-0004": 41, "P-004": 40}
    # 40 is the only row left; but it could be either of two people.
    assert ages(tmp_path, [("P-4", 40)], "P-0004", "P-004") == {}
    assert ages(tmp_path, rows, "P-00004") == {}


def test_numbers_inside_do_not_lose_zeros_of_their_value(tmp_path):
    assert ages(tmp_path, [("P-10", 40), ("P-100", 41)], "P-0100", "P-010") == {"P-0100": 41, "P-010": 40}


def test_an_id_that_is_there_twice_is_not_used(tmp_path):
    assert ages(tmp_path, [("A", 40), ("A", 50)], "A") == {}


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0\0", b"", b'ID,Age\n"A', b"Age\n3\n", b"ID,Age\nA,3,4,5\nA\n", b"\0\0"]
)
def test_a_damaged_table_gives_nothing_and_no_error(tmp_path, content):
    (tmp_path / "survival_data.csv").write_bytes(content)
    values, reasons = read_clinical([tmp_path], cases("Z"))
    assert values == {}
    assert len(reasons) == 1


def test_the_nearest_folder_with_a_table_counts(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "survival_info.csv").write_text("ID,Age\nA,1\n")
    (tmp_path / "a/survival_info.csv").write_text("ID,Age\nA,2\n")
    assert read_clinical([tmp_path / "a", tmp_path], cases("A"))[0]["A"]["age_years"] == 2


def clinical(folder, name, *lines, **aliases):
    (folder / name).write_text("\n".join(lines))
    found, reasons = read_clinical(
        [folder], cases(*aliases), {key: tuple(value.split()) for key, value in aliases.items()}
    )
    return found, " ".join(reasons)


def test_a_table_is_known_by_its_columns_and_codes_are_read_in_known_tables_only(tmp_path):
    abide = clinical(tmp_path, "whatever.csv", "SUB_ID,DX_GROUP,SEX,AGE_AT_SCAN", "50002,2,2,-9999", a="0050002")
    assert abide[0] == {"a": {"sex": "F", "class": "control"}}
    assert "ABIDE" in abide[1]
    (tmp_path / "whatever.csv").unlink()
    other, _ = clinical(tmp_path, "people.csv", "ID,Sex,Age", "a,2,40", a="")
    assert other == {"a": {"age_years": 40.0}}


def test_survival_without_a_word_on_death_is_left_out(tmp_path):
    head = "ID,Age_at_scan_years,Survival_from_surgery_days_UPDATED,Survival_Status"
    found, _ = clinical(tmp_path, "t.csv", head, "a,50,300,Not Available", "b,50,300,CENSORED", a="", b="")
    assert found["a"] == {"age_years": 50.0}
    assert found["b"] == {"age_years": 50.0, "survival_days": 300, "survival_observed": False}


def test_rows_of_one_person_count_as_far_as_they_agree(tmp_path):
    rows = ["ID,Age,Sex,Survival_days", "a,60,F,100", "a,61,F,ALIVE (200 days later)"]
    assert clinical(tmp_path, "survival_info.csv", *rows, a="")[0] == {"a": {"sex": "F"}}


def test_one_significant_finding_makes_a_significant_case(tmp_path):
    rows = ["ProxID,fid,pos,zone,ClinSig", "X-1,1,,PZ,FALSE", "X-1,2,,PZ,TRUE", "X-2,1,,TZ,FALSE"]
    found, _ = clinical(tmp_path, "f.csv", *rows, a="X-1", b="X-2")
    assert found == {"a": {"class": "csPCa"}, "b": {"class": "no csPCa"}}


def test_the_most_exact_name_of_a_case_counts(tmp_path):
    rows = ["Image Data ID,Subject,Group,Age,Sex", "I1,P,MCI,70,M", "I2,P,AD,72,M"]
    found, _ = clinical(tmp_path, "adni.csv", *rows, day1="I1 P", day2="I2 P", other="I3 P")
    assert found["day1"] == {"class": "MCI", "age_years": 70.0, "sex": "M"}
    assert found["day2"]["class"] == "AD"
    # Of a visit without a row of its own only what cannot change is known.
    assert found.get("other", {}) in ({}, {"sex": "M"})


def test_tables_that_say_nothing_of_the_cases_are_not_spoken_of(tmp_path):
    manifest = ["case,subject,role,modality,path,age_years", "a,a,modality,t1,x.nii,40"]
    assert clinical(tmp_path, "list.csv", "file,split", "x,train", a="") == ({}, "")
    assert clinical(tmp_path, "mine.csv", *manifest, a="") == ({}, "")


def test_a_summary_shows_what_was_read():
    of_three = [
        Case("a", "a", {}, clinical={"age_years": 40.5, "survival_days": 100, "survival_observed": True}),
        Case(
            "b", "b", {}, clinical={"age_years": 60.0, "survival_days": 361, "survival_observed": False, "grade": "4"}
        ),
        Case("c", "c", {}),
    ]
    assert describe_clinical(of_three) == [
        "age_years: 40.5 to 60 (2 of 3 cases)",
        "survival_days: 100 to 361; 1 last seen alive (2 of 3 cases)",
        "grade: 4: 1 (1 of 3 cases)",
    ]
    assert describe_clinical([]) == []
