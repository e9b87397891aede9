"""BIDS: ``sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz``; label maps in ``derivatives/<pipeline>`` or beside the scans.

Every session is a case. The folder of a pipeline (``derivatives/fmriprep``) can be asked for by itself: its
preprocessed images (``desc-preproc``) are then the modalities.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.bids_names import (
    BidsName,
    is_brain_mask,
    is_label,
    modality_of,
    read_name,
    sort_session,
)
from napari_mmssl.cohorts.case_folder import folders_in
from napari_mmssl.cohorts.clinical import read_visits
from napari_mmssl.cohorts.found import FoundCase, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import files_below, names_in, said_left_out

SPECIFICITY = 3
#: Folders in which BIDS keeps images, of which those of function and of other machines show no anatomy.
_DATATYPES = ("anat", "dwi", "perf", "pet", "ct", "fmap", "swi")
_NO_ANATOMY = ("func", "fmap", "eeg", "meg", "ieeg", "beh", "micr", "nirs", "motion")
_PERSON = re.compile(r"sub-\w[\w+]*", re.IGNORECASE)


@layouts.register("bids", summary="BIDS, label maps in derivatives", source="doi:10.1038/sdata.2016.44")
def bids(root: Path) -> Recognised | None:
    """Recognise folders ``sub-*`` with BIDS' own folders, ``anat`` or ``dwi``, in them."""
    if root.is_file():
        return None
    people = _people(root) or _people(root / "rawdata")
    if not people or not any(_has_datatype(folder) for folder in people):
        return None
    images, others = _by_session(path for folder in people for path in files_below(folder, 4))
    derived = _derivatives(root)
    labels: dict[tuple[str, str], list[BidsName]] = {}
    for pipeline in derived:
        for path in (path for folder in _people(pipeline) for path in files_below(folder, 4)):
            name = read_name(path)
            if name is not None and (is_label(name) or is_brain_mask(name)):
                labels.setdefault((name.subject, name.session), []).append(name)
    visits = {folder.name: read_visits(folder / f"{folder.name}_sessions.tsv") for folder in people}
    cases = [_case(key, names, labels, visits.get(key[0], {})) for key, names in images.items()]
    if not any(case.modalities for case in cases):
        return None
    reasons = [
        f"{len(people)} folders are called sub-..., with {', '.join(_datatypes(people))} in them, as BIDS has it"
    ]
    if labels:
        where = ", ".join(pipeline.name for pipeline in derived)
        reasons.append(f"label maps are taken from derivatives ({where})")
    return Recognised(SPECIFICITY, (*reasons, *said_left_out(others)), tuple(cases))


def _people(root: Path) -> list[Path]:
    if _PERSON.fullmatch(root.resolve().name) and not any(_PERSON.fullmatch(name) for name in names_in(root)):
        return [root]
    if not any(name.lower().startswith("sub-") for name in names_in(root)):
        return []  # also where there is no such folder
    return [folder for folder in folders_in(root) if _PERSON.fullmatch(folder.name)]


def _has_datatype(folder: Path) -> bool:
    below = [folder, *(inner for inner in folders_in(folder) if inner.name.lower().startswith("ses-"))]
    return any(set(names_in(place)) & {*_DATATYPES, *_NO_ANATOMY} for place in below)


def _datatypes(people: list[Path]) -> list[str]:
    met = {name for folder in people[:100] for place in (folder, *folders_in(folder)) for name in names_in(place)}
    return sorted(met & set(_DATATYPES)) or ["ses-..."]


def _derivatives(root: Path) -> list[Path]:
    """Return the folders of ``derivatives`` that hold people, the folder itself among them."""
    base = root / "derivatives"
    if not base.is_dir():
        return []
    return [folder for folder in (base, *folders_in(base)) if _people(folder)]


def _by_session(paths: Iterable[Path]) -> tuple[dict[tuple[str, str], list[BidsName]], list[str]]:
    """Return person and session to names, and the suffixes that are no modality."""
    found: dict[tuple[str, str], list[BidsName]] = {}
    others = []
    for path in paths:
        name = read_name(path)
        if name is None or path.parent.name in _NO_ANATOMY:
            continue
        if modality_of(name) is None and not is_label(name) and not is_brain_mask(name):
            others.append(name.suffix)
        found.setdefault((name.subject, name.session), []).append(name)
    return found, others


def _case(
    key: tuple[str, str],
    names: list[BidsName],
    derived: dict[tuple[str, str], list[BidsName]],
    visits: dict[str, dict[str, Any]],
) -> FoundCase:
    subject, session = key
    modalities, label, findings = sort_session(names, derived.get(key, []))
    bare = subject.removeprefix("sub-")
    return FoundCase(
        "_".join(part for part in key if part),
        subject,
        modalities,
        label,
        visits.get(session, {}),
        findings,
        session=session,
        aliases=(f"{bare}_{session}", bare),
    )
