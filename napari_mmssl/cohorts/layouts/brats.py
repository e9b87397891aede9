"""BraTS 2017 and later: ``BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz``, ``BraTS-GLI-00000-000/...-t1c.nii.gz``.

Up to 2019 the cases lie in ``HGG`` and ``LGG``, which is their grade. From 2023 on the name tells the sub-challenge
and the visit, and the labels are coded anew: 3, not 4, is enhancing tumour, and 4, where it is used, the resection
cavity after an operation (2024). ``BraTS-MEN-RT-0001-1`` has one modality and a ``gtv``, the volume to be treated.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_mmssl.cohorts.case_folder import case_folders, own_name, read_case_folder
from napari_mmssl.cohorts.found import Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import names_in, unwrapped
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 2
_GRADES = ("HGG", "LGG")
_CASE = re.compile(r"brats(\d{2}(?:\d{2})?)?[-_]\w.*", re.IGNORECASE)
_OLD_NAMES = re.compile(r"_(t1|t1ce|t2|flair|seg)", re.IGNORECASE)
_NEW_NAMES = re.compile(r"-(t1n|t1c|t2w|t2f|seg)", re.IGNORECASE)
_RT_NAMES = re.compile(r"_(t1c|gtv)", re.IGNORECASE)
_CHALLENGE = re.compile(r"brats-([a-z]+(?:-rt)?)-\d+(?:-(\d+))?", re.IGNORECASE)
#: The sub-challenges since 2023, in capitals as in the names of the cases.
_CHALLENGES = {
    "GLI": "adult glioma",
    "MEN": "meningioma",
    "MEN-RT": "meningioma before radiotherapy",
    "MET": "metastases",
    "PED": "tumours of children",
    "SSA": "glioma in Sub-Saharan Africa",
    "GOAT": "all sub-challenges together",
}
#: Visits after an operation are numbered from here on (BraTS 2024).
_FIRST_VISIT_AFTER = 100


@layouts.register("brats", summary="BraTS 2017 and later, every sub-challenge", source="www.synapse.org/brats")
def brats(root: Path) -> Recognised | None:
    """Recognise folders of which at least half are called, and hold files called, as BraTS does."""
    if root.is_file():
        return None
    folders = list(case_folders(unwrapped(root, _holds_cases) or root))
    spellings = [_spelling(own_name(folder), images) for _, folder, images in folders]
    met = [spelling for spelling in spellings if spelling]
    if not met or len(met) < len(folders) / 2:
        return None
    cases = []
    for group, folder, images in folders:
        case = read_case_folder(folder, group, images)
        grade = next((name for name in (group, own_name(folder.parent)) if name.upper() in _GRADES), None)
        cases.append(replace(case, clinical={"grade": grade.upper()}) if grade else case)
    reasons = [
        f"{met.count(spelling)} of {len(folders)} folders are named like {spelling}" for spelling in sorted(set(met))
    ]
    reasons += _said_of_challenges([own_name(folder) for _, folder, _ in folders])
    if any(case.clinical for case in cases):
        reasons.append("folders HGG and LGG give the grade")
    tables = dict.fromkeys(place for _, folder, _ in folders for place in (folder.parent, folder.parent.parent))
    return Recognised(
        SPECIFICITY, tuple(reasons), tuple(cases), tuple(place for place in tables if root in place.parents)
    )


def _holds_cases(place: Path) -> bool:
    return any(map(_CASE.fullmatch, names_in(place))) or any(name in names_in(place) for name in _GRADES)


def _spelling(name: str, images: Sequence[Path]) -> str | None:
    """Return which BraTS a folder ``name`` is named after; its files must repeat its name before the modality."""
    case = _CASE.fullmatch(name)
    if case is None:
        return None
    endings = [stem(path)[len(name) :] for path in images if path.name.startswith(name)]
    if any(_NEW_NAMES.fullmatch(ending) for ending in endings):
        return "BraTS 2023 and later (t1n, t1c, t2w, t2f)"
    challenge = _CHALLENGE.fullmatch(name)
    if challenge and challenge.group(1).upper() == "MEN-RT" and any(_RT_NAMES.fullmatch(ending) for ending in endings):
        return "BraTS 2024 radiotherapy (t1c, gtv)"
    if any(_OLD_NAMES.fullmatch(ending) for ending in endings):
        year = case.group(1)
        return f"BraTS 20{year[-2:]} (t1, t1ce, t2, flair)" if year else "BraTS (t1, t1ce, t2, flair)"
    return None


def _said_of_challenges(names: list[str]) -> list[str]:
    """Return what the names of cases since 2023 say of their sub-challenge, and of operations."""
    found = [match for match in map(_CHALLENGE.fullmatch, names) if match]
    codes = sorted({match.group(1).upper() for match in found} & set(_CHALLENGES))
    said = [f"'{code}' in their names stands for {_CHALLENGES[code]}" for code in codes]
    after = [match for match in found if match.group(1).upper() == "GLI" and _visit(match) >= _FIRST_VISIT_AFTER]
    if after:
        said.append(
            f"visits are numbered from {_FIRST_VISIT_AFTER} on ({len(after)} cases), as in BraTS 2024: after an "
            "operation, where label 4 is the resection cavity"
        )
    return said


def _visit(match: re.Match[str]) -> int:
    return int(match.group(2) or 0)
