"""Read DICOM-SEG: one file whose frames are the masks of named, coloured segments (PS3.3, A.51).

Frames without a voxel may be left out of such a file, so its grid is put together from the places of those that are
there and the spacing it tells. Binary segments, fractional ones (a class where it is likelier than not) and label
maps are read; written by ``dicom_segmentation_writing``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.cielab import from_cielab
from napari_mmssl.volumes.dicom_files import reading_dicom, refuse_bomb
from napari_mmssl.volumes.dicom_frames import frames_of
from napari_mmssl.volumes.dicom_places import one_line, read_directions, read_number, read_position, read_spacing
from napari_mmssl.volumes.dicom_unpacking import unpack
from napari_mmssl.volumes.geometry import Geometry, lps_to_ras
from napari_mmssl.volumes.header import Header, NotAVolumeError
from napari_mmssl.volumes.label_classes import colour
from napari_mmssl.volumes.volume import LabelClass

#: Segmentation Storage and Label Map Segmentation Storage.
SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
#: Segments are numbered from 1 without a gap; the value that ours has in label maps stands in its description.
VALUE_WORDS = "label value {}"
_VALUE = re.compile(r"label value (\d{1,5})")
#: All that is read; a patient's name never enters the process.
_TAGS = [
    Tag(tag_for_keyword(word) or 0)
    for word in [
        "SOPClassUID",
        "SegmentationType",
        "Rows",
        "Columns",
        "NumberOfFrames",
        "BitsAllocated",
        "MaximumFractionalValue",
        "SegmentSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "PixelData",
    ]
]
#: A frame may lie this share of a step beside its even place.
_EVEN = 0.05
_MOST_VOXELS = 2**30
#: In all frames of a packed file, which are unpacked together.
_MOST_UNPACKED = 2**32
_MOST_VALUE = 65535


@dataclass(frozen=True)
class _Frame:
    """Where a frame belongs: its slice, counted from 0, and its segment's position in the list (-1: every segment)."""

    plane: int
    segment: int


@dataclass(frozen=True, eq=False)
class _Content:
    """What the header of a segmentation says."""

    dataset: Any
    geometry: Geometry
    numbers: tuple[int, ...]
    classes: tuple[LabelClass, ...]
    frames: tuple[_Frame, ...]
    kind: str

    @property
    def frame_shape(self) -> tuple[int, int]:
        return self.geometry.shape[1:]


def read_header(path: Path) -> Header:
    """Read grid, class names and colours of a segmentation, without its masks.

    Raises
    ------
    ReadError
        If it is damaged, or its frames do not make up an even stack.
    """
    with reading_dicom(path):
        return _header(_content(path, with_pixels=False))


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """Read the segments as one array ``(z, y, x)`` of label values, and the header.

    Parameters
    ----------
    path
        The file.
    channel
        Position of one segment, counted from 0; ``None`` for all of them.

    Raises
    ------
    NotAVolumeError
        If segments overlap and none is chosen: a voxel of a label map is of one class.
    ReadError
        As :func:`read_header`, and if there is no such segment.
    """
    with reading_dicom(path):
        content = _content(path, with_pixels=True)
        header = _header(content)
        if channel is not None and not 0 <= channel < len(content.classes):
            raise ReadError(f"it has no segment {channel}; there are {len(content.classes)}, counted from 0")
        voxels = int(np.prod(header.geometry.shape, dtype=object))
        if voxels > _MOST_VOXELS:
            raise ReadError(f"its frames span {voxels} voxels, too many to be a segmentation of one scan")
        return header, _label_values(content, _frame_reader(path, content), channel)


def _header(content: _Content) -> Header:
    notes: tuple[str, ...] = ()
    if content.kind == "FRACTIONAL":
        notes = ("its segments are fractional; a voxel is of the class that is largest there and at least one half",)
    dtype = np.min_scalar_type(max((one.value for one in content.classes), default=0))
    return Header(content.geometry, None, dtype, "", content.classes, notes)


