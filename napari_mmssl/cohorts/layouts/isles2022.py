"""ISLES 2022: ``sub-strokecase0001/ses-0001/dwi/..._dwi.nii.gz``, label maps in ``derivatives``, or all flattened.

DWI, ADC and FLAIR lie as they were scanned, on grids of their own; the lesion was drawn on the DWI. Names as in the
data descriptor (Hernandez Petzsche et al., Scientific Data 9, 762, 2022), and as the challenge's container looks for
them (``rawdata/sub-strokecase*/ses-*/*_dwi.nii.gz``).
"""

import re
from pathlib import Path

from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import files_below, names_in, said_left_out
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 4
_FILE = re.compile(r"(sub-strokecase\d+)_(ses-\d+)(?:_space-\w+)?_(\w+)", re.IGNORECASE)
_MODALITIES = {"dwi": "dwi", "adc": "adc", "flair": "flair"}
_LABELS = ("msk", "lesion-msk", "mask")
_DEEPEST = 6
#: Where the cases are not at the top, the folder that holds them is among the first few.
_MOST_TOPS = 10


@layouts.register("isles2022", summary="ISLES 2022 (sub-strokecase0001)", source="arXiv:2206.06694")
def isles2022(root: Path) -> Recognised | None:
    """Recognise files called ``sub-strokecase0001_ses-0001_dwi``, in whichever folders they lie."""
    if root.is_file() or not _looks_like_it(root):
        return None
    files: dict[tuple[str, str], dict[str, FoundFile]] = {}
    left = []
    for path in files_below(root, _DEEPEST):
        match = _FILE.fullmatch(stem(path))
        if match is None:
            continue
        subject, session, ending = match.groups()
        what = "label" if ending.lower() in _LABELS else _MODALITIES.get(ending.lower())
        if what is None:
            left.append(ending)
        else:
            file = FoundFile(path, why=f"its name ends in {ending}")
            files.setdefault((subject, session), {}).setdefault(what, file)
    cases = tuple(
        FoundCase(
            f"{subject}_{session}",
            subject,
            {what: file for what, file in found.items() if what != "label"},
            found.get("label"),
            session=session,
        )
        for (subject, session), found in files.items()
    )
    if not any(case.modalities for case in cases):
        return None
    reason = f"{len(cases)} cases are named sub-strokecase..., as ISLES 2022 names them"
    return Recognised(SPECIFICITY, (reason, *said_left_out(left)), cases)


def _looks_like_it(root: Path) -> bool:
    if "strokecase" in root.resolve().name.lower():
        return True
    places = (root, *(root / name for name in names_in(root)[:_MOST_TOPS]))
    return any("strokecase" in name.lower() for place in places for name in names_in(place))
