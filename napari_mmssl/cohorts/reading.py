"""Read the voxels of a case's files."""

from dataclasses import replace

from napari_mmssl.cohorts.case import ScanFile
from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.dicom_series import read_series
from napari_mmssl.volumes.image_files import classes_file, read_header, read_label_map, read_volume
from napari_mmssl.volumes.label_classes import read_classes
from napari_mmssl.volumes.mask_stack import read_mask_stack
from napari_mmssl.volumes.reindex import reindexed
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


def label_names_in(scan: ScanFile) -> dict[int, str]:
    """Return what the file of a label map, or the one beside it, calls its values; no voxel is read.

    Raises
    ------
    ReadError
        If it cannot be read.
    """
    if scan.coding or scan.path.is_dir():
        return {}
    return {one.value: one.name for one in read_header(scan.path).classes or read_classes(classes_file(scan.path))}


def read_label(scan: ScanFile) -> LabelMap:
    """Read the label map of ``scan`` on the grid it has there, with the names of its classes if they are known.

    Raises
    ------
    ReadError
        As :func:`read_scan`, and if it holds anything but whole numbers.
    GeometryError
        As :func:`read_scan`, and if labels lie outside that grid.
    """
    if scan.coding:
        return read_mask_stack(scan.path, scan.geometry, scan.coding)
    labels = read_label_map(scan.path, scan.channel)
    if labels.geometry.same_grid(scan.geometry):
        return labels
    # A DICOM segmentation holds the slices with labels, and counts as one of the whole series.
    placed = reindexed(labels, scan.geometry)
    if placed is None:
        raise GeometryError(f"cannot use '{scan.path}': it holds labels outside the scan it belongs to")
    return placed
