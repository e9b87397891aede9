"""Every layout as a folder tree of names."""

import json

import numpy as np
import pytest
from cohort_trees import found, found_names, kinds, texts, tree

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import LayoutError

BRATS = {
    "2018": (
        "HGG/Brats18_TCIA01_131_1/Brats18_TCIA01_131_1_{t1,t1ce,t2,flair,seg}.nii.gz",
        "BraTS 2018",
        "Brats18_TCIA01_131",
    ),
    "2019": ("LGG/BraTS19_2013_0_1/BraTS19_2013_0_1_{t1,t1ce,t2,flair,seg}.nii.gz", "BraTS 2019", "BraTS19_2013_0"),
    "2020": ("BraTS20_Training_001/BraTS20_Training_001_{t1,t1ce,t2,flair,seg}.nii", "BraTS 2020", None),
    "2021": ("BraTS2021_00495/BraTS2021_00495_{t1,t1ce,t2,flair,seg}.nii.gz", "BraTS 2021", None),
    "2023": (
        "BraTS-GLI-00005-001/BraTS-GLI-00005-001-{t1n,t1c,t2w,t2f,seg}.nii.gz",
        "BraTS 2023",
        "BraTS-GLI-00005",
    ),
}


@pytest.mark.parametrize("year", BRATS)
def test_brats_in_each_spelling(tmp_path, write_nifti, year):
    pattern, wanted_reason, subject = BRATS[year]
    start, _, rest = pattern.partition("{")
    middle, _, end = rest.partition("}")
    words = middle.split(",")
    tree(tmp_path, " ".join(f"{start}{word}{end}" for word in words), write_nifti)

    cohort = find_cohort(tmp_path)

    assert cohort.layout == "brats"
    assert wanted_reason in " ".join(cohort.reasons)
    (case,) = cohort.cases
    name = start.rpartition("/")[2]
    assert found(cohort)[case.id] == {
        modality: f"{name}{word}{end}"
        for modality, word in zip(["t1", "t1ce", "t2", "flair", "LABEL"], words, strict=True)
    }
    assert case.subject == (subject or case.id)
    assert case.findings == ()
    grade = start.partition("/")[0]
    assert case.clinical == ({"grade": grade} if grade in ("HGG", "LGG") else {})


