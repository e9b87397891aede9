"""Folders of DICOM series: ``case/series/*.dcm`` at any depth, or everything in one folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.dicom_case import read_dicom_case
from napari_mmssl.cohorts.dicom_names import names_modality
from napari_mmssl.cohorts.found import FoundCase, Recognised, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.pseudonyms import pseudonym
from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_series import DicomFolder, DicomSeries, find_series, holds_dicom

#: Below every other layout, and asked only after them.
SPECIFICITY = 0
_DEEPEST = 8


@dataclass(frozen=True)
class _Member:
    """A series, where it lies, and whose it is: hash of the person, and the study."""

    folder: Path
    series: DicomSeries
    identity: tuple[str, str]


@layouts.register("dicom", summary="DICOM series, one or several folders per case")
def dicom(root: Path) -> Recognised | None:
    """Recognise folders that hold DICOM images; unlike other layouts this one has to read their headers.

    A case is a person's study. It is called after its folder, never after anything in the files; where several
    studies share a folder, letters that mean nothing tell them apart.
    """
    if root.is_file():
        return None
    folders = _dicom_folders(root)
    members: list[_Member] = []
    damaged: dict[Path, tuple[Finding, ...]] = {}
    for folder in folders:
        content = _content(folder)
        members += [_member(folder, series) for series in content.series]
        damaged[folder] = _unreadable(content)
    if not members:
        return None
    cases: list[FoundCase] = []
    subject_by_person: dict[str, str] = {}
    for name, case_folder, part in _cases(root, members):
        (person, *others) = {member.identity[0] for member in part}
        subject = subject_of(name)
        if person and not others:
            # One person under two names would be learned from and tested on.
            subject = subject_by_person.setdefault(person, subject)
        broken = tuple(finding for member in part for finding in damaged.pop(member.folder, ()))
        case = read_dicom_case(name, subject, case_folder, [(member.folder, member.series) for member in part])
        cases.append(replace(case, findings=(*case.findings, *broken)))
    for folder, findings in damaged.items():
        # Nothing in this folder can be read; where its files belong nobody knows.
        cases += [FoundCase(folder.resolve().name, folder.resolve().name, {}, findings=findings)] if findings else []
    reasons = [f"{len(folders)} folder(s) hold {len(members)} DICOM series"]
    if len({case.subject for case in cases}) < len(cases):
        reasons.append("some cases are of one person, going by the patient's id, and share a subject")
    return Recognised(SPECIFICITY, tuple(reasons), tuple(cases))


def _dicom_folders(root: Path) -> list[Path]:
    found = []
    for directory, folders, _ in os.walk(root):
        folder = Path(directory)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(folder.relative_to(root).parts) >= _DEEPEST:
            folders.clear()
        if holds_dicom(folder):
            found.append(folder)
    return found


def _content(folder: Path) -> DicomFolder:
    try:
        return find_series(folder)
    except ReadError as error:
        return DicomFolder((), (error,))


def _member(folder: Path, series: DicomSeries) -> _Member:
    first = series.slices[0]
    return _Member(folder, series.in_short(), (first.person, first.study_uid))


def _cases(root: Path, members: Sequence[_Member]) -> list[tuple[str, Path, list[_Member]]]:
    """Return name, folder and series of each case."""
    name = root.resolve().name or "case"
    tops = {_top(root, member.folder) for member in members}
    if len(tops) == 1 and "" not in tops:
        (top,) = tops
        is_leaf = any(member.folder == root / top for member in members)
        if not (is_leaf and names_modality(top)):
            return _cases(root / top, members)
    identities = {member.identity for member in members}
    if len(identities) == 1 and (members[0].identity[1] or tops == {""}):
        return [(name, root, list(members))]
    cases = []
    for top in sorted(tops):
        inside = [member for member in members if _top(root, member.folder) == top]
        cases += _split_by_study(top or name, root / top, inside)
    return cases


def _split_by_study(name: str, folder: Path, members: list[_Member]) -> list[tuple[str, Path, list[_Member]]]:
    by_study: dict[tuple[str, str], list[_Member]] = {}
    for member in members:
        by_study.setdefault(member.identity, []).append(member)
    if len(by_study) == 1:
        return [(name, folder, members)]
    cases = []
    for identity, part in by_study.items():
        subs = {_top(folder, member.folder) for member in part}
        shared = {_top(folder, member.folder) for member in members if member.identity != identity}
        if len(subs) == 1 and "" not in subs and not subs & shared:
            (sub,) = subs
            cases.append((f"{name}_{sub}", folder / sub, part))
        else:
            cases.append((f"{name}_{pseudonym('/'.join(identity))}", folder, part))
    return cases


def _top(root: Path, folder: Path) -> str:
    parts = folder.relative_to(root).parts
    return parts[0] if parts else ""


def _unreadable(content: DicomFolder) -> tuple[Finding, ...]:
    """Return a finding for the files of a folder that cannot be read; one, however many they are."""
    if not content.unreadable:
        return ()
    n, first = len(content.unreadable), str(content.unreadable[0])
    return (Finding("unreadable", first if n == 1 else f"{n} files are damaged, the first: {first}"),)
