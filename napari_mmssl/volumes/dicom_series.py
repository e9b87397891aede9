"""DICOM series: which ones a folder holds, what is odd about each, and its voxels.

A series that is one evenly spaced stack is a volume, like a NIfTI file. One with a missing slice, uneven steps or
several stacks is refused in a sentence unless a stack is named. See ``docs/how-to/dicom.md``.
"""

import filecmp
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import SUFFIXES, Slice, is_dicom, read_slices
from napari_mmssl.volumes.dicom_pixels import read_pixels
from napari_mmssl.volumes.dicom_splitting import split
from napari_mmssl.volumes.dicom_stacks import SeriesFinding, Stack
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.header import Header, NotAVolumeError
from napari_mmssl.volumes.volume import Volume

#: Said of a volume that is one all the same.
_HARMLESS = ("gantry_tilt",)
#: Files of every kind that lie in a folder of images, and never are images.
_NEVER = (".gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".json", ".csv", ".tsv", ".txt", ".png", ".jpg")

Snapshot = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """The images of one folder that share a SeriesInstanceUID.

    Parameters
    ----------
    folder
        Where the files lie, or the one file that was asked for.
    uid
        SeriesInstanceUID; ``None`` if the files have none.
    slices
        All of its slices, localizers and objects that are no images included.
    stacks
        What can be told apart in it; localizers left out.
    findings
        What is odd about the series as a whole.
    damaged
        Whether some of its slices cannot be read, so that none of it should be.
    n_slices
        Number of slices; :meth:`in_short` keeps it.
    """

    folder: Path
    uid: str | None
    slices: tuple[Slice, ...]
    stacks: tuple[Stack, ...]
    findings: tuple[SeriesFinding, ...]
    damaged: bool
    n_slices: int

    def in_short(self) -> "DicomSeries":
        """Return the series with the first slice of all, and of each stack: all that a long list of cases needs."""
        stacks = tuple(replace(stack, slices=stack.slices[:1]) for stack in self.stacks)
        return replace(self, slices=self.slices[:1], stacks=stacks)

    @property
    def all_findings(self) -> tuple[SeriesFinding, ...]:
        """What is odd about the series and about each of its stacks."""
        return (*self.findings, *(finding for stack in self.stacks for finding in stack.findings))

    def why_not(self) -> str:
        """Return in words why the series is no volume."""
        return "; ".join(f.text for f in self.all_findings if f.kind not in _HARMLESS) or "it holds no image"


@dataclass(frozen=True, eq=False)
class DicomFolder:
    """The series of one folder, and the names of DICOM files in it that cannot be read."""

    series: tuple[DicomSeries, ...]
    unreadable: tuple[ReadError, ...]


def find_series(path: Path) -> DicomFolder:
    """Return the series that lie in ``path`` itself, sorted by their first file; headers only.

    Files that are no DICOM are passed over. A second look at an unchanged folder costs a listing.

    Parameters
    ----------
    path
        A folder, or one DICOM file.

    Raises
    ------
    ReadError
        If the folder cannot be listed, or the one file cannot be read.
    """
    if path.is_file():
        return DicomFolder(_group(path, read_slices(path)), ())
    return _find(path, list_files(path))


def holds_dicom(folder: Path) -> bool:
    """Whether a DICOM file lies in ``folder`` itself; a folder closed to us holds none."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:
        return False
    return any(is_dicom(folder / name) for name in names if not name.lower().endswith(_NEVER))


def read_header(path: Path) -> Header:
    """As :func:`read_series_header`: what :mod:`napari_mmssl.volumes.image_files` asks of every format."""
    return read_series_header(path)


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """As :func:`read_series`, with the header: what :mod:`napari_mmssl.volumes.image_files` asks of every format."""
    return read_series_header(path, None, channel), read_series(path, None, channel).array


def read_series_header(path: Path, uid: str | None = None, channel: int | None = None) -> Header:
    """Return the grid of a series, from its headers alone.

    Raises
    ------
    ReadError
        As :func:`read_series`.
    """
    stack, geometry = _choose_stack(choose_series(path, uid), channel)
    return Header(geometry, None, np.dtype(stack.slices[0].dtype), "")


def read_series(path: Path, uid: str | None = None, channel: int | None = None) -> Volume:
    """Read one volume, rescaled slice by slice.

    Whole numbers stay whole (int16 or int32) if every slice's rescaling keeps them so; otherwise float32.

    Parameters
    ----------
    path
        The folder of the series, or one file.
    uid
        SeriesInstanceUID, needed where several series lie in the folder.
    channel
        Which of several stacks, counted from 0.

    Raises
    ------
    NotAVolumeError
        If a series or stack must be chosen, or it is no evenly spaced stack of slices; says why.
    ReadError
        If there is no such series, or its pixels are damaged or packed in a way that cannot be unpacked.
    """
    stack, geometry = _choose_stack(choose_series(path, uid), channel)
    return Volume(read_pixels(stack.slices), geometry)


def choose_series(path: Path, uid: str | None = None) -> DicomSeries:
    """Return the series called ``uid``, or the only one in ``path`` that holds images.

    Raises
    ------
    NotAVolumeError
        If there are several.
    ReadError
        If there is none.
    """
    found = find_series(path)
    if uid is not None:
        series = next((one for one in found.series if one.uid == uid), None)
        if series is None:
            raise ReadError(f"cannot read '{path}': it holds no series with the UID {uid}")
        return series
    with_images = [one for one in found.series if one.stacks] or list(found.series)
    if len(with_images) == 1:
        return with_images[0]
    if not with_images:
        nothing = ReadError(f"cannot read '{path}': no DICOM image lies in it; name the folder of one series")
        raise found.unreadable[0] if found.unreadable else nothing
    uids = ", ".join(one.uid or "none" for one in with_images)
    raise NotAVolumeError(f"cannot read '{path}': it holds {len(with_images)} series; name one by its UID ({uids})")


def _choose_stack(series: DicomSeries, channel: int | None) -> tuple[Stack, Geometry]:
    def refused(reason: str) -> NotAVolumeError:
        return NotAVolumeError(f"cannot read the DICOM series in '{series.folder}' as a volume: {reason}")

    if series.damaged:
        raise ReadError(f"cannot read the DICOM series in '{series.folder}': {series.why_not()}")
    if channel is None and len(series.stacks) != 1:
        choice = f"; choose one of them (--channel 0 to {len(series.stacks) - 1})" if series.stacks else ""
        raise refused(series.why_not() + choice)
    if channel is not None and not 0 <= channel < len(series.stacks):
        raise refused(f"it has no stack {channel}; there are {len(series.stacks)}, counted from 0")
    stack = series.stacks[channel or 0]
    if stack.geometry is None:
        raise refused("; ".join(finding.text for finding in stack.findings))
    return stack, stack.geometry


def list_files(folder: Path) -> Snapshot:
    """Return name, size and date (ns) of the files in ``folder``: what changes when a series does."""
    try:
        with os.scandir(folder) as entries:
            files = [(e.name, e.stat()) for e in entries if not e.name.startswith(".") and e.is_file()]
    except OSError as error:
        raise ReadError(f"cannot look into '{folder}': {(error.strerror or str(error)).lower()}") from None
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))


@lru_cache(maxsize=64)
def _find(folder: Path, snapshot: Snapshot) -> DicomFolder:
    slices: list[Slice] = []
    unreadable = []
    for name, _, _ in snapshot:
        path = folder / name
        if name.lower().endswith(_NEVER):
            continue
        try:
            if is_dicom(path):
                slices += read_slices(path)
            elif name.lower().endswith(SUFFIXES):
                raise ReadError(f"cannot read '{path}': it is no DICOM file, whatever its name says")
        except ReadError as error:
            unreadable.append(error)
    return DicomFolder(_group(folder, slices), tuple(unreadable))


def _group(folder: Path, slices: Sequence[Slice]) -> tuple[DicomSeries, ...]:
    by_uid: dict[str, list[Slice]] = {}
    for one in slices:
        by_uid.setdefault(one.series_uid, []).append(one)
    return tuple(_series(folder, uid, members) for uid, members in by_uid.items())


def _series(folder: Path, uid: str, slices: list[Slice]) -> DicomSeries:
    findings: list[SeriesFinding] = []
    usable = [one for one in slices if not one.problem]
    damaged = [one for one in slices if one.damaged]
    other = [one for one in slices if one.problem and not one.damaged]
    if damaged:
        text = f"{len(damaged)} of {len(slices)} slices are damaged ('{damaged[0].path.name}': {damaged[0].problem})"
        findings.append(SeriesFinding("unreadable", text))
    if other:
        reason = Counter(one.problem for one in other).most_common(1)[0][0]
        kind = "mixed_series" if usable else "not_a_volume"
        text = reason if len(other) == len(slices) else f"{len(other)} of {len(slices)} objects are left out: {reason}"
        findings.append(SeriesFinding(kind, text))
    usable, copies = _without_copies(usable)
    findings += copies
    stacks, found = split(usable)
    findings += found
    return DicomSeries(folder, uid or None, tuple(slices), tuple(stacks), tuple(findings), bool(damaged), len(slices))


def _without_copies(slices: list[Slice]) -> tuple[list[Slice], list[SeriesFinding]]:
    """Leave out files that are byte for byte another one of the series."""
    first_of: dict[tuple[str, int], Slice] = {}
    kept, n_copies = [], 0
    for one in slices:
        key = (one.sop_uid, one.frame)
        earlier = first_of.get(key) if one.sop_uid else None
        if earlier is not None and earlier.path != one.path and filecmp.cmp(earlier.path, one.path, shallow=False):
            n_copies += 1
            continue
        first_of.setdefault(key, one)
        kept.append(one)
    if not n_copies:
        return kept, []
    text = f"{n_copies} of {len(slices)} slices lie there twice, as files with the same bytes; one of each is used"
    return kept, [SeriesFinding("duplicate_slice", text)]
