"""Read RTSTRUCT: contours drawn by hand on the slices of a series, as a label map on the grid of that series.

Contours of one structure on one slice are combined by the even-odd rule, so that one inside another is a hole
(PS3.3, C.8.8.6). What a label map cannot keep is said: parts of contours finer than a pixel go without a word, points,
open lines, and contours that lie across or outside the slices are counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import reading_dicom, refuse_bomb
from napari_mmssl.volumes.dicom_places import one_line
from napari_mmssl.volumes.dicom_series import DicomSeries, find_series
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.header import Header, NotAVolumeError
from napari_mmssl.volumes.label_classes import colour
from napari_mmssl.volumes.polygons import fill_even_odd
from napari_mmssl.volumes.volume import LabelClass

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_TAGS = [
    Tag(tag_for_keyword(word) or 0)
    for word in (
        "SOPClassUID",
        "ReferencedFrameOfReferenceSequence",
        "StructureSetROISequence",
        "ROIContourSequence",
    )
]
_CONTOUR_DATA = Tag(tag_for_keyword("ContourData") or 0)
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
#: A contour whose points differ by more than this share of a slice's step does not lie in one slice.
_FLAT = 0.2
#: One that lies further than this share of a step from its slice was drawn between slices.
_BETWEEN = 0.1
_MOST_STRUCTURES = 255


@dataclass(frozen=True, eq=False)
class _Structure:
    """One structure: its class, and its contours as LPS mm ``(n, 3)``."""

    label: LabelClass
    contours: tuple[np.ndarray, ...]
    n_not_closed: int


def read_header(path: Path) -> Header:
    """Return the grid of the series beside ``path`` that its contours were drawn on, and the structures' names.

    Raises
    ------
    NotAVolumeError
        If that series does not lie in the same folder.
    ReadError
        If the file is damaged.
    """
    with reading_dicom(path):
        dataset = _load(path)
        return Header(_grid_beside(path, dataset), None, np.dtype(np.uint8), "", _classes(dataset))


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """Return the structures as label values on the grid of the series that lies beside ``path``.

    Parameters
    ----------
    path
        The RTSTRUCT file.
    channel
        Position of one structure, counted from 0; ``None`` for all of them.

    Raises
    ------
    NotAVolumeError
        If that series does not lie in the same folder, or structures overlap and none is chosen.
    ReadError
        If the file is damaged.
    """
    with reading_dicom(path):
        dataset = _load(path)
        return _drawn(dataset, _grid_beside(path, dataset), channel)


def read_contours(path: Path, reference: DicomSeries, grid: Geometry, channel: int | None) -> tuple[Header, np.ndarray]:
    """As :func:`read_array`, on the ``grid`` of a stack of ``reference``, wherever that lies.

    Raises
    ------
    ReadError
        Also if the contours were drawn on another series.
    """
    with reading_dicom(path):
        dataset = _load(path)
        uids = _referenced(dataset)
        if uids and reference.uid not in uids:
            raise ReadError(f"its contours were drawn on another series than the one in '{reference.folder}'")
        return _drawn(dataset, grid, channel)


def structure_names(path: Path) -> tuple[str, ...]:
    """Return what the structures of an RTSTRUCT file are called, in its order.

    Raises
    ------
    ReadError
        If it is damaged.
    """
    with reading_dicom(path):
        return tuple(one.name for one in _classes(_load(path)))


def referenced_series(path: Path) -> set[str]:
    """Return the UIDs of the series that the contours of ``path`` were drawn on; empty if it names none.

    Raises
    ------
    ReadError
        If it is damaged.
    """
    with reading_dicom(path):
        return _referenced(_load(path))


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        refuse_bomb(file)
        dataset = pydicom.dcmread(file, force=True, specific_tags=_TAGS)
    if str(dataset.get("SOPClassUID") or "") != SOP_CLASS:
        raise ReadError("it is no RTSTRUCT file")
    return dataset


def _referenced(dataset: Any) -> set[str]:
    """Return the UIDs of the series that the contours were drawn on."""
    return {
        str(series.get("SeriesInstanceUID"))
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
        if series.get("SeriesInstanceUID")
    }


def _grid_beside(path: Path, dataset: Any) -> Geometry:
    uids = _referenced(dataset)
    for series in find_series(path.parent).series:
        grids = [stack.geometry for stack in series.stacks if stack.geometry is not None]
        if series.uid in uids and len(grids) == 1:
            return grids[0]
    raise NotAVolumeError(
        "its contours have no grid of their own, and the series that they were drawn on does not lie beside it; "
        "convert it with 'mmssl convert RTSTRUCT FILE --reference SERIES'"
    )


def _classes(dataset: Any) -> tuple[LabelClass, ...]:
    """Return a class for each structure, numbered from 1 in the order of the file."""
    described = dataset.get("StructureSetROISequence") or []
    if not 0 < len(described) <= _MOST_STRUCTURES:
        raise ReadError(f"it describes {len(described)} structures; 1 to {_MOST_STRUCTURES} can be read")
    colours = {
        int(item.ReferencedROINumber): item.get("ROIDisplayColor") for item in dataset.get("ROIContourSequence") or ()
    }
    classes = []
    for n, item in enumerate(described):
        told = colours.get(int(item.ROINumber))
        parts = [] if told is None else [int(one) for one in told]
        known = len(parts) == 3 and all(0 <= part <= 255 for part in parts)
        shown = "#" + "".join(f"{part:02x}" for part in parts) if known else colour(n)
        name = one_line(item.get("ROIName")) or f"structure {n + 1}"
        classes.append(LabelClass(n + 1, name, shown))
    return tuple(classes)


def _structures(dataset: Any, classes: Sequence[LabelClass]) -> Iterator[_Structure]:
    drawn = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or ()}
    for item, label in zip(dataset.StructureSetROISequence, classes, strict=True):
        contours, n_not_closed = [], 0
        roi = drawn.get(int(item.ROINumber))
        drawings: Any = [] if roi is None else roi.get("ContourSequence") or []
        for contour in drawings:
            points = _points(contour)
            if str(contour.get("ContourGeometricType") or "") in _CLOSED and len(points) > 2:
                contours.append(points)
            else:
                n_not_closed += 1
        yield _Structure(label, tuple(contours), n_not_closed)


def _points(contour: Any) -> np.ndarray:
    """Return ContourData as ``(n, 3)``, from its text: element by element takes pydicom minutes."""
    raw = contour.get_item(_CONTOUR_DATA)
    if raw is None or not raw.value:
        return np.empty((0, 3))
    texts = raw.value.split(b"\\") if isinstance(raw.value, bytes) else raw.value
    numbers = np.array([float(text) for text in texts])
    if len(numbers) % 3 or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e6:
        raise ReadError("one of its contours is no list of points")
    return numbers.reshape(-1, 3)


def _drawn(dataset: Any, grid: Geometry, channel: int | None) -> tuple[Header, np.ndarray]:
    classes = _classes(dataset)
    if channel is not None and not 0 <= channel < len(classes):
        raise ReadError(f"it has no structure {channel}; there are {len(classes)}, counted from 0")
    labels = np.zeros(grid.shape, np.uint8)
    lost: Counter[str] = Counter()
    for n, structure in enumerate(_structures(dataset, classes)):
        if channel not in (None, n):
            continue
        lost["point(s) or open line(s)"] += structure.n_not_closed
        for plane, contours in sorted(_by_slice(structure, grid, lost).items()):
            try:
                inside = fill_even_odd(contours, grid.shape[1:])
            except ValueError as error:
                raise ReadError(str(error)) from None
            _refuse_overlap(labels[plane][inside], structure.label, classes)
            labels[plane][inside] = structure.label.value
    left_out = [f"{n} {what}" for what, n in lost.items() if n and not what.startswith("moved")]
    notes = [f"not in the label map: {', '.join(left_out)}"] if left_out else []
    if lost["moved"]:
        notes.append(f"{lost['moved']} contour(s) lie between slices and were drawn on the nearest one")
    return Header(grid, None, labels.dtype, "", classes, tuple(notes)), labels


def _by_slice(structure: _Structure, grid: Geometry, lost: Counter[str]) -> dict[int, list[np.ndarray]]:
    """Return the contours as (row, column) by slice; what lies in none is counted in ``lost``."""
    by_slice: dict[int, list[np.ndarray]] = {}
    for contour in structure.contours:
        index = grid.world_to_index(contour * (-1, -1, 1))
        place = float(index[:, 0].mean())
        plane = round(place)
        if np.ptp(index[:, 0]) > _FLAT:
            lost["contour(s) across the slices"] += 1
        elif not 0 <= plane < grid.shape[0]:
            lost["contour(s) outside the series"] += 1
        else:
            lost["moved"] += abs(place - plane) > _BETWEEN
            by_slice.setdefault(plane, []).append(index[:, 1:])
    return by_slice


def _refuse_overlap(covered: np.ndarray, label: LabelClass, classes: Sequence[LabelClass]) -> None:
    others = covered[covered > 0]
    if others.size:
        name = classes[int(others[0]) - 1].name
        raise NotAVolumeError(
            f"its structures '{name}' and '{label.name}' overlap, and a voxel of a label map is of one class; choose "
            f"one (0 to {len(classes) - 1}), or write each into a file of its own"
        )
