"""One DICOM file: whether it is one, and what its header says of each slice in it.

Only the tags listed here are read, so that a patient's name never enters the process; the patient's id is kept as a
hash and serves to tell people apart. Messages are our own: a library's may quote a tag.
"""

import hashlib
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.config import disable_value_validation
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from napari_mmssl.errors import GeometryError, ReadError
from napari_mmssl.volumes.dicom_frames import frames_of
from napari_mmssl.volumes.dicom_places import (
    Vector,
    read_directions,
    read_finite,
    read_number,
    read_position,
    read_spacing,
    read_vector,
)

_KEYWORDS = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID PatientID IssuerOfPatientID Modality ImageType "
    "SeriesDescription ProtocolName SequenceName ContrastBolusAgent InstanceNumber AcquisitionNumber EchoTime "
    "TemporalPositionIdentifier TriggerTime InversionTime DiffusionBValue DiffusionGradientOrientation "
    "MRDiffusionSequence Rows Columns NumberOfFrames PixelSpacing SliceThickness SpacingBetweenSlices "
    "ImagePositionPatient ImageOrientationPatient "
    "SamplesPerPixel PhotometricInterpretation BitsAllocated PixelRepresentation RescaleSlope RescaleIntercept "
    "ModalityLUTSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence"
)
#: b-values before the standard had a tag: Siemens, Philips, GE.
_PRIVATE_B = ((0x0019, 0x100C), (0x2001, 0x1003), (0x0043, 0x1039))
_NAMED_B = re.compile(r"ep_b(\d+)")
_TAGS = [Tag(tag_for_keyword(word) or 0) for word in _KEYWORDS.split()] + [Tag(*tag) for tag in _PRIVATE_B]
_DICOMDIR = "1.2.840.10008.1.3.10"
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
#: Deflate packs up to a thousandfold, and pydicom unpacks a whole file before looking at it.
_MOST_UNPACKED_BYTES = 2**30
_CHUNK_BYTES = 2**16
#: Endings that promise DICOM.
SUFFIXES = (".dcm", ".dicom", ".ima")
#: Ids that many people share, where somebody took the true ones out; those with digits in them are taken for true.
_PLACEHOLDER = re.compile(
    r"(anon[a-z]*|unknown|none|null|removed|de-?identified|patient|subject|test|x+|n/?a|0*)?[\W_]*", re.I
)


