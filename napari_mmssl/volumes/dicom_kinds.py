"""What a DICOM file or folder holds: images, a segmentation, or contours; one tag is read."""

from pathlib import Path
from typing import Literal

import pydicom

from napari_mmssl.volumes import dicom_contours, dicom_segmentation
from napari_mmssl.volumes.dicom_files import reading_dicom, refuse_bomb
from napari_mmssl.volumes.dicom_series import find_series

Kind = Literal["series", "segmentation", "contours"]
#: DICOM's own words for objects that are read as label maps.
LABEL_MODALITIES = ("SEG", "RTSTRUCT")


def kind_of(path: Path) -> tuple[Kind, Path]:
    """Return what ``path`` holds, and the file of it: a folder whose only object is a segmentation stands for that.

    Raises
    ------
    ReadError
        If the folder cannot be listed, or the file is damaged or cut short.
    """
    if path.is_dir():
        every = find_series(path).series
        objects = [one for series in every for one in series.slices if one.modality in LABEL_MODALITIES]
        files = list(dict.fromkeys(one.path for one in objects))
        if len(files) != 1 or any(series.stacks for series in every):
            return "series", path
        path = files[0]
    with reading_dicom(path), path.open("rb") as file:
        refuse_bomb(file)
        tags = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=["SOPClassUID"])
        sop_class = str(tags.get("SOPClassUID") or "")
    if sop_class in dicom_segmentation.SOP_CLASSES:
        return "segmentation", path
    return ("contours" if sop_class == dicom_contours.SOP_CLASS else "series"), path
