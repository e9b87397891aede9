"""Made-up trees of the cohorts that have a layout of their own, as their archives unpack."""

import numpy as np
from made_dicom import places, write_series
from tree_making import TREES as TREES
from tree_making import files, pictures, text, tree


@tree(
    "brats",
    {"BraTS-GLI-00005-100": "t1 t1ce t2 flair LABEL", "BraTS-MEN-RT-0001-1": "t1ce LABEL"},
    subjects=2,
)
def brats(root, write, rng):
    files(root, "BraTS-GLI-00005-100/BraTS-GLI-00005-100-{t1n,t1c,t2w,t2f,seg}.nii.gz", write)
    files(root, "BraTS-MEN-RT-0001-1/BraTS-MEN-RT-0001-1_{t1c,gtv}.nii.gz", write)


@tree(
    "chaos",
    {"MR_1": "t1in t1out t2spir LABEL", "MR_4": "t1in t1out t2spir", "CT_1": "ct LABEL"},
    subjects=3,
)
def chaos(root, write, rng):
    mr, n = root / "Train_Sets/MR/1", 4
    ordered = {"shuffle": False, "shape": (7, 5)}
    for person, base in (("1", mr), ("4", root / "Test_Sets/MR/4")):
        for k, scan in enumerate(("T1DUAL/DICOM_anon/InPhase", "T1DUAL/DICOM_anon/OutPhase", "T2SPIR/DICOM_anon")):
            numbers = {"series": f"1.2.{person}.{k}", "study": f"1.3.{person}", "patient": f"p{person}"}
            write_series(base / scan, places(n + k // 2), rng, **ordered, **numbers)
    grey = np.zeros((7, 5), np.uint8)
    grey[1], grey[2], grey[3], grey[4] = 63, 126, 189, 252
    pictures(mr / "T1DUAL/Ground", [np.where(np.arange(7)[:, None] > k, grey, 0) for k in range(n)])
    pictures(mr / "T2SPIR/Ground", [grey] * (n + 1))
    ct = root / "Train_Sets/CT/1"
    # From the head down: the first picture is the last slice of the array.
    down = list(reversed(places(n)))
    write_series(ct / "DICOM_anon", down, rng, modality="CT", series="1.2.9", study="1.3.9", patient="c1", **ordered)
    pictures(ct / "Ground", [np.full((7, 5), 255 * (k == 0), np.uint8) for k in range(n)], "liver_GT_{:03d}.png")


@tree(
    "isles2022",
    {"sub-strokecase0001_ses-0001": "dwi adc flair LABEL", "sub-strokecase0002_ses-0001": "dwi adc"},
    subjects=2,
)
def isles2022(root, write, rng):
    one = "sub-strokecase0001/ses-0001"
    name = "sub-strokecase0001_ses-0001"
    files(root, f"{one}/dwi/{name}_{{dwi,adc}}.nii.gz {one}/anat/{name}_FLAIR.nii.gz", write)
    files(root, f"derivatives/{one}/{name}_msk.nii.gz", write)
    files(root, "sub-strokecase0002_ses-0001/sub-strokecase0002_ses-0001_{dwi,adc}.nii.gz", write)


@tree(
    "upenn_gbm",
    {
        "UPENN-GBM-00001_11": "t1 t1ce t2 flair LABEL",
        "UPENN-GBM-00001_21": "t1 t1ce t2 flair",
        "UPENN-GBM-00002_11": "t1 t1ce t2 flair LABEL",
    },
    subjects=2,
    clinical={
        "UPENN-GBM-00001_11": {
            "age_years": 48.2,
            "sex": "M",
            "survival_days": 445,
            "survival_observed": True,
            "idh": "wildtype",
            "resection": "GTR",
        },
        "UPENN-GBM-00002_11": {
            "age_years": 60.0,
            "sex": "F",
            "survival_days": 900,
            "survival_observed": False,
            "mgmt": "methylated",
            "resection": "STR",
        },
    },
)
def upenn_gbm(root, write, rng):
    for name in ("UPENN-GBM-00001_11", "UPENN-GBM-00001_21", "UPENN-GBM-00002_11"):
        files(root, f"images_structural/{name}/{name}_{{T1,T1GD,T2,FLAIR}}.nii.gz", write)
    files(root, "images_segm/UPENN-GBM-00001_11_segm.nii.gz", write)
    files(root, "automated_segm/UPENN-GBM-{00001,00002}_11_automated_approx_segm.nii.gz", write)
    text(
        root / "UPENN-GBM_clinical_info_v2.1.csv",
        "ID,Gender,Age_at_scan_years,Survival_from_surgery_days_UPDATED,Survival_Status,Survival_Censor,IDH1,MGMT,KPS,"
        "GTR_over90percent,Time_since_baseline_preop,PsP_TP_score",
        "UPENN-GBM-00001_11,M,48.2,445,DECEASED,0,Wildtype,Not Available,90,Y,0,Not Applicable",
        "UPENN-GBM-00002_11,F,60,900,ALIVE,1,NOS/NEC,Methylated,Not Available,N,0,Not Applicable",
    )


@tree(
    "ucsf_pdgm",
    {"UCSF-PDGM-0004": "t1 t1ce t2 flair adc LABEL", "UCSF-PDGM-0429_FU003d": "t1"},
    subjects=2,
    clinical={
        "UCSF-PDGM-0004": {
            "age_years": 66.0,
            "sex": "M",
            "survival_days": 1303,
            "survival_observed": True,
            "grade": "4",
            "class": "Glioblastoma, IDH-wildtype",
            "idh": "wildtype",
            "mgmt": "unmethylated",
            "resection": "STR",
        }
    },
)
def ucsf_pdgm(root, write, rng):
    one = "UCSF-PDGM-0004_nifti/UCSF-PDGM-0004"
    files(
        root,
        f"{one}_{{T1,T1_bias,T1c_bias,T2,FLAIR,ADC,DTI_eddy_FA,brain_segmentation,tumor_segmentation}}.nii.gz",
        write,
    )
    files(root, "UCSF-PDGM-0429_FU003d_nifti/UCSF-PDGM-0429_FU003d_T1.nii.gz", write)
    text(
        root / "UCSF-PDGM-metadata_v2.csv",
        "ID,Sex,Age at MRI,WHO CNS Grade,Final pathologic diagnosis (WHO 2021),MGMT status,MGMT index,1p/19q,IDH,"
        "1-dead 0-alive,OS,EOR,Biopsy prior to imaging,BraTS21 ID,BraTS21 Segmentation Cohort,BraTS21 MGMT Cohort",
        'UCSF-PDGM-004,M,66,4,"Glioblastoma, IDH-wildtype",negative,0,unknown,wildtype,1,1303,STR,No,BraTS2021_00097,'
        "Training,Training",
    )


@tree(
    "ixi",
    {"IXI002-Guys-0828": "t1 t2", "IXI012-HH-1211": "t1"},
    subjects=2,
    clinical={"IXI002-Guys-0828": {"age_years": 35.8, "sex": "F"}, "IXI012-HH-1211": {"age_years": 38.78, "sex": "M"}},
)
def ixi(root, write, rng):
    files(root, "IXI-T1/{IXI002-Guys-0828,IXI012-HH-1211}-T1.nii.gz IXI-T2/IXI002-Guys-0828-T2.nii.gz", write)
    files(root, "IXI-DTI/IXI002-Guys-0828-DTI-{00,01}.nii.gz", write)
    text(root / "IXI.csv", '"IXI_ID","SEX_ID (1=m, 2=f)",HEIGHT,AGE', "2,2,164,35.8", "12,1,175,38.78")


@tree("mrbrains13", {"TrainingData_1": "t1 t1ir flair LABEL", "TestData_1": "t1 t1ir flair"}, subjects=2)
def mrbrains13(root, write, rng):
    files(root, "TrainingData/1/{T1,T1_1mm,T1_IR,T2_FLAIR,LabelsForTraining,LabelsForTesting}.nii", write)
    files(root, "TestData/1/{T1,T1_1mm,T1_IR,T2_FLAIR}.nii", write)


@tree("vs_seg", {"vs_gk_1": "t1ce t2 LABEL", "vs_gk_2": "t1ce t2 LABEL"}, subjects=2)
def vs_seg(root, write, rng):
    files(root, "vs_gk_1/vs_gk_{t1_refT1,t2_refT1,seg_refT1}.nii.gz", write)
    files(root, "vs_gk_2/vs_gk_{t1_refT1,t2_refT2,seg_refT1,seg_refT2}.nii.gz", write)


@tree(
    "picai",
    {"10000_1000000": "t2 adc hbv LABEL", "10001_1000001": "t2 adc hbv LABEL", "10002_1000002": "t2 adc hbv LABEL"},
    subjects=3,
    clinical={
        "10000_1000000": {"age_years": 73.0, "class": "no csPCa", "isup": 0, "psa_ng_per_ml": 7.7},
        "10001_1000001": {"age_years": 66.0, "class": "csPCa", "isup": 2, "psa_ng_per_ml": 8.7},
    },
)
def picai(root, write, rng):
    files(
        root,
        "images/10000/10000_1000000_{t2w,adc,hbv,sag,cor}.mha.nii images/10001/10001_1000001_{t2w,adc,hbv}.nii "
        "images/10002/10002_1000002_{t2w,adc,hbv}.nii",
        write,
    )
    for path in root.rglob("*.mha.nii"):
        path.rename(path.with_name(path.name.removesuffix(".mha.nii") + ".nii"))
    lesions = "picai_labels/csPCa_lesion_delineations"
    files(root, f"{lesions}/human_expert/resampled/10000_1000000.nii.gz", write)
    files(root, f"{lesions}/human_expert/original/10000_1000000.nii.gz", write)
    files(root, f"{lesions}/human_expert/Pooch25/10002_1000002.nii.gz", write)
    files(root, f"{lesions}/AI/Bosma22a/{{10000_1000000,10001_1000001}}.nii.gz", write)
    text(
        root / "picai_labels/clinical_information/marksheet.csv",
        "patient_id,study_id,mri_date,patient_age,psa,psad,prostate_volume,histopath_type,lesion_GS,lesion_ISUP,case_ISUP,"
        "case_csPCa,center",
        "10000,1000000,2019-07-02,73,7.7,,55,MRBx,0+0,0,0,NO,PCNN",
        "10001,1000001,2016-05-27,66,8.7,0.09,102,MRBx,3+4,2,2,YES,ZGT",
    )


@tree(
    "adni",
    {"002_S_0295_2006-04-18": "t1 flair", "002_S_0295_2006-11-02": "t1", "003_S_1074_2007-01-05": "t1"},
    subjects=2,
    clinical={
        "002_S_0295_2006-04-18": {"age_years": 84.8, "sex": "M", "class": "CN"},
        "002_S_0295_2006-11-02": {"age_years": 85.4, "sex": "M", "class": "CN"},
        "003_S_1074_2007-01-05": {"age_years": 84.0, "sex": "F", "class": "MCI"},
    },
)
def adni(root, write, rng):
    base = "ADNI/002_S_0295"
    files(root, f"{base}/MP-RAGE/2006-04-18_08_20_30.0/I13722/ADNI_002_S_0295_MR_MP-RAGE_I13722.nii", write)
    files(root, f"{base}/Sagittal_3D_FLAIR/2006-04-18_08_20_30.0/I13723/ADNI_I13723.nii", write)
    files(root, f"{base}/MPR__GradWarp__N3__Scaled/2006-11-02_08_16_44.0/I40966/ADNI_I40966.nii", write)
    series = root / "ADNI/003_S_1074/MP-RAGE/2007-01-05_12_00_00.0/I50001"
    write_series(series, places(4), rng, series="1.2.77")
    text(
        root / "ADNI1_Complete_11_22_2026.csv",
        '"Image Data ID","Subject","Group","Sex","Age","Visit","Modality","Description","Type","Acq Date","Format"',
        '"I13722","002_S_0295","CN","M","84.8","sc","MRI","MP-RAGE","Original","4/18/2006","NiFTI"',
        '"I40966","002_S_0295","CN","M","85.4","m06","MRI","MPR","Processed","11/02/2006","NiFTI"',
        '"I50001","003_S_1074","MCI","F","84","sc","MRI","MP-RAGE","Original","1/05/2007","DCM"',
    )


@tree(
    "abide_adhd200",
    {"0050002_session_1": "t1", "0010001_session_1": "t1"},
    subjects=2,
    clinical={
        "0050002_session_1": {"age_years": 16.77, "sex": "M", "class": "autism"},
        "0010001_session_1": {"age_years": 12.3, "sex": "F", "class": "ADHD"},
    },
)
def abide_adhd200(root, write, rng):
    files(root, "Pitt/0050002/session_1/anat_1/mprage.nii.gz Pitt/0050002/session_1/rest_1/rest.nii.gz", write)
    files(root, "KKI/0010001/session_1/anat_1/{mprage,mprage_skullstripped}.nii.gz", write)
    text(
        root / "Phenotypic_V1_0b.csv",
        "SITE_ID,SUB_ID,DX_GROUP,DSM_IV_TR,AGE_AT_SCAN,SEX",
        "PITT,50002,1,1,16.77,1",
        "PITT,50003,2,-9999,24.45,1",
    )
    text(
        root / "KKI/KKI_phenotypic.csv",
        "ScanDir ID,Site,Gender,Age,Handedness,DX,ADHD Index",
        "10001,3,0,12.3,1,3,-999",
    )
