import pytest

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.clinical import read_clinical, survival


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
