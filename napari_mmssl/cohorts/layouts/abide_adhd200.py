"""ABIDE and ADHD-200: ``<site>/<person>/session_1/anat_1/mprage.nii.gz``; diagnosis, age and sex in a table.

Both come from one archive (FCP/INDI) and lie alike. People are numbered with leading zeros in the folders, and
without in the tables. ABIDE's have ``SUB_ID DX_GROUP AGE_AT_SCAN SEX`` (``SubID DxGroup AgeAtScan Sex`` at single
sites; 1 is autism and male), ADHD-200's ``ScanDir ID, Gender, Age, DX`` (0 is control and female), as the phenotypic
keys at fcon_1000.projects.nitrc.org say.
"""

import re
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import names_in
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 3
_SESSION = re.compile(r"session_\d+")
_SCAN = re.compile(r"(anat|flair|hires|pd|t2)_\d+")
_PERSON = re.compile(r"(?:sub-)?0*\d{4,7}")
#: How the archive names its files, the plain image first.
_FILES = {
    "mprage": "t1",
    "anat": "t1",
    "hires": "t1",
    "mprage_anonymized": "t1",
    "flair": "flair",
    "t2": "t2",
    "pd": "pd",
}


@layouts.register(
    "abide_adhd200", summary="ABIDE and ADHD-200 (person/session_1/anat_1)", source="fcon_1000.projects.nitrc.org"
)
def abide_adhd200(root: Path) -> Recognised | None:
    """Recognise numbered people with ``session_1/anat_1`` below them, in folders of sites or without."""
    if root.is_file():
        return None
    people = _people(root)
    cases = [case for site, person in people for case in _cases(site, person)]
    if not any(case.modalities for case in cases):
        return None
    sites = sorted({site for site, _ in people if site})
    reasons = [f"{len(people)} folders of people hold session_1/anat_1, as ABIDE and ADHD-200 do"]
    if sites:
        reasons.append(f"they come from {len(sites)} sites")
    tables = tuple(dict.fromkeys(person.parent for _, person in people if person.parent != root))
    return Recognised(SPECIFICITY, tuple(reasons), tuple(cases), tables)


def _people(root: Path) -> list[tuple[str, Path]]:
    """Return site and folder of each person."""
    if _is_person(root):
        return [("", root)]
    found = []
    for folder in folders_in(root):
        if _PERSON.fullmatch(folder.name):
            found += [("", folder)] if _is_person(folder) else []
        else:
            inside = (f for f in folders_in(folder) if _PERSON.fullmatch(f.name)) if _has_numbers(folder) else ()
            found += [(folder.name, person) for person in inside if _is_person(person)]
    return found


def _has_numbers(folder: Path) -> bool:
    return any(map(_PERSON.fullmatch, names_in(folder)))


def _is_person(folder: Path) -> bool:
    return any(map(_SESSION.fullmatch, names_in(folder)))


def _cases(site: str, person: Path) -> list[FoundCase]:
    name = person.resolve().name
    number = name.removeprefix("sub-")
    cases = []
    for session in (folder for folder in folders_in(person) if _SESSION.fullmatch(folder.name)):
        modalities: dict[str, FoundFile] = {}
        findings = []
        for scan in (folder for folder in folders_in(session) if _SCAN.fullmatch(folder.name)):
            known = {stem(path).lower(): path for path in images_in(scan)}
            # The brain alone, and the like, lie beside the plain image.
            ending = next((ending for ending in _FILES if ending in known), None)
            if ending is None:
                continue
            modality, file = _FILES[ending], FoundFile(known[ending], why=f"'{ending}' in {scan.name}")
            if modality in modalities:
                text = f"'{session.name}/{scan.name}' is left out: a second {modality} of the session"
                findings.append(Finding("missing_modality", text))
            modalities.setdefault(modality, file)
        cases.append(
            FoundCase(
                f"{name}_{session.name}",
                name,
                modalities,
                findings=tuple(findings),
                group=site,
                session=session.name,
                aliases=(number, number.lstrip("0")),
            )
        )
    return cases
