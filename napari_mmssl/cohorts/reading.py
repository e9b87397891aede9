"""Read the voxels of a case's files."""

from dataclasses import replace

from napari_mmssl.cohorts.case import ScanFile
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.image_files import read_label_map, read_volume
from napari_mmssl.volumes.mask_stack import read_mask_stack
from napari_mmssl.volumes.volume import LabelMap, Volume


def read_scan(scan: ScanFile) -> Volume:
    """Read the volume of ``scan``, as it is stored.

    Raises
    ------
    ReadError
        If the file cannot be read as one 3-D volume.
    GeometryError
        If its affine is damaged.
    """
    if scan.path.is_dir():
        return read_series(scan.path, scan.series_uid, scan.channel)
    volume = read_volume(scan.path, scan.channel)
    return replace(volume, synthetic=volume.synthetic or scan.synthetic)


def read_label(scan: ScanFile) -> LabelMap:
    """Read the label map of ``scan``, with the names of its classes if they lie beside it.

    Raises
    ------
    ReadError
        As :func:`read_scan`, and if it holds anything but whole numbers.
    GeometryError
        As :func:`read_scan`.
    """
    if scan.coding:
        return read_mask_stack(scan.path, scan.geometry, scan.coding)
    return read_label_map(scan.path, scan.channel)
