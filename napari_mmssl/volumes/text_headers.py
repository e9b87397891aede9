"""Read NRRD and MetaImage files: a text header, and raw or packed voxels behind or beside it."""

from pathlib import Path

import numpy as np

from napari_mmssl.volumes import meta_files, nrrd_files
from napari_mmssl.volumes.header import Header, check_channel, native, reading
from napari_mmssl.volumes.raw_voxels import RawVoxels


def read_header(path: Path) -> Header:
    """Read the header of a file and make sure that the file can hold what it says.

    Raises
    ------
    ReadError
        If it is no such file, holds several values per voxel, has five axes, is cut short or spread over many files.
    GeometryError
        If the grid is impossible.
    """
    with reading(path):
        header, voxels = _parse(path)
        voxels.check_length()
        return header


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """Read one volume ``(z, y, x)`` and the header.

    Raises
    ------
    ReadError
        As :func:`read_header`, and if ``channel`` is not in the file or must be chosen.
    """
    with reading(path):
        header, voxels = _parse(path)
        check_channel(header, channel)
        return header, native(voxels.read(channel).reshape(header.geometry.shape))


def _parse(path: Path) -> tuple[Header, RawVoxels]:
    is_nrrd = path.suffix.lower() in (".nrrd", ".nhdr")
    header, voxels = nrrd_files.parse(path) if is_nrrd else meta_files.parse(path)
    if voxels.path == path:  # a header may well stand for a part of another file
        voxels.check_surplus()
    return header, voxels
