"""The files of many cases in one folder: ``p1_t1.nii.gz p1_flair.nii.gz p1_seg.nii.gz p2_t1.nii.gz ...``."""

import re
from pathlib import Path

from napari_mmssl.cohorts.bids_names import BidsName, read_name, sort_session
from napari_mmssl.cohorts.case_folder import images_in, is_visit, own_name, sort_files
from napari_mmssl.cohorts.found import FoundCase, Recognised, session_of, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 2
_MOST_WORDS = 3


@layouts.register("flat_files", summary="The files of many cases in one folder, case_modality")
def flat_files(root: Path) -> Recognised | None:
    """Recognise a folder whose files start with more than one case's name.

    Two names are two cases if both have a number and a modality is there under both; or if they are in BIDS manner, and
    of two people.
    """
    if root.is_file():
        return None
    files = images_in(root)
    in_bids = [name for name in map(read_name, files) if name is not None]
    if len(in_bids) == len(files) and len({name.subject for name in in_bids}) > 1:
        cases = _bids_cases(in_bids)
    else:
        cases = _named_cases(files, own_name(root))
    known = [case for case in cases if case.modalities]
    if len(known) < 2:
        return None
    return Recognised(
        SPECIFICITY, (f"{len(files)} files in one folder start with the names of {len(cases)} cases",), tuple(cases)
    )


def _bids_cases(names: list[BidsName]) -> list[FoundCase]:
    cases = []
    for key in dict.fromkeys((name.subject, name.session) for name in names):
        own = [name for name in names if (name.subject, name.session) == key]
        modalities, label, findings = sort_session(own)
        case_id = "_".join(part for part in key if part)
        cases.append(FoundCase(case_id, key[0], modalities, label, findings=findings, session=key[1]))
    return cases


def _named_cases(files: list[Path], folder: str) -> list[FoundCase]:
    """Return the cases whose names stand in front of modalities; none unless a modality is there twice.

    Names of visits alone are visits of the person whose ``folder`` it is.
    """
    starts = [(path, start) for path in files if (start := _start(path)) is not None]
    times: dict[str, set[str]] = {}
    for path, start in starts:
        modality = canonical(re.sub(r"^[-_. ]+", "", stem(path)[len(start) :]))
        times.setdefault(modality or "", set()).add(start)
    shared = any(len(cases) > 1 for modality, cases in times.items() if modality)
    # People are numbered; 'native_t1' and 'registered_t1' are one person twice.
    if not shared or not all(re.search(r"\d", start) for _, start in starts) or len(starts) < len(files) / 3:
        return []
    own: dict[str, list[Path]] = {start: [] for _, start in starts}
    for path in files:
        # The longest name that fits: 'p1_b' before 'p1'.
        parts = re.split(r"([-_. ]+)", stem(path))
        heads = ("".join(parts[:n]) for n in range(len(parts) - 2, 0, -2))
        case = next((head for head in heads if head in own), None)
        if case is not None:
            own[case].append(path)
    visits_of = folder if all(map(is_visit, own)) else None
    return [_named_case(name, paths, visits_of) for name, paths in own.items()]


def _named_case(name: str, paths: list[Path], visits_of: str | None) -> FoundCase:
    """Return the case of files that start with ``name``, which may be a visit of the person ``visits_of``."""
    modalities, label, findings = sort_files(paths, name)
    if visits_of is not None:
        return FoundCase(f"{visits_of}_{name}", visits_of, modalities, label, findings=findings, session=name)
    return FoundCase(name, subject_of(name), modalities, label, findings=findings, session=session_of(name))


def _start(path: Path) -> str | None:
    """Return what stands before the modality in a name; ``None`` if it ends in none."""
    parts = re.split(r"([-_. ]+)", stem(path))
    words = parts[::2]
    for n in range(min(_MOST_WORDS, len(words)), 0, -1):
        if canonical("".join(words[-n:])) is not None:
            return "".join(parts[: 2 * (len(words) - n)]).rstrip("-_. ")
    return None
