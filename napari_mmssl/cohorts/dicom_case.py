"""The DICOM series of one case: which modality each is, what is left out, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import images_in, sort_files
from napari_mmssl.cohorts.dicom_names import name_series, name_stack
from napari_mmssl.cohorts.found import FoundCase, FoundFile
from napari_mmssl.errors import LayoutError, MmsslError
from napari_mmssl.volumes.dicom_series import DicomSeries, find_series
from napari_mmssl.volumes.dicom_stacks import SeriesFinding
from napari_mmssl.volumes.image_files import read_header
from napari_mmssl.volumes.reindex import of_one_grid

#: Stands for the only MR series of a case if nothing names its sequence.
_UNNAMED = "mr"
_MOST_NAMED = 6


@dataclass(frozen=True)
class _Candidate:
    modality: str | None
    file: FoundFile
    where: str
    is_mr: bool


def read_dicom_case(name: str, subject: str, folder: Path, series: Sequence[tuple[Path, DicomSeries]]) -> FoundCase:
    """Return the case that these series make up.

    Parameters
    ----------
    name, subject
        Of the case.
    folder
        Its own; label maps in it, or beside it and named after it, are taken up.
    series
        Folder and content of each.
    """
    findings: list[Finding] = []
    candidates: list[_Candidate] = []
    label, label_findings = _label(name, folder)
    is_segmentation = label is None and not label_findings
    if is_segmentation:
        label, label_findings = _segmentation(series)
        # What is taken is not left out; what else lies in its folder is named as without it.
        series = [(lies_in, one) for lies_in, one in series if label is None or not _is_segmentation(one)]
    n_in = {where: sum(other == where for other, _ in series) for where, _ in series}
    for lies_in, one in series:
        where = _where(folder, lies_in, one, n_in[lies_in])
        words = lies_in.relative_to(folder).parts if n_in[lies_in] == 1 else ()
        if lies_in == folder and n_in[lies_in] == 1:
            words = (folder.resolve().name,)
        candidates += _candidates(lies_in, one, where, words, findings)
    modalities, choice = _choose(candidates)
    if label is not None and is_segmentation:
        label = _on_a_scan(label, modalities.values())
    return FoundCase(name, subject, modalities, label, findings=(*findings, *choice, *label_findings))


def _where(folder: Path, lies_in: Path, series: DicomSeries, n_in_folder: int) -> str:
    place = f"'{lies_in.relative_to(folder) if lies_in != folder else lies_in.resolve().name}'"
    if n_in_folder == 1:
        return place
    return f"the series of {series.n_slices} images from '{series.slices[0].path.name}' on in {place}"


def _candidates(
    folder: Path, series: DicomSeries, where: str, words: Sequence[str], findings: list[Finding]
) -> list[_Candidate]:
    """Return the volumes of a series; what is odd goes to ``findings``."""
    first = series.slices[0]

    def file(channel: int) -> FoundFile:
        number = channel if len(series.stacks) > 1 else None
        why = "its folder or its headers name it"
        return FoundFile(folder, number, series.uid, series.stacks[channel].geometry, why)

    usable = [n for n, stack in enumerate(series.stacks) if stack.geometry is not None and not series.damaged]
    if len(series.stacks) == 1 and usable:
        modality = name_series(first, words)
        findings += _told(series.all_findings, where)
        return [_Candidate(modality, file(0), where, first.modality == "MR")]
    named = {n: name_stack(series.stacks[n].slices[0]) for n in usable}
    # Of several stacks only those are taken whose own image type names them, each another thing.
    known = {n: name for n, name in named.items() if name and list(named.values()).count(name) == 1}
    left = f"is left out but for {', '.join(known.values())}" if known else "is left out"
    all_named = bool(known) and len(known) == len(series.stacks)
    findings += _told(series.all_findings, f"{where} is parted" if all_named else f"{where} {left}")
    return [_Candidate(name, file(n), where, is_mr=True) for n, name in known.items()]


def _told(found: Sequence[SeriesFinding], where: str) -> list[Finding]:
    return [Finding(one.kind, f"{where}: {one.text}") for one in found]


def _choose(candidates: Sequence[_Candidate]) -> tuple[dict[str, FoundFile], list[Finding]]:
    """Return one file per modality; where several may be meant, none, and a finding."""
    chosen: dict[str, FoundFile] = {}
    findings: list[Finding] = []
    unnamed = [one for one in candidates if one.modality is None]
    for modality in dict.fromkeys(one.modality for one in candidates if one.modality):
        same = [one for one in candidates if one.modality == modality]
        if len(same) == 1:
            chosen[modality] = same[0].file
            continue
        names = ", ".join(one.where for one in same)
        text = f"{names} may all be {modality}, and none is used; leave one of them in the case"
        findings.append(Finding("missing_modality", text))
    if len(candidates) == len(unnamed) == 1 and unnamed[0].is_mr:
        text = f"nothing in {unnamed[0].where} says which sequence it is; it is called '{_UNNAMED}'"
        return {_UNNAMED: unnamed[0].file}, [Finding("missing_modality", text)]
    for one in unnamed:
        text = f"{one.where} is left out: neither its folder nor its headers name one modality"
        findings.append(Finding("missing_modality", text))
    return chosen, findings


def _label(name: str, folder: Path) -> tuple[FoundFile | None, tuple[Finding, ...]]:
    """Return the label map in the case's folder, or beside it under the case's name."""
    try:
        files = images_in(folder)
        beside = [path for path in images_in(folder.resolve().parent) if path.name.startswith((f"{name}_", f"{name}-"))]
    except LayoutError:
        return None, ()
    if not files + beside:
        return None, ()
    _, label, findings = sort_files([*files, *beside], name)
    return label, tuple(finding for finding in findings if finding.kind == "label_candidates")


def _on_a_scan(label: FoundFile, scans: Iterable[FoundFile]) -> FoundFile:
    """Return a segmentation with the grid of the scan whose slices it holds, or some of them."""
    try:
        own = read_header(label.path).geometry
    except MmsslError:
        # Whoever opens it says what is wrong with it.
        return label
    grids = [scan.geometry for scan in scans if scan.geometry is not None and of_one_grid(own, scan.geometry)]
    return replace(label, geometry=grids[0] if grids else own)


def _is_segmentation(series: DicomSeries) -> bool:
    return series.slices[0].modality == "SEG"


def _segmentation(series: Sequence[tuple[Path, DicomSeries]]) -> tuple[FoundFile | None, tuple[Finding, ...]]:
    """Return the DICOM segmentation of the case, if there is exactly one."""
    uids = {one.uid for _, one in series if _is_segmentation(one)}
    folders = dict.fromkeys(lies_in for lies_in, one in series if _is_segmentation(one))
    files = [
        one.path
        for folder in folders
        for found in find_series(folder).series
        if found.uid in uids and _is_segmentation(found)
        for one in found.slices
    ]
    files = list(dict.fromkeys(files))
    if len(files) == 1:
        return FoundFile(files[0], why="it is the only DICOM segmentation of the case"), ()
    if not files:
        return None, ()
    names = ", ".join(f"'{path.name}'" for path in files[:_MOST_NAMED])
    text = f"{len(files)} DICOM segmentations may be the label map ({names}); leave one of them in the case"
    return None, (Finding("label_candidates", text),)
