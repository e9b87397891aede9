"""Write DICOM-SEG through highdicom: binary segments that refer, slice by slice, to the series they were drawn on.

The only files of ours that say whose they are: the standard demands the source's patient and study modules, or no
archive could file them. Read back by ``dicom_segmentation``.
"""

import logging
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.valuerep import DA, TM

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.cielab import to_cielab
from napari_mmssl.volumes.dicom_files import Slice, quiet_pydicom
from napari_mmssl.volumes.dicom_segmentation import VALUE_WORDS
from napari_mmssl.volumes.dicom_stacks import Stack
from napari_mmssl.volumes.label_classes import complete
from napari_mmssl.volumes.reindex import how_apart, reindexed
from napari_mmssl.volumes.segment_codes import Code, segment_code
from napari_mmssl.volumes.volume import LabelClass, LabelMap

#: More values than this are a scan, not a label map.
_MOST_SEGMENTS = 255
#: Above this many bytes, frames without a voxel are left out. Below it the file holds its whole grid.
_MOST_BYTES = 64 << 20
_SERIES_NUMBER = 900
_UTF_8 = "ISO_IR 192"
#: Letters that DICOM keeps of a name.
_LONGEST_NAME = 64
#: What every study has by the standard, though it may be empty, and anonymised files often lack.
_DEMANDED = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
]
_AGE = re.compile(r"\d{3}[DWMY]")
_MADE_UP = {"SeriesInstanceUID": "series", "StudyInstanceUID": "study"}
#: Storage classes of series that do not say theirs.
_BY_MODALITY = {
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}


def write_segmentation(path: Path, label_map: LabelMap, stack: Stack, *, automatic: bool = False) -> tuple[str, ...]:
    """Write ``label_map`` as one DICOM segmentation of the slices of ``stack``; return what a person should know.

    Parameters
    ----------
    path
        Replaced in one step.
    label_map
        On the grid of ``stack``, or one that holds the same voxels flipped, swapped, or cut out.
    stack
        The slices that it was drawn on.
    automatic
        Whether a network drew it; otherwise it is said to be semi-automatic, since nobody knows.

    Raises
    ------
    WriteError
        If it lies on another grid, holds no label or more than 255, or the series lacks what the standard demands.
    """
    if stack.geometry is None or not stack.slices:
        raise WriteError(f"cannot write '{path}': the reference is no evenly spaced stack of slices")
    placed = reindexed(label_map, stack.geometry)
    if placed is None:
        apart = how_apart(label_map.geometry, stack.geometry)
        text = f"{apart}; DICOM-SEG refers to slices, so name the series that the labels were drawn on"
        raise WriteError(f"cannot write '{path}': {text}")
    classes = _checked_classes(path, placed)
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise WriteError(
            f"cannot write '{path}': DICOM-SEG needs highdicom; install it: pip install highdicom"
        ) from None
    omit = placed.array.size * len(classes) // 8 > _MOST_BYTES
    with _hushed(path):
        sources = _sources(stack.slices)
        thickness_mm = stack.slices[0].thickness or placed.geometry.spacing_mm[0]
        notes = _completed(sources, thickness_mm)
        segmentation = _built(placed, classes, stack, sources, automatic=automatic, omit=omit)
        _describe(segmentation, classes)
        with replacing(path) as aside:
            segmentation.save_as(aside)
    if any(len(one.name) > _LONGEST_NAME for one in classes):
        notes += (f"names of classes are cut to {_LONGEST_NAME} letters, as DICOM wants it",)
    if omit:
        notes += ("slices without a label are left out of the file; readers take them for background",)
    return notes


def _checked_classes(path: Path, label_map: LabelMap) -> tuple[LabelClass, ...]:
    lowest, highest = int(label_map.array.min()), int(label_map.array.max())
    if lowest < 0 or highest > 65535:
        raise WriteError(
            f"cannot write '{path}': labels are 1 to 65535, and it holds {lowest if lowest < 0 else highest}"
        )
    classes = complete(label_map.array, label_map.classes)
    if not classes:
        raise WriteError(f"cannot write '{path}': the label map is empty and names no class")
    if len(classes) > _MOST_SEGMENTS:
        text = f"it holds {len(classes)} values, {_MOST_SEGMENTS} are the most; is it a scan and no label map?"
        raise WriteError(f"cannot write '{path}': {text}")
    return classes


def _sources(slices: Sequence[Slice]) -> list[Any]:
    """Return the headers of the files of ``slices``; one for all frames of a multi-frame file."""
    return [
        pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in dict.fromkeys(one.path for one in slices)
    ]


def _completed(sources: Sequence[Any], thickness_mm: float) -> tuple[str, ...]:
    """Fill in what the standard demands and the series lacks; return what was made up."""
    notes = _identified(sources)
    frame_of_reference = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, str(sources[0].get('SeriesInstanceUID') or '')).int}"
    if not sources[0].get("FrameOfReferenceUID"):
        notes.append("the series names no frame of reference; the segmentation was given one of its own")
    for source in sources:
        # Names of classes may be in any script, and the patient's stay what they are.
        source.decode()
        source.SpecificCharacterSet = _UTF_8
        for name in _DEMANDED:
            if not _is_sound(name, source.get(name)):
                setattr(source, name, None)
        # Not demanded, but copied from there.
        if not _AGE.fullmatch(str(source.get("PatientAge") or "")) and "PatientAge" in source:
            del source.PatientAge
        if not source.get("SOPClassUID"):
            source.SOPClassUID = _BY_MODALITY.get(str(source.get("Modality") or ""), _BY_MODALITY["MR"])
        if not source.get("FrameOfReferenceUID"):
            source.FrameOfReferenceUID = frame_of_reference
        if not source.get("SliceThickness"):
            source.SliceThickness = thickness_mm
    return tuple(notes)


