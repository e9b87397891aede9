"""A small made-up tree of files for every layout, and what a radiologist would see in it."""

import json

import numpy as np
from cohort_archives import TREES as TREES
from made_dicom import places, write_series
from tree_making import files, text, tree


@tree("msd", {"prostate_00": "t2 adc LABEL", "prostate_03": "t2 adc"}, subjects=2)
def msd(root, write, rng):
    for folder, n in (("imagesTr", "00"), ("imagesTs", "03")):
        write(root / folder / f"prostate_{n}.nii.gz", shape_xyz=(5, 6, 7, 2))
    write(root / "labelsTr/prostate_00.nii.gz", dtype=np.uint8)
    content = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "training": [{"image": "./imagesTr/prostate_00.nii.gz", "label": "./labelsTr/prostate_00.nii.gz"}],
        "test": ["./imagesTs/prostate_03.nii.gz"],
    }
    (root / "dataset.json").write_text(json.dumps(content))


@tree("nnunet", {"c_1": "t1 flair LABEL"}, subjects=1)
def nnunet(root, write, rng):
    files(root, "imagesTr/c_1_{0000,0001}.nii.gz labelsTr/c_1.nii.gz", write)
    (root / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"a": 1}}))


@tree(
    "bids",
    {"sub-01_ses-1": "t1 t1ce flair LABEL", "sub-01_ses-2": "t1", "sub-02": "t1 dwi"},
    subjects=2,
    clinical={
        "sub-01_ses-1": {"age_years": 61.0, "sex": "F", "class": "patient"},
        "sub-01_ses-2": {"age_years": 61.0, "sex": "F", "class": "patient"},
        "sub-02": {"age_years": 40.5, "sex": "M", "class": "control"},
    },
)
def bids(root, write, rng):
    one = "sub-01/ses-1/anat/sub-01_ses-1"
    files(root, f"{one}_{{T1w,ce-gadolinium_T1w,FLAIR,acq-highres_run-1_T1w,run-2_FLAIR}}.nii.gz", write)
    files(root, "sub-01/ses-2/anat/sub-01_ses-2_{run-1_T1w,run-2_T1w}.nii.gz", write)
    files(
        root,
        "sub-02/anat/sub-02_T1w.nii.gz sub-02/dwi/sub-02_dwi.nii.gz sub-02/func/sub-02_task-rest_bold.nii.gz",
        write,
    )
    below = "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1"
    files(root, f"{below}_{{desc-lesion_mask,desc-brain_mask}}.nii.gz", write)
    text(root / "dataset_description.json", '{"Name": "x", "BIDSVersion": "1.9.0"}')
    text(
        root / "participants.tsv",
        "participant_id\tage\tsex\tgroup",
        "sub-01\t61\tF\tpatient",
        "sub-02\t40.5\tmale\tcontrol",
    )


@tree(
    "openmind",
    {"ds000001_sub-01_ses-DEFAULT": "t1 t2"},
    subjects=1,
    clinical={"ds000001_sub-01_ses-DEFAULT": {"age_years": 26.0, "sex": "F"}},
)
def openmind(root, write, rng):
    folder = root / "Dataset745_OpenMind"
    files(folder, "ds000001/sub-01/{a_T1w,a_T2w,a_FA}.nii.gz", write)
    start = "$nnssl_raw_of_a_test/Dataset745_OpenMind/ds000001/sub-01"
    masks = {"anonymization_mask": None, "anatomy_mask": None}
    images = [
        {
            "name": f"a_{m}.nii.gz",
            "image_path": f"{start}/a_{m}.nii.gz",
            "modality": m,
            "image_info": {},
            "associated_masks": masks,
        }
        for m in ("T1w", "T2w", "FA")
    ]
    sessions = {"ses-DEFAULT": {"session_id": "ses-DEFAULT", "session_info": {}, "images": images}}
    person = {"subject_id": "sub-01", "subject_info": {"age": 26, "sex": "F"}, "sessions": sessions}
    dataset = {"dataset_index": "ds000001", "name": None, "dataset_info": {}, "subjects": {"sub-01": person}}
    data = {"collection_index": "745", "collection_name": "Dataset745_OpenMind", "datasets": {"ds000001": dataset}}
    (folder / "pretrain_data.json").write_text(json.dumps(data))
    return folder


