"""The frames of a DICOM file: one for a plain file, many for an enhanced one, each as a flat table of tags."""

from typing import Any

from napari_mmssl.errors import ReadError

_PLAIN = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImageType",
    "EchoTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "RescaleSlope",
    "RescaleIntercept",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "InversionTime",
    "AcquisitionNumber",
)
#: Functional group, its tag, and what the tag is called in a plain file.
_GROUPED = (
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness", "SliceThickness"),
    ("PixelMeasuresSequence", "SpacingBetweenSlices", "SpacingBetweenSlices"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRImageFrameTypeSequence", "FrameType", "ImageType"),
    ("CTImageFrameTypeSequence", "FrameType", "ImageType"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("SegmentIdentificationSequence", "ReferencedSegmentNumber", "ReferencedSegmentNumber"),
)
_MOST_FRAMES = 100_000


def frames_of(dataset: Any) -> list[dict[str, Any]]:
    """Return the tags of each frame, called as in a plain file; a plain file is one frame.

    Frames without functional groups (older multi-frame files) have no position of their own, and none here.

    Raises
    ------
    ReadError
        If the header tells of other numbers of frames in two places.
    """
    plain = {name: dataset.get(name) for name in _PLAIN if dataset.get(name) is not None}
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups:
        if len(groups) != n_frames:
            raise ReadError(f"it tells of {n_frames} frames and describes {len(groups)}")
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [{}])[0]
        base = plain | _grouped(shared)
        return [base | _grouped(group) for group in groups]
    if not 1 <= n_frames <= _MOST_FRAMES:
        raise ReadError(f"it tells of {n_frames} frames")
    if n_frames > 1:
        plain.pop("ImagePositionPatient", None)
    # One entry tells as much as many of them: none has a place.
    return [plain]


def _grouped(group: Any) -> dict[str, Any]:
    found = {}
    for sequence, keyword, name in _GROUPED:
        items = group.get(sequence)
        value = items[0].get(keyword) if items else None
        if value is not None:
            found[name] = value
    for diffusion in group.get("MRDiffusionSequence") or ():
        for direction in diffusion.get("DiffusionGradientDirectionSequence") or ():
            found["DiffusionGradientOrientation"] = direction.get("DiffusionGradientOrientation")
    return found