@dataclass(frozen=True)
class Slice:
    """What the header says of one slice: of a file, or of a frame of a multi-frame file.

    Parameters
    ----------
    path, frame
        Where its pixels are; ``frame`` counts from 0.
    series_uid, sop_uid, study_uid
        As in the file; empty if there is none.
    person
        Hash of the patient's id; empty if there is none, or one that many share (``ANONYMOUS``).
    modality
        DICOM's own word: ``MR``, ``CT``, ``SEG`` ...
    image_type, description
        Words that may name the sequence; ``description`` is for matching and never shown.
    contrast
        Whether a contrast agent is recorded.
    position, row, column
        LPS mm of the first pixel's centre; unit directions in which the column and the row index grow.
    spacing
        mm between rows and between columns; 0 where it is unknown.
    decimals
        Digits behind the point with which the position is written.
    thickness, spacing_between
        mm as in the header, 0 if missing.
    b_value, echo_ms
        What parts the stacks of a series; ``None`` if missing.
    others
        What may part them if positions repeat: time point, trigger, acquisition, inversion time, gradient direction.
    slope, intercept
        From stored to real values.
    dtype
        Type of the pixels as stored.
    problem
        Why its pixels cannot become part of a volume, in words; empty if nothing is against it.
    damaged
        Whether the problem is damage, not another kind of object.
    """

    path: Path
    frame: int
    series_uid: str
    sop_uid: str
    study_uid: str
    person: str
    modality: str
    image_type: tuple[str, ...]
    description: tuple[str, ...]
    contrast: bool
    number: int
    shape: tuple[int, int]
    position: Vector
    row: Vector
    column: Vector
    spacing: tuple[float, float]
    decimals: int
    thickness: float
    spacing_between: float
    b_value: float | None
    echo_ms: float | None
    others: tuple[tuple[str, float | Vector], ...]
    slope: float
    intercept: float
    dtype: str
    problem: str = ""
    damaged: bool = False


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's remarks on odd values away from everybody: they quote the values."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def reading_dicom(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong in the block into one sentence that names ``path`` and quotes nothing of the file.

    Raises
    ------
    ReadError
        For every exception; of the same kind if it is one already.
    """
    try:
        with quiet_pydicom():
            yield
    except (ReadError, GeometryError) as error:
        kind = type(error) if isinstance(error, ReadError) else ReadError
        raise kind(f"cannot read '{path}': {error}") from None
    except OSError as error:
        raise ReadError(f"cannot read '{path}': {(error.strerror or 'it ends early').lower()}") from None
    except MemoryError:
        raise ReadError(f"cannot read '{path}': there is not enough memory for it") from None
    # pydicom raises nearly everything on damaged files, and its words may quote the patient.
    except Exception as error:  # noqa: BLE001
        raise ReadError(f"cannot read '{path}': its DICOM header is damaged ({type(error).__name__})") from None


def is_dicom(path: Path) -> bool:
    """Whether ``path`` starts like a DICOM file.

    Files without the preamble count when their name may be one's and they start with an element of group 2 or 8.
    """
    try:
        if not path.is_file():  # a pipe would keep us waiting
            return False
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    # Scanners call files by numbers and UIDs, with dots in them.
    named = path.suffix.lower() in (*SUFFIXES, "") or path.suffix[1:].isdecimal()
    # Group 8 is where data sets start; its first elements have small even numbers and short values.
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    return named and len(head) == 132 and group in (2, 8) and element <= 0x60


def read_slices(path: Path) -> list[Slice]:
    """Return the slices of a DICOM file; no pixel is loaded.

    An object that is no image (a report, contours, a directory) gives one slice with a problem, or none at all.

    Raises
    ------
    ReadError
        If the file is damaged or cut.
    """
    with reading_dicom(path), path.open("rb") as file:
        return _slices(path, file)


def refuse_bomb(file: BinaryIO) -> int:
    """Return the size of a DICOM file in bytes; where it is packed as a whole (deflated), what it unpacks to.

    Raises
    ------
    ReadError
        If it is packed, and damaged or made to fill the memory.
    """
    head = file.read(2048)
    # The length of the file's first group stands in its first element; what follows may be packed.
    start = 144 + int.from_bytes(head[140:144], "little")
    size = os.fstat(file.fileno()).st_size
    if _DEFLATED in head:
        file.seek(start)
        size = start + _unpacked_bytes(file)
    file.seek(0)
    return size


def _unpacked_bytes(file: BinaryIO) -> int:
    packed, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not packed.eof and (chunk := file.read(_CHUNK_BYTES)):
        while chunk and not packed.eof:
            total += len(packed.decompress(chunk, 16 * _CHUNK_BYTES))
            chunk = packed.unconsumed_tail
            if total > _MOST_UNPACKED_BYTES:
                raise ReadError("it is packed as a whole (deflated transfer syntax) and unpacks to more than a scan")
    return total


def _slices(path: Path, file: BinaryIO) -> list[Slice]:
    size = refuse_bomb(file)
    dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
    sop_class = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if sop_class == _DICOMDIR:
        return []
    if not sop_class and "Rows" not in dataset:
        raise ReadError("it holds no DICOM data set, or is cut short")
    frames = frames_of(dataset)
    problem = _problem(dataset)
    damage = "" if problem else _cut_short(dataset, file.tell(), size, len(frames))
    return [_slice(path, n, dataset, frame, problem, damage) for n, frame in enumerate(frames)]


def _slice(path: Path, n: int, dataset: Any, frame: Any, problem: str, damage: str) -> Slice:
    position, decimals, row, column, spacing = (0.0, 0.0, 0.0), 0, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0)
    problem = problem or damage or _no_place(frame)
    if not problem:
        try:
            position, decimals = read_position(frame["ImagePositionPatient"])
            row, column = read_directions(frame["ImageOrientationPatient"])
            spacing = read_spacing(frame["PixelSpacing"])
        except GeometryError as error:
            problem = damage = str(error)
        except (TypeError, ValueError):
            problem = damage = "its position, orientation or pixel spacing is no list of numbers"
    words = " ".join(str(dataset.get(name) or "") for name in ("SeriesDescription", "ProtocolName"))
    return Slice(
        path=path,
        frame=n,
        series_uid=str(dataset.get("SeriesInstanceUID") or ""),
        sop_uid=str(dataset.get("SOPInstanceUID") or ""),
        study_uid=str(dataset.get("StudyInstanceUID") or ""),
        person=_person(dataset),
        modality=str(dataset.get("Modality") or ""),
        image_type=tuple(str(word) for word in frame.get("ImageType") or ()),
        description=tuple(words.split()),
        contrast=bool(dataset.get("ContrastBolusAgent")),
        number=int(read_number(dataset.get("InstanceNumber")) or 0),
        shape=(int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)),
        position=position,
        row=row,
        column=column,
        spacing=spacing,
        decimals=decimals,
        thickness=read_number(frame.get("SliceThickness")) or 0.0,
        spacing_between=abs(read_number(frame.get("SpacingBetweenSlices")) or 0.0),
        b_value=_b_value(dataset, frame),
        echo_ms=read_number(frame.get("EchoTime")),
        others=tuple((name, value) for name, value in _others(frame).items() if value is not None),
        # A slope of 0 would make all voxels one; the scanners that write it mean none, as ITK and dcm2niix take it.
        slope=read_finite(frame.get("RescaleSlope"), 1.0) or 1.0,
        intercept=read_finite(frame.get("RescaleIntercept"), 0.0),
        dtype=_dtype(dataset),
        problem=problem,
        damaged=bool(damage),
    )


def _dtype(dataset: Any) -> str:
    n_bits = int(dataset.get("BitsAllocated") or 16)
    return f"{'int' if dataset.get('PixelRepresentation') else 'uint'}{n_bits if n_bits in (8, 16, 32) else 16}"


def _problem(dataset: Any) -> str:
    modality = str(dataset.get("Modality") or "")
    if modality in ("RTSTRUCT", "SEG", "SR", "PR", "KO", "RTPLAN", "RTDOSE", "REG"):
        way_out = "; 'mmssl convert' makes a label map of it" if modality in ("SEG", "RTSTRUCT") else ""
        return f"it is a DICOM object of kind {modality}, which cannot be read as a volume{way_out}"
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows < 1 or columns < 1:
        return "it holds no image"
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or str(dataset.get("PhotometricInterpretation")) not in (
        "MONOCHROME1",
        "MONOCHROME2",
        "None",
    ):
        return "it is a colour picture"
    if any("MOSAIC" in str(word).upper() for word in dataset.get("ImageType") or ()):
        return (
            "it is a mosaic: all slices of a volume tiled into one picture, and where each lies is told in a vendor's "
            "own words; convert it with dcm2niix, or export it as single slices"
        )
    if dataset.get("ModalityLUTSequence"):
        return "its values are given by a look-up table, which is not supported"
    return ""


def _cut_short(dataset: Any, pixels_start: int, size: int, n_frames: int) -> str:
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", _UNCOMPRESSED[0]))
    # What is packed as a whole was unpacked into memory, which tells nothing of where its pixels stand.
    if syntax.encode() == _DEFLATED:
        return ""
    if pixels_start >= size:
        return "it holds no pixels"
    if syntax not in _UNCOMPRESSED:
        return ""
    n_bits = int(dataset.get("BitsAllocated") or 16)
    needed = int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0) * n_frames * n_bits // 8
    # What stands before the pixels is their tag and their length, and where it is told their type.
    start = pixels_start + (8 if syntax == _UNCOMPRESSED[0] else 12)
    if start + needed > size:
        return f"the file ends early: {needed} bytes of pixels are announced, {max(size - start, 0)} are there"
    return ""


def _no_place(frame: Any) -> str:
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not frame.get(name):
            return f"it does not say where it lies ({name} is missing)"
    return ""


def _b_value(dataset: Any, frame: Any) -> float | None:
    standard = read_number(frame.get("DiffusionBValue"))
    if standard is not None:
        return standard
    for tag in _PRIVATE_B:
        if tag in dataset:
            value = dataset[tag].value
            number = read_number(value.decode("ascii", "ignore").strip("\0 ") if isinstance(value, bytes) else value)
            if number is not None:
                # GE adds 10^9 to tell that the value is one.
                return number % 100000 if number >= 1e6 else number
    # Older Siemens scanners tell it in the name alone: *ep_b800t
    named = _NAMED_B.search(str(dataset.get("SequenceName") or ""))
    return float(named[1]) if named else None


def _others(frame: Any) -> dict[str, float | Vector | None]:
    names = {
        "time point": "TemporalPositionIdentifier",
        "trigger time": "TriggerTime",
        "inversion time": "InversionTime",
        "acquisition": "AcquisitionNumber",
    }
    found: dict[str, float | Vector | None] = {
        words: read_number(frame.get(keyword)) for words, keyword in names.items()
    }
    return found | {"gradient direction": read_vector(frame.get("DiffusionGradientOrientation"))}


def _person(dataset: Any) -> str:
    patient = str(dataset.get("PatientID") or "").strip()
    if _PLACEHOLDER.fullmatch(patient):
        return ""
    issuer = str(dataset.get("IssuerOfPatientID") or "").strip()
    return hashlib.sha256(f"{issuer}/{patient}".encode()).hexdigest()
