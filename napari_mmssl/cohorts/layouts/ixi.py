"""IXI: ``IXI002-Guys-0828-T1.nii.gz``, flat in one folder per modality, in one for all, or in one per person.

The number after ``IXI`` is the person's in the table, which comes as ``IXI.xls`` with the columns ``IXI_ID``,
``SEX_ID (1=m, 2=f)`` and ``AGE``. Several people have more than one row; what those agree on is taken.
"""

import re
from collections import Counter
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import names_in, said_left_out, unwrapped
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 4
_FILE = re.compile(r"(IXI(\d{3})-\w+-\d+)[-_](.+)", re.IGNORECASE)
_MODALITIES = {"t1": "t1", "t2": "t2", "pd": "pd", "mra": "mra"}
_DIFFUSION = re.compile(r"dti(?:-\d+)?", re.IGNORECASE)


@layouts.register("ixi", summary="IXI (IXI002-Guys-0828-T1.nii.gz)", source="brain-development.org/ixi-dataset")
def ixi(root: Path) -> Recognised | None:
    """Recognise files called as IXI calls them, of which at least half of all image files are."""
    base = None if root.is_file() else unwrapped(root, _looks_like_it)
    if base is None:
        return None
    files = [*images_in(base), *(path for folder in folders_in(base) for path in images_in(folder))]
    found: dict[str, dict[str, list[Path]]] = {}
    numbers, left, n_diffusion = {}, [], 0
    for path in files:
        match = _FILE.fullmatch(stem(path))
        if match is None:
            continue
        case, number, ending = match.groups()
        modality = _MODALITIES.get(ending.lower())
        if modality is not None:
            found.setdefault(case, {}).setdefault(modality, []).append(path)
            numbers[case] = number
        elif _DIFFUSION.fullmatch(ending):
            n_diffusion += 1
        else:
            left.append(ending)
    if not found:
        return None
    cases = tuple(_case(case, numbers[case], by_modality) for case, by_modality in found.items())
    counts = Counter(modality for case in cases for modality in case.modalities)
    reasons = [
        f"{len(cases)} people are named in files as IXI names them ("
        + ", ".join(f"{modality}: {n}" for modality, n in counts.items())
        + ")",
        *said_left_out(left),
    ]
    if n_diffusion:
        reasons.append(f"{n_diffusion} DTI files are left out: each is one direction of diffusion, no modality")
    if any(name.lower().startswith("ixi.xls") for place in (root, base) for name in names_in(place)):
        reasons.append("IXI.xls is left out: save it as IXI.csv, and age and sex are read from it")
    return Recognised(SPECIFICITY, tuple(reasons), cases, (base,) if base != root else ())


def _looks_like_it(base: Path) -> bool:
    """Whether names at the top say IXI; only then are all folders looked into."""
    return any(name.upper().startswith("IXI") for name in names_in(base))


def _case(case: str, number: str, by_modality: dict[str, list[Path]]) -> FoundCase:
    modalities, findings = {}, []
    for modality, paths in by_modality.items():
        if len(paths) > 1:
            names = ", ".join(f"'{path.parent.name}/{path.name}'" for path in paths)
            findings.append(Finding("missing_modality", f"{names} may all be {modality}, and none is used"))
        else:
            modalities[modality] = FoundFile(paths[0], why=f"its name ends in {modality.upper()}, as IXI writes it")
    return FoundCase(
        case, case, modalities, findings=tuple(findings), aliases=(f"IXI{number}", number, str(int(number)))
    )
