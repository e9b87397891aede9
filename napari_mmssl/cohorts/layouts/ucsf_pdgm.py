"""UCSF-PDGM: ``UCSF-PDGM-0004_nifti/UCSF-PDGM-0004_T1c.nii.gz``; follow-ups are ``UCSF-PDGM-0429_FU003d_nifti``.

Names in the images have four digits, those in the metadata three. Files that end in ``_bias`` were corrected for the
coil's sensitivity; they are taken where the plain ones are not there.

Names as the archive unpacks, columns as in its ``UCSF-PDGM-metadata_v2.csv``; Calabrese et al., Radiology: Artificial
Intelligence 4(6), e220058 (2022), doi:10.1148/ryai.220058. The tumour is coded 1, 2, 4 as in BraTS 2018.
"""

import re
from pathlib import Path

from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, Recognised, session_of, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import by_ending, names_in, said_left_out, unwrapped

SPECIFICITY = 4
_FOLDER = re.compile(r"(UCSF-PDGM-\d{3,4}(?:_FU\d+d?)?)(?:_nifti)?", re.IGNORECASE)
_PLAIN = {
    "t1": "t1",
    "t1c": "t1ce",
    "t2": "t2",
    "flair": "flair",
    "dwi": "dwi",
    "adc": "adc",
    "swi": "swi",
    "asl": "asl",
}
_ENDINGS = (
    _PLAIN | {f"{ending}_bias": modality for ending, modality in _PLAIN.items()} | {"tumor_segmentation": "label"}
)
#: Masks of the brain, and maps of diffusion directions, lie beside the scans; they are no label of the tumour.
_KNOWN_AND_LEFT_OUT = re.compile(r"brain_(?:parenchyma_)?segmentation")


@layouts.register("ucsf_pdgm", summary="UCSF-PDGM (UCSF-PDGM-0004_nifti)", source="doi:10.7937/tcia.bdgf-8v37")
def ucsf_pdgm(root: Path) -> Recognised | None:
    """Recognise folders called ``UCSF-PDGM-0004_nifti``, or one of them."""
    if root.is_file():
        return None
    folders = [folder for folder in _candidates(root) if _FOLDER.fullmatch(folder.resolve().name)]
    cases, left = [], []
    for folder in folders:
        name = folder.resolve().name
        match = _FOLDER.fullmatch(name)
        case = match.group(1) if match else name
        modalities, labels, unknown = by_ending(images_in(folder), case, _ENDINGS)
        left += [ending for ending in unknown if not _KNOWN_AND_LEFT_OUT.fullmatch(ending)]
        cases.append(
            FoundCase(case, subject_of(case), modalities, labels.get("label"), group=name, session=session_of(case))
        )
    if not any(case.modalities for case in cases):
        return None
    reasons = [f"{len(cases)} folders are named as UCSF-PDGM names them", *said_left_out(left)]
    return Recognised(SPECIFICITY, tuple(reasons), tuple(cases))


def _candidates(root: Path) -> list[Path]:
    if _FOLDER.fullmatch(root.resolve().name):
        return [root]
    base = unwrapped(root, lambda place: any(map(_FOLDER.fullmatch, names_in(place))))
    return folders_in(base) if base else []