def _identified(sources: Sequence[Any]) -> list[str]:
    """Fill in the UIDs by which a segmentation refers to its sources; return what was made up."""
    notes = []
    for source in sources:
        # Anonymising programs empty the data set and forget the file's own header, which names the same object.
        if not source.get("SOPInstanceUID"):
            source.SOPInstanceUID = source.file_meta.get("MediaStorageSOPInstanceUID") or ""
    if any(not source.SOPInstanceUID for source in sources):
        raise WriteError("its files have no UIDs by which a segmentation could refer to them")
    lacking = [(name, words) for name, words in _MADE_UP.items() if any(not source.get(name) for source in sources)]
    for name, words in lacking:
        made_up = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name + str(sources[0].SOPInstanceUID)).int}"
        for source in sources:
            setattr(source, name, made_up)
        notes.append(f"the series has no UID of its {words}; the segmentation was given one of its own")
    return notes


def _is_sound(name: str, value: Any) -> bool:
    """Whether ``value`` is what the standard allows: anonymising programs write words into dates."""
    try:
        if name.endswith("Date"):
            DA(value or None)
        elif name.endswith("Time"):
            TM(value or None)
    except ValueError:
        return False
    return value is not None and (name != "PatientSex" or value in ("M", "F", "O", ""))


def _built(
    label_map: LabelMap,
    classes: Sequence[LabelClass],
    stack: Stack,
    sources: Sequence[Any],
    *,
    automatic: bool,
    omit: bool,
) -> Any:
    import highdicom as hd

    numbers = np.zeros(max(one.value for one in classes) + 1, np.uint8)
    for n, one in enumerate(classes, start=1):
        numbers[one.value] = n
    first = stack.slices[0]
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=numbers[label_map.array],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(n, one, automatic) for n, one in enumerate(classes, start=1)],
        series_instance_uid=hd.UID(),
        series_number=_SERIES_NUMBER,
        series_description="Segmentation",
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="napari-mmssl",
        manufacturer_model_name="mmssl",
        software_versions=version("napari-mmssl"),
        device_serial_number="none",
        content_label="SEGMENTATION",
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=first.spacing,
            slice_thickness=first.thickness or label_map.geometry.spacing_mm[0],
            # Along the normal; the step along a tilted gantry is longer, and readers would not know which is meant.
            spacing_between_slices=None if label_map.geometry.is_sheared else label_map.geometry.spacing_mm[0],
        ),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", (*first.row, *first.column)),
        plane_positions=[hd.PlanePositionSequence("PATIENT", one.position) for one in stack.slices],
        omit_empty_frames=omit,
    )


def _description(number: int, one: LabelClass, automatic: bool) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    code = segment_code(one.name)
    packed = to_cielab(one.colour)
    algorithm = hd.AlgorithmIdentificationSequence("napari-mmssl", codes.DCM.ArtificialIntelligence, "1")
    described = hd.seg.SegmentDescription(
        segment_number=number,
        # A backslash would part it in two.
        segment_label=one.name.replace("\\", "/")[:_LONGEST_NAME].strip() or f"label {one.value}",
        segmented_property_category=_concept(code.category),
        segmented_property_type=_concept(code.kind),
        algorithm_type="AUTOMATIC" if automatic else "SEMIAUTOMATIC",
        algorithm_identification=algorithm,
        display_color=None,
    )
    described.RecommendedDisplayCIELabValue = list(packed)
    described.SegmentAlgorithmName = "napari-mmssl" if automatic else "not recorded"
    # highdicom wants it, the standard does not; of a label map from elsewhere nothing is known.
    if not automatic:
        del described.SegmentationAlgorithmIdentificationSequence
    if code.side is not None:
        described.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [_concept(code.side)]
    return described


def _describe(segmentation: Any, classes: Sequence[LabelClass]) -> None:
    """Keep the values of the label map, since segments must be numbered from 1 on, and names in any script."""
    segmentation.SpecificCharacterSet = _UTF_8
    for item, one in zip(segmentation.SegmentSequence, classes, strict=True):
        item.SegmentDescription = VALUE_WORDS.format(one.value)


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


@contextmanager
def _hushed(path: Path) -> Iterator[None]:
    """Let nothing of highdicom and pydicom out: their remarks and errors quote the patient's name."""
    loggers = [logging.getLogger(name) for name in ("highdicom", "pydicom")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            # Its children, which do the talking, take their level from it.
            logger.setLevel(logging.CRITICAL + 1)
        with quiet_pydicom():
            yield
    except WriteError as error:
        raise (
            error if str(error).startswith("cannot write") else WriteError(f"cannot write '{path}': {error}")
        ) from None
    except MemoryError:
        raise WriteError(f"cannot write '{path}': there is not enough memory for it") from None
    except Exception as error:  # noqa: BLE001
        text = f"the headers of the series do not allow a segmentation of it ({type(error).__name__})"
        raise WriteError(f"cannot write '{path}': {text}") from None
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
