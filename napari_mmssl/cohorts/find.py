"""Find the cohort that a folder or file holds: recognise the layout, read the headers, add the tables."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_mmssl.cohorts.case import Case, Cohort, Finding, ScanFile
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.clinical import read_clinical
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, with_safe_ids
from napari_mmssl.cohorts.layouts import ASKED_LAST, layouts, place_in_turn
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.names import with_one_subject
from napari_mmssl.cohorts.phantom_mark import PHANTOM_MARK, phantom_finding, read_phantom_note
from napari_mmssl.errors import LayoutError, MmsslError
from napari_mmssl.volumes.dicom_series import holds_dicom
from napari_mmssl.volumes.geometry import Geometry, Shape
from napari_mmssl.volumes.image_files import Header, NotAVolumeError, read_header

#: Told how many of how many cases are done.
Progress = Callable[[int, int], None]
_MOST_GRIDS = 64


def find_cohort(path: Path, progress: Progress | None = None) -> Cohort:
    """Find the cases in ``path`` and read their headers.

    One broken file among many is a finding on its case. Nothing is compared between files here:
    :mod:`napari_mmssl.cohorts.checks` does that.

    Parameters
    ----------
    path
        A folder of cases, the folder of one case, or one image file.
    progress
        Called after each case.

    Raises
    ------
    LayoutError
        If there is nothing there, or nothing in a layout that is known.
    ReadError, GeometryError
        If ``path`` is one file and cannot be read.
    """
    name, recognised = recognise(path)
    found_cases = with_safe_ids(recognised.cases)
    aliases = {found.id: found.aliases for found in found_cases if found.aliases}
    recognised = replace(recognised, cases=())
    cases, n_cases = [], len(found_cases)
    grids = _Grids()
    # Of ten thousand cases nothing is held twice: each one found goes as its headers come.
    found_cases.reverse()
    while found_cases:
        cases.append(_build_case(found_cases.pop(), grids, forgiving=name != "single_file"))
        if progress is not None:
            progress(len(cases), n_cases)
    # A manifest holds what its tables said when it was written, and what a person corrected since.
    cases, table_reasons = (cases, []) if name == "manifest" else _with_clinical(path, cases, recognised, aliases)
    cases = _with_phantom_note(path, cases)
    cases, name_reasons = with_one_subject(cases, _cohort_folders(path, cases))
    reasons = (*recognised.reasons, *table_reasons, *name_reasons)
    cases.sort(key=lambda case: case.id)
    return Cohort(path, name, reasons, tuple(cases), dict(recognised.label_names), recognised.label_coding)


def recognise(path: Path) -> tuple[str, Recognised]:
    """Return the layout that ``path`` is in and its cases, going by names alone; no image file is opened.

    DICOM is the exception: its names say nothing, so its headers are read.

    Raises
    ------
    LayoutError
        If there is nothing there, or nothing in a layout that is known.
    """
    if not path.exists():
        raise LayoutError(f"there is no file or folder '{path}'")
    candidates: list[tuple[str, Recognised]] = []
    for entry in sorted(layouts.entries(), key=lambda entry: place_in_turn(entry.name)):
        if entry.name in ASKED_LAST and candidates:
            break
        found = entry.value(path)
        if found is not None:
            candidates.append((entry.name, found))
    if not candidates:
        raise LayoutError(f"'{path}' holds no cohort in a layout we know: {_what_is_there(path)}")
    name, best = max(candidates, key=lambda candidate: candidate[1].specificity)
    return name, best


class _Grids:
    """Hands out one object for equal grids of the last files, as the modalities of a case mostly have."""

    def __init__(self) -> None:
        self._met: dict[tuple[Shape, bytes], Geometry] = {}

    def shared(self, geometry: Geometry) -> Geometry:
        if len(self._met) > _MOST_GRIDS:
            self._met.clear()
        return self._met.setdefault((geometry.shape, geometry.affine.tobytes()), geometry)


def _build_case(found: FoundCase, grids: _Grids, *, forgiving: bool) -> Case:
    findings = list(found.findings)
    modalities = {}
    for name in in_order(found.modalities):
        scan = _open_scan(name, found.modalities[name], findings, grids, forgiving=forgiving)
        if scan is not None:
            modalities[name] = scan
    label = None
    if found.label is not None:
        label = _open_scan("label map", found.label, findings, grids, forgiving=forgiving)
    clinical, findings_once = dict(found.clinical), tuple(dict.fromkeys(findings))
    return Case(found.id, found.subject, modalities, label, clinical, findings_once, found.session)


def _open_scan(
    name: str, file: FoundFile, findings: list[Finding], grids: _Grids, *, forgiving: bool
) -> ScanFile | None:
    """Return ``file`` with what its header says, or ``None`` and one more finding."""
    if file.geometry is not None:
        return ScanFile(file.path, file.geometry, file.channel, file.series_uid, why=file.why, coding=file.coding)
    try:
        header = read_header(file.path)
        problem = _channel_problem(name, file, header)
    except OSError as error:  # a name in a list that no disk can have
        findings.append(Finding("unreadable", f"{name} is left out: {(error.strerror or str(error)).lower()}"))
        return None
    except MmsslError as error:
        if not forgiving:
            raise
        kind = "not_a_volume" if isinstance(error, NotAVolumeError) else "unreadable"
        findings.append(Finding(kind, f"{name} is left out: {error}"))
        return None
    if header.doubt:
        findings.append(Finding("misregistered", f"{name} ('{file.path.name}'): {header.doubt}"))
    if header.description.startswith(PHANTOM_MARK):
        findings.append(phantom_finding(header.description))
    if problem is not None:
        findings.append(problem)
        return None
    channel = None if header.channels is None else file.channel
    return ScanFile(
        Path(file.path),  # without what the one that was opened remembers of its spelling
        grids.shared(header.geometry),
        channel,
        synthetic=header.synthetic,
        passed_gate=header.passed_gate,
        why=file.why,
    )


def _channel_problem(name: str, file: FoundFile, header: Header) -> Finding | None:
    n_channels = header.channels or 1
    z, y, x = header.geometry.shape
    if file.channel is None and header.channels is not None:
        text = (
            f"'{file.path.name}' is 4-D ({n_channels} volumes of {z} x {y} x {x} voxels), and nothing says what each is"
        )
        return Finding("not_a_volume", f"{name} is left out: {text}")
    if file.channel is not None and file.channel >= n_channels:
        text = f"'{file.path.name}' should have it as channel {file.channel}, and holds {n_channels}"
        return Finding("missing_modality", f"{name} is left out: {text}")
    return None


def _with_clinical(
    path: Path, cases: list[Case], recognised: Recognised, aliases: dict[str, tuple[str, ...]]
) -> tuple[list[Case], list[str]]:
    folders = (*_cohort_folders(path, cases), *recognised.tables)
    values, reasons = read_clinical(folders, cases, aliases)
    return [replace(case, clinical={**values.get(case.id, {}), **case.clinical}) for case in cases], reasons


def _with_phantom_note(path: Path, cases: list[Case]) -> list[Case]:
    note = read_phantom_note(_cohort_folders(path, cases))
    if note is None:
        return cases
    return [
        case
        if any(finding.kind == "phantom" for finding in case.findings)
        else replace(case, findings=(*case.findings, phantom_finding(note)))
        for case in cases
    ]


def _cohort_folders(path: Path, cases: list[Case]) -> list[Path]:
    """Return where a note on the whole cohort may lie: one case, or one file of it, lies below that place."""
    path = path.resolve()
    if path.is_file():
        return [path.parent, path.parent.parent]
    return [path, path.parent] if len(cases) == 1 else [path]


def _what_is_there(path: Path) -> str:
    """Return what was met instead of a cohort, and what to do."""
    if path.name in ("imagesTr", "imagesTs", "labelsTr"):
        return "choose the folder above it, where dataset.json lies"
    folders = [path, *folders_in(path)]
    described = [folder.name for folder in folders[1:] if (folder / "dataset.json").is_file()]
    if described:
        return (
            f"it holds {len(described)} cohort(s) with a dataset.json; choose one of them ({', '.join(described[:3])})"
        )
    folders += [below for folder in folders[1:] for below in folders_in(folder)]
    if any(holds_dicom(folder) for folder in folders):
        return "it holds DICOM files, and none of them can be read"
    n_images = sum(len(images_in(folder)) for folder in folders)
    if n_images == 0:
        return "there is no image file (.nii .nii.gz .nrrd .mha ...) in it or in its folders"
    return (
        f"it holds {n_images} image file(s), and too few are named after a modality; name them like t1.nii.gz,"
        " case_flair.nii.gz or ct.nii.gz, in one folder per case, or list them in a manifest (--save-manifest)"
    )