def _content(path: Path, *, with_pixels: bool) -> _Content:
    with path.open("rb") as file:
        size = refuse_bomb(file)
        dataset = pydicom.dcmread(file, stop_before_pixels=not with_pixels, force=True, specific_tags=_TAGS)
    if str(dataset.get("SOPClassUID") or "") not in SOP_CLASSES:
        raise ReadError("it is no DICOM segmentation")
    kind = str(dataset.get("SegmentationType") or "").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise ReadError("its header does not say how its segments are stored (SegmentationType)")
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    frames = frames_of(dataset)
    if rows < 1 or columns < 1 or not dataset.get("PerFrameFunctionalGroupsSequence"):
        raise ReadError("it holds no frames with a place")
    n_bits = 1 if kind == "BINARY" else 8
    if _encapsulated(dataset) and rows * columns * len(frames) > _MOST_UNPACKED:
        raise ReadError(f"it tells of {len(frames)} frames of {rows} x {columns} voxels, too many to be read")
    if not _encapsulated(dataset) and rows * columns * len(frames) * n_bits // 8 > size:
        raise ReadError(f"the file ends early: {len(frames)} frames of {rows} x {columns} voxels do not fit into it")
    numbers, classes = _segments(dataset.get("SegmentSequence") or [], kind)
    geometry, planes = _grid(frames, (rows, columns))
    segments = [_segment_of(frame, numbers, kind) for frame in frames]
    table = tuple(_Frame(plane, segment) for plane, segment in zip(planes, segments, strict=True))
    return _Content(dataset, geometry, numbers, classes, table, kind)


def _segments(described: Sequence[Any], kind: str) -> tuple[tuple[int, ...], tuple[LabelClass, ...]]:
    """Return number and class of each segment; the background of a label map is none."""
    items = [item for item in described if kind != "LABELMAP" or int(item.SegmentNumber) != 0]
    numbers = tuple(int(item.SegmentNumber) for item in items)
    if not items or len(set(numbers)) < len(numbers) or min(numbers) < 1 or max(numbers) > _MOST_VALUE:
        raise ReadError("its list of segments is damaged: numbers from 1 on are wanted, each once")
    told = [_VALUE.fullmatch(str(item.get("SegmentDescription") or "")) for item in items]
    values = [int(match[1]) for match in told if match]
    if len(values) < len(items) or len(set(values)) < len(values) or min(values) < 1 or max(values) > _MOST_VALUE:
        values = list(numbers)
    classes = []
    for n, (item, value) in enumerate(zip(items, values, strict=True)):
        name = one_line(item.get("SegmentLabel")) or f"segment {numbers[n]}"
        packed = item.get("RecommendedDisplayCIELabValue")
        known = packed is not None and len(packed) == 3
        classes.append(LabelClass(value, name, from_cielab([int(one) for one in packed]) if known else colour(n)))
    return numbers, tuple(classes)


def _segment_of(frame: dict[str, Any], numbers: Sequence[int], kind: str) -> int:
    if kind == "LABELMAP":
        return -1
    number = read_number(frame.get("ReferencedSegmentNumber"))
    if number is None or int(number) not in numbers:
        raise ReadError("one of its frames belongs to no segment that it describes")
    return numbers.index(int(number))


def _grid(frames: Sequence[dict[str, Any]], shape: tuple[int, int]) -> tuple[Geometry, list[int]]:
    """Return the grid on which all frames lie, and the slice of each."""
    first = frames[0]
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if any(not frame.get(name) for frame in frames):
            raise ReadError(f"it does not say where it lies ({name} is missing)")
    row, column = np.array(read_directions(first["ImageOrientationPatient"]))
    if any(
        np.abs(np.subtract(read_directions(one["ImageOrientationPatient"]), (row, column))).max() > 1e-3
        for one in frames
    ):
        raise ReadError("its frames lie in several directions")
    spacing = read_spacing(first["PixelSpacing"])
    positions = np.array([read_position(frame["ImagePositionPatient"])[0] for frame in frames])
    normal = np.cross(row, column)
    along = positions @ normal
    origin, last = positions[along.argmin()], positions[along.argmax()]
    planes, n_planes = _planes(along - along.min(), first)
    step = (last - origin) / (n_planes - 1) if n_planes > 1 else normal * _one_step(first)
    beside = np.linalg.norm(positions - (origin + np.outer(planes, step)), axis=1).max()
    if beside > _EVEN * np.linalg.norm(step) + 1e-3:
        raise ReadError(f"its frames do not lie on one even stack: one is {beside:.3g} mm beside its place")
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = step, column * spacing[0], row * spacing[1], origin
    return Geometry((n_planes, *shape), lps_to_ras(lps)), planes


def _planes(along: np.ndarray, frame: dict[str, Any]) -> tuple[list[int], int]:
    """Return the slice of each place (mm along the normal, from 0) and how many slices that makes."""
    places = np.unique(np.round(along, 3))
    if len(places) == 1:
        return [0] * len(along), 1
    smallest = float(np.diff(places)[np.diff(places) > 2e-3].min(initial=np.inf))
    told = abs(read_number(frame.get("SpacingBetweenSlices")) or 0.0)
    for spacing in (told, smallest):
        if not 1e-3 < spacing < 1e4:
            continue
        # Rounding adds up in a spacing that is told with few digits: the nearest whole number of steps counts.
        n_steps = max(round(float(places[-1]) / spacing), 1)
        exact = along / (places[-1] / n_steps)
        planes = np.round(exact).astype(int)
        if np.abs(exact - planes).max() <= _EVEN:
            return planes.tolist(), n_steps + 1
    raise ReadError("its frames are not evenly spaced")