def test_one_case_folder_of_brats(tmp_path, write_nifti):
    tree(tmp_path, "BraTS2021_00495/BraTS2021_00495_t1.nii.gz BraTS2021_00495/BraTS2021_00495_seg.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path / "BraTS2021_00495")
    assert (cohort.layout, [case.id for case in cohort.cases]) == ("brats", ["BraTS2021_00495"])


def test_the_case_of_brats_2020_whose_label_map_has_another_name(tmp_path, write_nifti):
    folder = "BraTS20_Training_355/"
    tree(tmp_path, f"{folder}BraTS20_Training_355_t1.nii {folder}W39_1998.09.19_Segm.nii", write_nifti)
    cohort = find_cohort(tmp_path)
    assert found(cohort) == {
        "BraTS20_Training_355": {"t1": "BraTS20_Training_355_t1.nii", "LABEL": "W39_1998.09.19_Segm.nii"}
    }


def test_plain_names_in_one_folder_per_case(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz a/FLAIR.nii a/seg_expert.nii.gz b/t1.nii.gz b/flair.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path)
    assert cohort.layout == "folder_per_case"
    assert found(cohort)["b"] == {"t1": "t1.nii.gz", "flair": "flair.nii.gz"}
    assert found(cohort)["a"] == {"t1": "t1.nii.gz", "flair": "FLAIR.nii", "LABEL": "seg_expert.nii.gz"}


def test_image_files_inside_a_case_folder_are_left_out_with_a_reason(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz a/native/t1.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path)
    assert found(cohort) == {"a": {"t1": "t1.nii.gz"}}
    assert "native" in " ".join(cohort.reasons)


def test_visits_of_a_person_share_the_subject(tmp_path, write_nifti):
    tree(tmp_path, "p1/week-044/t1.nii.gz p1/week-050/t1.nii.gz p2/week-044/t1.nii.gz", write_nifti)
    cases = find_cohort(tmp_path).cases
    assert [(case.id, case.subject) for case in cases] == [
        ("p1_week-044", "p1"),
        ("p1_week-050", "p1"),
        ("p2_week-044", "p2"),
    ]


def write_dataset(root, **content):
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def test_nnunet(tmp_path, write_nifti):
    tree(
        tmp_path,
        "imagesTr/c_1_0000.nii.gz imagesTr/c_1_0001.nii.gz labelsTr/c_1.nii.gz imagesTs/c_2_0000.nii.gz",
        write_nifti,
    )
    write_dataset(tmp_path, channel_names={"0": "T1", "1": "T2-FLAIR"}, labels={"background": 0}, file_ending=".nii.gz")
    cohort = find_cohort(tmp_path)
    assert cohort.layout == "nnunet"
    assert found(cohort) == {
        "c_1": {"t1": "c_1_0000.nii.gz", "flair": "c_1_0001.nii.gz", "LABEL": "c_1.nii.gz"},
        "c_2": {"t1": "c_2_0000.nii.gz"},
    }


def test_the_first_nnunet_said_modality_too(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/c_0000.nii.gz labelsTr/c.nii.gz", write_nifti)
    write_dataset(tmp_path, modality={"0": "CT"}, training=[])
    assert find_cohort(tmp_path).layout == "nnunet"


def test_nnunet_channels_that_are_no_modalities_are_asked_about(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/c_0000.nii.gz imagesTr/c_0001.nii.gz", write_nifti)
    write_dataset(tmp_path, channel_names={"0": "noNorm", "1": "T1"})
    (case,) = find_cohort(tmp_path).cases
    assert found_names(case) == {"t1": "c_0001.nii.gz"}
    assert "noNorm" in texts(case)


def test_nnunet_without_names_of_channels_is_refused(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/c_0000.nii.gz", write_nifti)
    with pytest.raises(LayoutError, match="nnU-Net"):
        find_cohort(tmp_path)


@pytest.fixture
def decathlon(tmp_path, write_nifti):
    for n in (1, 2):
        write_nifti(tmp_path / f"imagesTr/BRATS_00{n}.nii.gz", shape_xyz=(5, 6, 7, 4))
        write_nifti(tmp_path / f"labelsTr/BRATS_00{n}.nii.gz", dtype=np.uint8)
    write_dataset(
        tmp_path,
        modality={"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        training=[
            {"image": f"./imagesTr/BRATS_00{n}.nii.gz", "label": f"./labelsTr/BRATS_00{n}.nii.gz"} for n in (1, 2)
        ],
        test=["./imagesTs/BRATS_003.nii.gz"],
    )
    return tmp_path


def test_decathlon(decathlon):
    cohort = find_cohort(decathlon)
    assert cohort.layout == "msd"
    first, _, third = cohort.cases
    assert {name: scan.channel for name, scan in first.modalities.items()} == {"flair": 0, "t1": 1, "t1ce": 2, "t2": 3}
    assert first.modalities["t2"].geometry.shape == (7, 6, 5)
    assert first.label.path.name == "BRATS_001.nii.gz"
    # Listed, and not there: a finding on its case only.
    assert third.modalities == {}
    assert set(kinds(third)) == {"unreadable"}


def test_decathlon_of_one_modality_has_3d_files(tmp_path, write_nifti):
    tree(tmp_path, "imagesTr/liver_1.nii.gz labelsTr/liver_1.nii.gz", write_nifti)
    write_dataset(tmp_path, modality={"0": "CT"})
    (case,) = find_cohort(tmp_path).cases
    assert case.modalities["ct"].channel is None
    assert case.label is not None


def test_decathlon_with_fewer_channels_than_announced(tmp_path, write_nifti):
    write_nifti(tmp_path / "imagesTr/a.nii.gz", shape_xyz=(5, 6, 7, 2))
    write_dataset(tmp_path, modality={"0": "T1", "1": "T2", "2": "FLAIR"})
    (case,) = find_cohort(tmp_path).cases
    assert set(case.modalities) == {"t1", "t2"}
    assert "holds 2" in texts(case)


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", '{"modality": 3}', '{"modality": {"1": "T1"}}', '{"modality": {}}', "[" * 100_000,
     '{"modality": {"0": "T1"}, "training": 3}', '{"modality": {"0": "T1"}, "training": [{"image": 5, "label": 5}]}'],
)  # fmt: skip
def test_a_damaged_dataset_json_is_named(tmp_path, write_nifti, text):
    tree(tmp_path, "imagesTr/a.nii.gz", write_nifti)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(LayoutError, match=r"dataset\.json"):
        find_cohort(tmp_path)


def test_one_file_of_a_decathlon_has_its_channels(decathlon):
    cohort = find_cohort(decathlon / "imagesTr/BRATS_001.nii.gz")
    assert cohort.layout == "single_file"
    assert set(cohort.cases[0].modalities) == {"flair", "t1", "t1ce", "t2"}


def test_one_file(tmp_path, write_nifti):
    tree(tmp_path, "p_flair.nii.gz p_seg.nii.gz AIL.nii.gz", write_nifti)
    flair, seg, other = (find_cohort(tmp_path / name) for name in ("p_flair.nii.gz", "p_seg.nii.gz", "AIL.nii.gz"))
    assert found(flair) == {"p_flair": {"flair": "p_flair.nii.gz"}}
    assert found(seg) == {"p_seg": {"LABEL": "p_seg.nii.gz"}}
    assert found(other) == {"AIL": {"unknown": "AIL.nii.gz"}}
    assert kinds(other.cases[0]) == ["missing_modality"]


def test_one_4d_file_that_nothing_explains(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "perfusion.nii.gz", shape_xyz=(5, 6, 7, 3))
    (case,) = find_cohort(path).cases
    assert case.modalities == {}
    assert "not_a_volume" in kinds(case)
    assert "3 volumes of 7 x 6 x 5" in texts(case)
