"""Traps in cohorts that have a layout of their own."""

import json

import numpy as np
import pytest
from cohort_trees import found, kinds, texts, tree
from layout_trees import TREES
from made_dicom import dataset, places, save, write_series

from napari_mmssl.cohorts.find import find_cohort, recognise
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.errors import LayoutError
from napari_mmssl.workflows.manifest import manifest_rows, save_rows


def test_operated_people_and_children_are_said_of_brats(tmp_path, write_nifti):
    for name in ("BraTS-GLI-02063-100", "BraTS-GLI-02063-101", "BraTS-PED-00001-000"):
        tree(tmp_path, f"{name}/{name}-t1n.nii.gz {name}/{name}-t1c.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path)
    said = " ".join(cohort.reasons)
    assert "resection cavity" in said
    assert "tumours of children" in said
    assert [(case.subject, case.session) for case in cohort.cases] == [
        ("BraTS-GLI-02063", "100"),
        ("BraTS-GLI-02063", "101"),
        ("BraTS-PED-00001", "000"),
    ]


def test_brats_as_its_archive_unpacks_it_with_tables_beside_the_cases(tmp_path, write_nifti):
    inner = "MICCAI_BraTS2020/MICCAI_BraTS2020_TrainingData/"
    name = "BraTS20_Training_001"
    tree(tmp_path, f"{inner}{name}/{name}_t1.nii {inner}{name}/{name}_flair.nii", write_nifti)
    (tmp_path / inner / "survival_info.csv").write_text(
        f"Brats20ID,Age,Survival_days\n{name},60.5,ALIVE (361 days later)\n"
    )
    (case,) = find_cohort(tmp_path).cases
    assert case.clinical == {"age_years": 60.5, "survival_days": 361, "survival_observed": False}


def test_the_same_number_below_train_and_test_of_mrbrains_is_two_people(tmp_path, write_nifti):
    names = " ".join(
        f"{part}/1/{file}.nii"
        for part in ("TrainingData", "TestData")
        for file in ("T1", "T1_1mm", "T1_IR", "T2_FLAIR")
    )
    tree(tmp_path, names, write_nifti)
    assert len({case.subject for case in find_cohort(tmp_path).cases}) == 2
    (case,) = find_cohort(tmp_path / "TrainingData/1").cases
    assert found(find_cohort(tmp_path / "TrainingData/1"))[case.id]["t1"] == "T1.nii"


def test_ixi_with_everything_in_one_folder_and_the_table_as_it_comes(tmp_path, write_nifti):
    tree(tmp_path, "IXI002-Guys-0828-T1.nii.gz IXI002-Guys-0828-MRA.nii.gz IXI013-HH-1212-T1.nii.gz", write_nifti)
    (tmp_path / "IXI.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    cohort = find_cohort(tmp_path)
    assert {case.id: set(case.modalities) for case in cohort.cases} == {
        "IXI002-Guys-0828": {"t1", "mra"},
        "IXI013-HH-1212": {"t1"},
    }
    assert "save it as IXI.csv" in " ".join(cohort.reasons)


def test_isles_flattened_to_one_folder(tmp_path, write_nifti):
    start = "sub-strokecase0007_ses-0001_"
    tree(tmp_path, f"{start}dwi.nii.gz {start}adc.nii.gz {start}msk.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path)
    assert cohort.layout == "isles2022"
    assert {*cohort.cases[0].modalities, cohort.cases[0].label.path.name} == {"dwi", "adc", f"{start}msk.nii.gz"}


def test_the_second_scan_of_a_day_is_left_out_of_adni_and_named(tmp_path, write_nifti):
    base = "002_S_0295/{}/2006-04-18_08_20_30.0/{}/x.nii"
    tree(tmp_path, f"{base.format('MP-RAGE', 'I13722')} {base.format('MP-RAGE_REPEAT', 'I13724')} "
         f"{base.format('Field_Mapping', 'I1')}", write_nifti)  # fmt: skip
    (case,) = find_cohort(tmp_path).cases
    assert case.modalities["t1"].path.parent.name == "I13722"
    assert "MP-RAGE_REPEAT/I13724" in texts(case)
    assert "Field_Mapping/I1" in texts(case)


def test_contours_of_schwannoma_are_named_and_its_t1_is_one_after_contrast_agent(tmp_path, rng):
    study = tmp_path / "VS-SEG-001" / "study"
    for n, words in enumerate(("t1_mpr_tra", "t2_ci3d_tra")):
        tags = {"series": f"1.2.{n}", "SeriesDescription": words}
        write_series(study / f"{n}.000-{words}", places(4), rng, **tags)
    contours = dataset(rng.integers(0, 9, (4, 4)).astype("uint16"), (0, 0, 0), series="1.2.9", modality="RTSTRUCT")
    del contours.PixelData
    save(contours, study / "3.000-contours" / "1.dcm")
    cohort = find_cohort(tmp_path)
    (case,) = cohort.cases
    assert (cohort.layout, set(case.modalities)) == ("vs_seg", {"t1ce", "t2"})
    assert "RTSTRUCT" in texts(case)


def test_ct_and_mr_of_chaos_are_never_one_person(tmp_path, rng):
    for place, modality in (("CT/1/DICOM_anon", "CT"), ("MR/1/T2SPIR/DICOM_anon", "MR")):
        write_series(tmp_path / "Train_Sets" / place, places(3), rng, modality=modality, series=f"1.{len(place)}")
    cases = find_cohort(tmp_path / "Train_Sets").cases
    assert {case.subject: set(case.modalities) for case in cases} == {"CT_1": {"ct"}, "MR_1": {"t2spir"}}


def test_a_damaged_series_of_chaos_is_a_finding_on_its_case(tmp_path, rng):
    folder = tmp_path / "CT/1/DICOM_anon"
    write_series(folder, [places(5)[n] for n in (0, 1, 3, 4)], rng, modality="CT")
    (tmp_path / "CT/2/DICOM_anon").mkdir(parents=True)
    (tmp_path / "CT/2/DICOM_anon/a.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 50)
    first, second = find_cohort(tmp_path).cases
    assert (first.modalities, kinds(first)) == ({}, ["missing_slice"])
    assert "unreadable" in kinds(second)


def test_the_other_label_map_of_chaos_is_taken_if_the_manifest_says_so(tmp_path, write_nifti, rng):
    TREES["chaos"].make(tmp_path, write_nifti, rng)
    file = tmp_path / "mine.json"
    rows = manifest_rows(find_cohort(tmp_path), file)
    for row in rows:
        if row["case"] == "MR_1" and row["role"] == "label":
            row |= {"path": row["path"].replace("T1DUAL", "T2SPIR"), "grid_of": "t2spir"}
    save_rows(rows, file)
    cohort = find_cohort(file)
    case = cohort.case("MR_1")
    label = read_label(case.label)
    assert label.geometry.same_grid(case.modalities["t2spir"].geometry)
    assert not label.geometry.same_grid(case.modalities["t1in"].geometry)
    assert np.unique(label.array).tolist() == [0, 1, 2, 3, 4]
    assert cohort.label_names[4] == "spleen"


def listed(tmp_path, data):
    (tmp_path / "list.json").write_text(json.dumps(data))
    return {case.id: set(case.modalities) for case in find_cohort(tmp_path / "list.json").cases}


def test_a_list_of_images_in_each_of_its_spellings(tmp_path, write_nifti):
    tree(tmp_path, "p1/t1.nii.gz p1/flair.nii.gz p2/t1.nii.gz q_1-T1.nii q_1-T1c.nii", write_nifti)
    assert listed(tmp_path, {"training": [{"image": ["q_1-T1.nii", "q_1-T1c.nii"]}]}) == {"q_1": {"t1", "t1ce"}}
    assert listed(tmp_path, {"training": [{"image": "p1/t1.nii.gz"}], "test": ["p2/t1.nii.gz"]}) == {
        "p1": {"t1"},
        "p2": {"t1"},
    }
    by_key = {"T1w": "q_1-T1.nii", "flair": "p1/flair.nii.gz", "fold": 3}
    assert list(listed(tmp_path, {"validation": [by_key]}).values()) == [{"t1", "flair"}]


def test_a_dataset_json_stands_for_its_folder(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/a.nii labelsTr/a.nii imagesTr/ignored.nii", write_nifti)
    listed = {"modality": {"0": "CT"}, "training": [{"image": "imagesTr/a.nii", "label": "labelsTr/a.nii"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    by_file, by_folder = find_cohort(tmp_path / "dataset.json"), find_cohort(tmp_path)
    assert (
        (by_file.layout, found(by_file))
        == (by_folder.layout, found(by_folder))
        == ("msd", {"a": {"ct": "a.nii", "LABEL": "a.nii"}})
    )


@pytest.mark.parametrize("name", ["x.csv", "x.json", "dataset.json"])
def test_a_table_or_list_of_something_else_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / name).write_text('{"a": 1}')
    with pytest.raises(LayoutError, match=name):
        find_cohort(tmp_path / name)


def test_names_that_start_alike_are_told_apart_in_one_folder(tmp_path, write_nifti):
    tree(tmp_path, "p1_t1.nii p1_b_t1.nii p1_flair.nii p1_b_seg.nii p1_seg.nii notes.nii", write_nifti)
    assert found(find_cohort(tmp_path)) == {
        "p1": {"t1": "p1_t1.nii", "flair": "p1_flair.nii", "LABEL": "p1_seg.nii"},
        "p1_b": {"t1": "p1_b_t1.nii", "LABEL": "p1_b_seg.nii"},
    }


def test_recognising_a_cohort_opens_no_image(tmp_path):
    for n in range(3):
        name = f"UCSF-PDGM-000{n}"
        (tmp_path / f"{name}_nifti").mkdir()
        for ending in ("T1", "FLAIR", "tumor_segmentation"):
            (tmp_path / f"{name}_nifti/{name}_{ending}.nii.gz").write_bytes(b"no image")
    assert recognise(tmp_path)[0] == "ucsf_pdgm"


def test_loops_of_links_and_odd_names_are_walked_once(tmp_path, write_nifti):
    name = "sub-strokecase0001_ses-0001_dwi.nii.gz"
    write_nifti(tmp_path / "a b ü" / name)
    for place in (tmp_path, tmp_path / "a b ü"):
        (place / "loop").symlink_to(tmp_path, target_is_directory=True)
        (place / "itself").symlink_to(place / "itself")
    cohort = find_cohort(tmp_path)
    assert {case.id: list(case.modalities) for case in cohort.cases} == {"sub-strokecase0001_ses-0001": ["dwi"]}


@pytest.mark.parametrize(
    ("series", "wanted"),
    [
        ("MP-RAGE", "t1"),
        ("MPR__GradWarp__B1_Correction__N3__Scaled", "t1"),
        ("MT1__GradWarp__N3m", "t1"),
        ("Accelerated_SAG_IR-SPGR", "t1"),
        ("Sagittal_3D_FLAIR", "flair"),
        ("Axial_T2_STAR", "t2star"),
        ("Axial_T2_FSE", "t2"),
        ("Axial_PD_T2_FSE", None),
        ("AV45_Coreg__Avg__Standardized_Image_and_Voxel_Size", "pet"),
        ("Axial_DTI", None),
        ("3_Plane_Localizer", None),
    ],
)
def test_the_words_of_a_series_of_adni(tmp_path, write_nifti, series, wanted):
    for name in {series, "MP-RAGE"}:
        write_nifti(tmp_path / f"002_S_0295/{name}/2006-04-18_08_20_30.0/I{len(name)}/x.nii")
    (case,) = find_cohort(tmp_path).cases
    assert set(case.modalities) == {"t1", wanted} - {None}


def test_visits_in_one_folder_are_those_of_one_person(tmp_path, write_nifti):
    tree(tmp_path, " ".join(f"p/visit{n}_{modality}.nii" for n in (1, 2) for modality in ("t1", "flair")), write_nifti)
    cases = find_cohort(tmp_path / "p").cases
    assert [(case.id, case.subject, case.session) for case in cases] == [
        ("p_visit1", "p", "visit1"),
        ("p_visit2", "p", "visit2"),
    ]


def test_a_person_s_scans_before_and_after_registration_are_not_two_people(tmp_path, write_nifti):
    tree(tmp_path, "p/native_t1.nii p/registered_t1.nii p/t2.nii", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert set(case.modalities) == {"t2"}
    assert "may all be t1" in texts(case)