def _one_step(frame: dict[str, Any]) -> float:
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        told = abs(read_number(frame.get(name)) or 0.0)
        if 0 < told < 1e3:
            return told
    raise ReadError("its only slice has no thickness")


def _encapsulated(dataset: Any) -> bool:
    syntax = pydicom.uid.UID(str(dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)))
    return bool(syntax.is_compressed and not syntax.is_deflated)


def _frame_reader(path: Path, content: _Content) -> Callable[[int], np.ndarray]:
    """Return a function from the number of a frame to its voxels ``(y, x)`` as stored."""
    dataset, (rows, columns) = content.dataset, content.frame_shape
    n = rows * columns
    if _encapsulated(dataset):
        planes = unpack([(path, frame) for frame in range(len(content.frames))])
        if any(plane.shape != (rows, columns) for plane in planes):
            raise ReadError("its frames are of another size than its header says")
        return planes.__getitem__
    n_bits = int(dataset.get("BitsAllocated") or 0)
    if n_bits not in ((1, 8) if content.kind == "BINARY" else (8, 16)):
        raise ReadError(f"its voxels have {n_bits} bits, which does not go with segments of the kind {content.kind}")
    pixels = bytes(dataset.get("PixelData") or b"")
    if len(pixels) * 8 < n * len(content.frames) * n_bits:
        raise ReadError(f"the file ends early: {len(content.frames)} frames of voxels are announced")
    big = not pydicom.uid.UID(str(dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))).is_little_endian

    def frame(number: int) -> np.ndarray:
        if n_bits == 1:
            # Frames are packed bit by bit, and need not begin with a byte.
            first = number * n
            packed = np.frombuffer(pixels, np.uint8, (first + n + 7) // 8 - first // 8, first // 8)
            return np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + n].reshape(rows, columns)
        dtype = np.dtype(f"{'>' if big else '<'}u{n_bits // 8}")
        return np.frombuffer(pixels, dtype, n, number * n * dtype.itemsize).reshape(rows, columns)

    return frame


def _label_values(content: _Content, frame: Callable[[int], np.ndarray], channel: int | None) -> np.ndarray:
    values = np.array([0, *(one.value for one in content.classes)])
    values = values.astype(np.min_scalar_type(int(values.max())))
    labels = np.zeros(content.geometry.shape, values.dtype)
    if content.kind == "LABELMAP":
        for number, one in enumerate(content.frames):
            labels[one.plane] = _mapped(frame(number), content.numbers, values, channel)
        return labels
    most = int(content.dataset.get("MaximumFractionalValue") or 255) if content.kind == "FRACTIONAL" else 1
    strongest = np.zeros(content.geometry.shape, np.uint16) if content.kind == "FRACTIONAL" else None
    for number, one in enumerate(content.frames):
        if channel not in (None, one.segment):
            continue
        stored = frame(number)
        if strongest is None:
            inside = stored > 0
            _refuse_overlap(content, labels[one.plane][inside], one.segment)
        else:
            inside = (stored > strongest[one.plane]) & (2 * stored.astype(np.int64) >= most)
            strongest[one.plane][inside] = stored[inside]
        labels[one.plane][inside] = values[one.segment + 1]
    return labels


def _mapped(stored: np.ndarray, numbers: Sequence[int], values: np.ndarray, channel: int | None) -> np.ndarray:
    table = np.zeros(_MOST_VALUE + 1, values.dtype)
    chosen = range(len(numbers)) if channel is None else (channel,)
    for n in chosen:
        table[numbers[n]] = values[n + 1]
    known = np.zeros(_MOST_VALUE + 1, bool)
    known[[0, *numbers]] = True
    if not known[stored].all():
        raise ReadError("it holds voxels of a segment that it does not describe")
    return np.asarray(table[stored])


def _refuse_overlap(content: _Content, covered: np.ndarray, segment: int) -> None:
    others = covered[covered > 0]
    if others.size == 0:
        return
    names = {one.value: one.name for one in content.classes}
    text = f"its segments '{names[int(others[0])]}' and '{content.classes[segment].name}' overlap"
    raise NotAVolumeError(
        f"{text}, and a voxel of a label map is of one class; choose one segment (0 to "
        f"{len(content.classes) - 1}), or write each into a file of its own"
    )
