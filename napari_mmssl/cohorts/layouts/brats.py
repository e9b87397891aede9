"""BraTS 2017 to 2023: ``BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz``, ``BraTS-GLI-00000-000/...-t1c.nii.gz``.

Up to 2019 the cases lie in ``HGG`` and ``LGG``, which is their grade.
"""

import re
from dataclasses import replace
from pathlib import Path

from napari_mmssl.cohorts.case_folder import case_folders, images_in, read_case_folder
from napari_mmssl.cohorts.found import Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 2
_GRADES = ("HGG", "LGG")
_CASE = re.compile(r"brats(\d{2}(?:\d{2})?)?[-_]\w.*", re.IGNORECASE)
_OLD_NAMES = re.compile(r"_(t1|t1ce|t2|flair|seg)", re.IGNORECASE)
_NEW_NAMES = re.compile(r"-(t1n|t1c|t2w|t2f|seg)", re.IGNORECASE)


@layouts.register("brats", summary="BraTS 2017 to 2023, in any of its spellings", source="www.synapse.org/brats")
def brats(root: Path) -> Recognised | None:
    """Recognise folders of which at least half are called, and hold files called, as BraTS does."""
    if root.is_file():
        return None
    folders = case_folders(root)
    spellings = [_spelling(folder) for _, folder in folders]
    met = [spelling for spelling in spellings if spelling]
    if not met or len(met) < len(folders) / 2:
        return None
    cases = []
    for group, folder in folders:
        case = read_case_folder(folder, group)
        grade = next((name for name in (group, folder.resolve().parent.name) if name.upper() in _GRADES), None)
        cases.append(replace(case, clinical={"grade": grade.upper()}) if grade else case)
    reasons = [
        f"{met.count(spelling)} of {len(folders)} folders are named like {spelling}" for spelling in sorted(set(met))
    ]
    if any(case.clinical for case in cases):
        reasons.append("folders HGG and LGG give the grade")
    return Recognised(SPECIFICITY, tuple(reasons), tuple(cases))


def _spelling(folder: Path) -> str | None:
    """Return which BraTS a folder is named after; its files must repeat its name before the modality."""
    name = folder.resolve().name
    case = _CASE.fullmatch(name)
    if case is None:
        return None
    endings = [stem(path)[len(name) :] for path in images_in(folder) if stem(path).startswith(name)]
    if any(_NEW_NAMES.fullmatch(ending) for ending in endings):
        return "BraTS 2023 (t1n, t1c, t2w, t2f)"
    if any(_OLD_NAMES.fullmatch(ending) for ending in endings):
        year = case.group(1)
        return f"BraTS 20{year[-2:]} (t1, t1ce, t2, flair)" if year else "BraTS (t1, t1ce, t2, flair)"
    return None