@tree("image_list", {"A_1": "t1 flair LABEL", "B-2": "t1"}, subjects=2)
def image_list(root, write, rng):
    files(root, "data/one/A_1_{t1,flair,seg}.nii.gz data/two/B-2-t1.nii.gz", write)
    data = {
        "training": [
            {"image": ["data/one/A_1_t1.nii.gz", "data/one/A_1_flair.nii.gz"], "label": "data/one/A_1_seg.nii.gz"}
        ],
        "validation": [{"image": ["./lists/../data/two/B-2-t1.nii.gz"]}],
    }
    (root / "lists").mkdir()
    (root / "brainmvp.json").write_text(json.dumps(data))
    return root / "brainmvp.json"


@tree("folder_per_modality", {"p1": "t1 flair LABEL", "p2": "t1"}, subjects=2)
def folder_per_modality(root, write, rng):
    files(root, "T1/{p1,p2}.nii.gz FLAIR/p1_flair.nii.gz labels/p1_seg.nii.gz", write)


@tree("flat_files", {"p1": "t1 flair LABEL", "p2": "t1 flair"}, subjects=2)
def flat_files(root, write, rng):
    files(root, "p1_{t1,flair,seg}.nii.gz p2_{t1,flair}.nii.gz", write)


@tree("folder_per_case", {"p1_week-044": "t1 LABEL", "p1_week-050": "t1", "p 2 ä": "t1"}, subjects=2)
def folder_per_case(root, write, rng):
    files(root, "p1/week-044/{t1,seg}.nii.gz p1/week-050/t1.nii.gz", write)
    files(root / "p 2 ä", "t1.nii.gz", write)


@tree("dicom", {"P1": "t2 adc"}, subjects=1)
def dicom(root, write, rng):
    for k, name in enumerate(("t2_tse_tra", "adc")):
        write_series(root / "P1" / name, places(4), rng, series=f"1.2.3.{k}")


@tree("single_file", {"p_flair": "flair"}, subjects=1)
def single_file(root, write, rng):
    files(root, "p_flair.nii.gz", write)
    return root / "p_flair.nii.gz"


@tree(
    "manifest",
    {"a": "t1 my_map LABEL", "b": "t2"},
    subjects=1,
    clinical={"a": {"age_years": 60.0, "grade": "4"}, "b": {"survival_days": 361, "survival_observed": False}},
)
def manifest(root, write, rng):
    files(root, "elsewhere/{x,y,z_seg}.nii.gz", write)
    write(root / "elsewhere/4d.nii.gz", shape_xyz=(5, 6, 7, 3))
    text(
        root / "lists/mine.csv",
        "case,subject,session,role,modality,path,channel,age_years,grade,survival_days,survival_observed",
        "a,p,1,modality,T1w,../elsewhere/x.nii.gz,,60,4,,",
        "a,p,1,modality,My map,../elsewhere/y.nii.gz,,,,,",
        "a,p,1,label,,../elsewhere/z_seg.nii.gz,,,,,",
        "b,p,2,modality,t2,../elsewhere/4d.nii.gz,2,,,361,no",
    )
    return root / "lists/mine.csv"


@tree(
    "aligned",
    {"p_1": "t1 mysequence LABEL", "p_2": "t1", "new": "flair"},
    subjects=2,
    clinical={"p_1": {"age_years": 50.0, "survival_days": 361, "survival_observed": False}},
)
def aligned(root, write, rng):
    files(root, "p_1/{t1,mysequence,seg}.nii.gz p_2/t1.nii.gz new/flair.nii.gz", write)
    clinical = {"age_years": 50.0, "survival_days": 361, "survival_observed": False}
    first = {"subject": "anna", "session": "1", "clinical": clinical, "files": {"t1": {}, "mysequence": {}}}
    second = {"subject": "anna", "session": "2", "clinical": {}, "files": {"t1": {}}}
    text(root / "align.json", json.dumps({"format": 1, "to": "t1", "cases": {"p_1": first, "p_2": second}}))
