"""BIDS: which of several files is meant, by what the names say."""

import pytest
from cohort_trees import found, kinds, texts, tree

from napari_mmssl.cohorts.find import find_cohort


def one_case(tmp_path, write_nifti, names, folder="sub-1/anat"):
    tree(tmp_path, " ".join(f"{folder}/sub-1_{name}.nii.gz" for name in names.split()), write_nifti)
    (case,) = find_cohort(tmp_path).cases
    return case, {name: scan.path.name.removeprefix("sub-1_") for name, scan in case.modalities.items()}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("T1w ce-gadolinium_T1w", {"t1": "T1w", "t1ce": "ce-gadolinium_T1w"}),
        ("run-2_T1w run-1_T1w", {"t1": "run-1_T1w"}),
        ("run-10_T1w run-9_T1w", {"t1": "run-9_T1w"}),
        ("acq-lowres_T1w T1w", {"t1": "T1w"}),
        ("acq-lowres_T1w acq-highres_T1w", {}),
        ("acq-a_run-1_FLAIR acq-b_run-1_FLAIR T2w", {"t2": "T2w"}),
        ("part-mag_T2starw part-phase_T2starw", {"t2star": "part-mag_T2starw"}),
        ("desc-preproc_T1w space-MNI_desc-preproc_T1w", {"t1": "desc-preproc_T1w"}),
        ("T1w inplaneT2", {"t1": "T1w"}),
    ],
)
def test_the_plainest_name_counts_and_of_equal_runs_the_first(tmp_path, write_nifti, names, wanted):
    names = f"{names} PDw"
    case, modalities = one_case(tmp_path, write_nifti, names)
    assert modalities == {name: f"{file}.nii.gz" for name, file in wanted.items()} | {"pd": "PDw.nii.gz"}
    n_images = len([name for name in names.split() if "inplane" not in name and "phase" not in name])
    assert bool(case.findings) == (n_images > len(modalities))


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ("T1w desc-brain_mask", None),
        ("T1w desc-lesion_mask desc-brain_mask", "desc-lesion_mask"),
        ("T1w label-lesion_roi", "label-lesion_roi"),
        ("T1w dseg label-GM_probseg", "dseg"),
        ("T1w desc-aseg_dseg desc-aparcaseg_dseg", None),
    ],
)
def test_a_label_map_is_taken_only_if_one_can_be_meant(tmp_path, write_nifti, names, label):
    case, _ = one_case(tmp_path, write_nifti, names)
    assert (case.label and case.label.path.name) == (label and f"sub-1_{label}.nii.gz")
    if "dseg desc" in names or "brain" in names:
        assert "label_candidates" in kinds(case)


def test_derivatives_of_several_pipelines_are_asked_about(tmp_path, write_nifti):
    below = "derivatives/{}/sub-1/anat/sub-1_desc-lesion_mask.nii.gz"
    tree(tmp_path, f"sub-1/anat/sub-1_T1w.nii.gz {below.format('one')} {below.format('two')}", write_nifti)
    (case,) = find_cohort(tmp_path).cases
    assert case.label is None
    assert "none is used" in texts(case)


def test_a_pipeline_by_itself_and_one_person_by_itself_are_cohorts_too(tmp_path, write_nifti):
    tree(tmp_path, "derivatives/prep/sub-1/ses-a/anat/sub-1_ses-a_desc-preproc_T1w.nii.gz", write_nifti)
    tree(tmp_path, "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz", write_nifti)
    assert found(find_cohort(tmp_path / "derivatives/prep")) == {
        "sub-1_ses-a": {"t1": "sub-1_ses-a_desc-preproc_T1w.nii.gz"}
    }
    person = find_cohort(tmp_path / "sub-1")
    assert (person.layout, [case.session for case in person.cases]) == ("bids", ["ses-a"])


def test_raw_data_one_folder_down_are_found_with_their_derivatives(tmp_path, write_nifti):
    tree(
        tmp_path,
        "rawdata/sub-1/anat/sub-1_T1w.nii.gz derivatives/x/sub-1/anat/sub-1_desc-lesion_mask.nii.gz",
        write_nifti,
    )
    (case,) = find_cohort(tmp_path).cases
    assert set(case.modalities) == {"t1"}
    assert case.label is not None


def test_the_age_at_a_visit_stands_in_the_table_of_visits(tmp_path, write_nifti):
    tree(tmp_path, "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii sub-1/ses-b/anat/sub-1_ses-b_T1w.nii", write_nifti)
    (tmp_path / "sub-1/sub-1_sessions.tsv").write_text("session_id\tage\nses-a\t60\nses-b\t62\n")
    (tmp_path / "participants.tsv").write_text("participant_id\tsex\nsub-1\tF\n")
    ages = {case.session: case.clinical for case in find_cohort(tmp_path).cases}
    assert ages == {"ses-a": {"age_years": 60.0, "sex": "F"}, "ses-b": {"age_years": 62.0, "sex": "F"}}
