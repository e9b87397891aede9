"""UPENN-GBM: ``images_structural/UPENN-GBM-00001_11/UPENN-GBM-00001_11_T1GD.nii.gz``, label maps in other folders.

``_11`` is before the first operation, ``_21`` a later visit. Label maps corrected by a person lie in
``images_segm``; those of a program, in ``automated_segm``, are taken where there is no other, and said to be so.

Folders as the archive unpacks (``NIfTI-files/images_structural`` ...), columns as in its
``UPENN-GBM_clinical_info_v2.1.csv``; Bakas et al., Scientific Data 9, 453 (2022), doi:10.1038/s41597-022-01560-7.
"""

import re
from pathlib import Path

from napari_mmssl.cohorts.automatic_labels import prefer_drawn
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import by_ending, said_left_out, unwrapped

SPECIFICITY = 4
_CASE = re.compile(r"(UPENN-GBM-\d{5})_(\d{2})")
_STRUCTURAL = "images_structural"
_UNSTRIPPED = "images_structural_unstripped"
_ENDINGS = {"t1": "t1", "t1gd": "t1ce", "t2": "t2", "flair": "flair"}
_ENDINGS_UNSTRIPPED = {f"{ending}_unstripped": modality for ending, modality in _ENDINGS.items()}
_LABELS = {"segm": "label", "automated_approx_segm": "label by a program"}


@layouts.register(
    "upenn_gbm", summary="UPENN-GBM (images_structural, images_segm)", source="doi:10.7937/TCIA.709X-DN49"
)
def upenn_gbm(root: Path) -> Recognised | None:
    """Recognise ``images_structural`` with folders called ``UPENN-GBM-00001_11``."""
    if root.is_file():
        return None
    base = next((place for place in (root, *_nifti_folders(root)) if _cases_in(place)), None)
    base = base or unwrapped(root, lambda place: bool(_cases_in(place)))
    if base is None:
        return None
    labels = _label_files(base)
    found, left = [], []
    for name in _cases_in(base):
        files = [path for folder in (_STRUCTURAL, _UNSTRIPPED) for path in _images(base / folder / name)]
        modalities, _, unknown = by_ending(files, name, _ENDINGS | _ENDINGS_UNSTRIPPED)
        label, findings = prefer_drawn(
            labels.get(name, {}).get("label"), labels.get(name, {}).get("label by a program")
        )
        match = _CASE.fullmatch(name)
        subject, session = match.groups() if match else (name, "")
        found.append(FoundCase(name, subject, modalities, label, findings=findings, session=session))
        left += unknown
    reasons = [f"{len(found)} folders in {_STRUCTURAL} are named as UPENN-GBM names them", *said_left_out(left)]
    return Recognised(SPECIFICITY, tuple(reasons), tuple(found), (base,) if base != root else ())


def _nifti_folders(root: Path) -> list[Path]:
    """Return the folders of NIfTI files: beside the table, or one further down beside other parts of the archive."""
    near = folders_in(root)
    below = (folder for place in near for folder in folders_in(place))
    return [folder for folder in (*near, *below) if "nifti" in folder.name.lower()]


def _cases_in(base: Path) -> list[str]:
    """Return the names of the cases, stripped of the skull or not."""
    names = [
        folder.name
        for place in (_STRUCTURAL, _UNSTRIPPED)
        if (base / place).is_dir()
        for folder in folders_in(base / place)
        if _CASE.fullmatch(folder.name)
    ]
    return list(dict.fromkeys(names))


def _images(folder: Path) -> list[Path]:
    return images_in(folder) if folder.is_dir() else []


def _label_files(base: Path) -> dict[str, dict[str, FoundFile]]:
    """Return case to what kind of label map to file."""
    found: dict[str, dict[str, FoundFile]] = {}
    for folder in (folder for folder in folders_in(base) if "segm" in folder.name.lower()):
        for path in images_in(folder):
            case = _CASE.match(path.name)
            if case:
                _, labels, _ = by_ending([path], case.group(), _LABELS)
                found.setdefault(case.group(), {}).update(labels)
    return found
