"""Vestibular-Schwannoma-SEG: ``VS-SEG-001`` with DICOM, or ``vs_gk_1/vs_gk_t1_refT1.nii.gz`` after its own scripts.

The T1 is one after contrast agent throughout. The tumour comes as contours (RTSTRUCT); the cohort's own scripts turn
them into label maps, ``vs_gk_seg_refT1``, on the grid that stands in the name (github.com/KCL-BMEIS/VS_Seg,
``preprocessing``).
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.layouts.dicom import dicom
from napari_mmssl.cohorts.trees import by_ending, names_in, said_left_out, unwrapped

SPECIFICITY = 4
_DICOM_PERSON = re.compile(r"VS-SEG-\d{3}", re.IGNORECASE)
_NIFTI_PERSON = re.compile(r"vs_gk_\d+", re.IGNORECASE)
_START = "vs_gk"
_ON_T1 = {"t1_reft1": "t1ce", "t2_reft1": "t2", "seg_reft1": "label"}
_ON_T2 = {"t2_reft2": "t2", "t1_reft2": "t1ce", "seg_reft2": "label"}


@layouts.register("vs_seg", summary="Vestibular-Schwannoma-SEG (DICOM or vs_gk_1)", source="doi:10.7937/TCIA.9YTJ-5Q73")
def vs_seg(root: Path) -> Recognised | None:
    """Recognise folders called ``VS-SEG-001`` or ``vs_gk_1``."""
    if root.is_file():
        return None
    for person, read in ((_NIFTI_PERSON, _nifti), (_DICOM_PERSON, _dicom)):
        base = unwrapped(root, partial(_names, person))
        if base is not None:
            return read(base)
    return None


def _names(person: re.Pattern[str], place: Path) -> bool:
    return any(map(person.fullmatch, (place.resolve().name, *names_in(place))))


def _nifti(base: Path) -> Recognised | None:
    places = [base] if _NIFTI_PERSON.fullmatch(base.resolve().name) else folders_in(base)
    cases, left = [], []
    for folder in (place for place in places if _NIFTI_PERSON.fullmatch(place.resolve().name)):
        case, unknown = _nifti_case(folder)
        cases.append(case)
        left += unknown
    if not any(case.modalities for case in cases):
        return None
    reasons = [f"{len(cases)} folders hold vs_gk_t1_refT1 and the like, as the cohort's own scripts write them"]
    names = {1: "vestibular schwannoma"}
    return Recognised(SPECIFICITY, (*reasons, *said_left_out(left)), tuple(cases), label_names=names)


def _nifti_case(folder: Path) -> tuple[FoundCase, list[str]]:
    """Return the case on the T1's grid; what is only there on the T2's is taken from that."""
    on_t1, label_t1, _ = by_ending(images_in(folder), _START, _ON_T1)
    on_t2, label_t2, _ = by_ending(images_in(folder), _START, _ON_T2)
    _, _, unknown = by_ending(images_in(folder), _START, _ON_T1 | _ON_T2)
    modalities: dict[str, FoundFile] = {**on_t2, **on_t1}
    findings = []
    label = label_t1.get("label") or label_t2.get("label")
    if label_t1 and label_t2:
        text = "the label map on the T1's grid is used; the same contours on the T2's grid are left out"
        findings.append(Finding("label_candidates", text))
    name = folder.resolve().name
    return FoundCase(name, name, modalities, label, findings=tuple(findings)), unknown


def _dicom(base: Path) -> Recognised | None:
    found = dicom(base)
    if found is None:
        return None
    cases = tuple(_with_contrast_agent(case) for case in found.cases)
    reasons = (*found.reasons, "folders are called VS-SEG-..., whose T1 is one after contrast agent throughout")
    return replace(found, specificity=SPECIFICITY, reasons=reasons, cases=cases)


def _with_contrast_agent(case: FoundCase) -> FoundCase:
    if "t1" not in case.modalities or "t1ce" in case.modalities:
        return case
    return replace(case, modalities={{"t1": "t1ce"}.get(name, name): file for name, file in case.modalities.items()})
