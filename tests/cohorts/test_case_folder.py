"""What is made of the names of the files of one case; nothing is guessed."""

import pytest
from cohort_trees import found, found_names, kinds, texts, tree

from napari_mmssl.cohorts.find import find_cohort


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("UPENN-GBM-00001_11_T1GD.nii.gz UPENN-GBM-00001_11_segm.nii.gz", {"t1ce", "LABEL"}),
        ("IXI002-Guys-0828-T1.nii.gz IXI002-Guys-0828-PD.nii.gz", {"t1", "pd"}),
        ("UCSF-PDGM-0004_T1c_bias.nii.gz UCSF-PDGM-0004_tumor_segmentation.nii.gz", {"t1ce", "LABEL"}),
        ("T1.nii T2_FLAIR.nii T1_IR.nii LabelsForTraining.nii", {"t1", "flair", "t1ir"}),
        ("sub-1_T1w.nii.gz sub-1_T2starw.nii.gz sub-1_ce-gadolinium_T1w.nii.gz", {"t1", "t2star", "t1ce"}),
        ("sub-ct_label-22_ct.nii.gz sub-ct_seg-vert_label-22_msk.nii.gz", {"ct", "LABEL"}),
        ("t1.nii.gz seg_t1.nii.gz", {"t1", "LABEL"}),
        ("X_T1_slice90.nii.gz X_T1C_slice90.nii.gz X_truth_slice90.nii.gz", {"t1", "t1ce", "LABEL"}),
    ],
)
def test_names_with_more_in_front(tmp_path, write_nifti, names, wanted):
    folder = tmp_path / "case"
    tree(folder, names, write_nifti)
    cohort = find_cohort(folder)
    (case,) = found(cohort).values()
    assert set(case) == wanted


def test_several_label_maps_are_asked_about(tmp_path, write_nifti):
    tree(tmp_path / "p", "t2.nii.gz seg_gland.nii.gz seg_zones.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert case.label is None
    assert kinds(case) == ["label_candidates"]
    assert "seg_gland.nii.gz" in texts(case)
    assert "seg_zones.nii.gz" in texts(case)


@pytest.mark.parametrize("prefix", ["", "p_"])
def test_a_label_map_called_seg_and_nothing_more_wins_and_it_is_said(tmp_path, write_nifti, prefix):
    tree(tmp_path / "p", f"{prefix}t2.nii.gz {prefix}seg.nii.gz {prefix}seg_zones.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert case.label.path.name == f"{prefix}seg.nii.gz"
    assert kinds(case) == ["label_candidates"]


def test_a_brain_mask_is_no_label_map(tmp_path, write_nifti):
    tree(tmp_path / "p", "t2.nii.gz brain_mask.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert case.label is None
    assert "mask of the brain" in texts(case)


def test_two_files_for_one_modality_are_not_guessed_about(tmp_path, write_nifti):
    tree(tmp_path / "p", "t2.nii.gz a_t1.nii.gz b_t1.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert set(case.modalities) == {"t2"}
    assert kinds(case) == ["missing_modality"]
    assert "a_t1.nii.gz" in texts(case)


def test_the_plain_name_wins_over_longer_ones_and_it_is_said(tmp_path, write_nifti):
    tree(tmp_path / "p", "t1.nii.gz single_subj_t1.nii.gz t1_bias.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert found_names(case) == {"t1": "t1.nii.gz"}
    assert "is used" in texts(case)


def test_a_name_that_is_no_modality_is_left_out_and_said(tmp_path, write_nifti):
    tree(tmp_path / "p", "t1.nii.gz t1_chunk.nii.gz", write_nifti)
    (case,) = find_cohort(tmp_path / "p").cases
    assert found_names(case) == {"t1": "t1.nii.gz"}
    assert "t1_chunk.nii.gz" in texts(case)


def test_hidden_files_and_folders_do_not_count(tmp_path, write_nifti):
    tree(tmp_path, "a/t1.nii.gz a/._t1.nii.gz .trash/t1.nii.gz", write_nifti)
    cohort = find_cohort(tmp_path)
    assert found(cohort) == {"a": {"t1": "t1.nii.gz"}}
    assert cohort.cases[0].findings == ()
