"""NRRD and MetaImage files (.nrrd .nhdr .mha .mhd), through SimpleITK."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from napari_mmssl.errors import ReadError, WriteError
from napari_mmssl.volumes.file_length import MOST_DEFLATED, ends_early, gzip_length
from napari_mmssl.volumes.geometry import Affine, Geometry, from_nifti, lps_to_ras, to_nifti
from napari_mmssl.volumes.header import Header, NotAVolumeError, check_channel, grid_of, intensities, reading

#: The format is fixed by the suffix: SimpleITK would otherwise try every reader it has on a damaged file.
_IMAGE_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}
_DTYPES = {
    "8-bit signed integer": np.int8,
    "8-bit unsigned integer": np.uint8,
    "16-bit signed integer": np.int16,
    "16-bit unsigned integer": np.uint16,
    "32-bit signed integer": np.int32,
    "32-bit unsigned integer": np.uint32,
    "64-bit signed integer": np.int64,
    "64-bit unsigned integer": np.uint64,
    "32-bit float": np.float32,
    "64-bit float": np.float64,
}
_DESCRIPTION_KEYS = ("description", "Comment", "NRRD_content")
_LONGEST_HEADER = 1 << 20


def read_header(path: Path) -> Header:
    """Read the header of an NRRD or MetaImage file and make sure that the file can hold what it says.

    Raises
    ------
    ReadError
        If it is no such file, holds complex, vector or colour voxels, has five axes or is cut short.
    GeometryError
        If the grid is impossible.
    """
    with reading(path):
        return _header_of(path, _open(path))


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """Read one volume ``(z, y, x)`` and the header.

    Raises
    ------
    ReadError
        As :func:`read_header`, and if ``channel`` is not in the file or must be chosen.
    """
    with reading(path):
        reader = _open(path)
        header = _header_of(path, reader)
        check_channel(path, header, channel)
        if header.channels is not None:
            reader.SetExtractIndex([0, 0, 0, channel])
            reader.SetExtractSize([*reader.GetSize()[:3], 0])
        voxels = sitk.GetArrayFromImage(reader.Execute())
        return header, intensities(voxels.reshape(header.geometry.shape))


def write_array(path: Path, array: np.ndarray, geometry: Geometry, description: str) -> None:
    """Write ``array`` ``(z, y, x)``; the inverse of :func:`read_array`.

    Raises
    ------
    WriteError
        If the grid is sheared, which these formats cannot be trusted with, or SimpleITK cannot write.
    """
    if geometry.is_sheared:
        raise WriteError(f"cannot write '{path}': its grid is sheared; only NIfTI can store that, name it .nii.gz")
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    image = sitk.GetImageFromArray(array)
    affine = lps_to_ras(to_nifti(geometry.affine))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    if description:
        image.SetMetaData("description", " ".join(description.split()))
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise WriteError(f"cannot write '{path}': {str(error).strip().splitlines()[-1]}") from error


def _open(path: Path) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _header_of(path: Path, reader: Any) -> Header:
    n_values = reader.GetNumberOfComponents()
    if n_values != 1:
        raise NotAVolumeError(f"cannot read '{path}': it holds {n_values} values per voxel (a colour or vector)")
    pixel = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue()).removeprefix("vector of ")
    if pixel not in _DTYPES:
        raise NotAVolumeError(f"cannot read '{path}': its voxels are of type '{pixel}', and plain numbers are needed")
    dtype = np.dtype(_DTYPES[pixel])
    geometry, channels = grid_of(path, reader.GetSize(), _affine(reader))
    _check_length(path, int(np.prod(reader.GetSize(), dtype=object)) * dtype.itemsize)
    keys = reader.GetMetaDataKeys()
    described = [reader.GetMetaData(key).strip() for key in _DESCRIPTION_KEYS if key in keys]
    return Header(geometry, channels, dtype, "; ".join(text for text in described if text))


def _affine(reader: Any) -> Affine:
    """Return our affine of the first three axes, with a slice (2 axes) put in the axial plane."""
    n_axes = reader.GetDimension()
    direction = np.array(reader.GetDirection()).reshape(n_axes, n_axes)
    n_space = min(n_axes, 3)
    affine = np.eye(4)
    affine[:n_space, :n_space] = (direction * np.array(reader.GetSpacing()))[:n_space, :n_space]
    affine[:n_space, 3] = reader.GetOrigin()[:n_space]
    return from_nifti(lps_to_ras(affine))


def _check_length(path: Path, n_bytes: int) -> None:
    """Refuse a file that cannot hold ``n_bytes`` of voxels, before memory is taken for them."""
    fields, start = _text_header(path)
    name = fields.get("elementdatafile") or fields.get("data file") or fields.get("datafile") or "LOCAL"
    if name.upper().startswith("LIST") or "%" in name:
        return  # many files: SimpleITK looks for each of them
    data = path if name.upper() == "LOCAL" else path.parent / name
    if data != path:
        start = 0
    if not data.is_file():
        raise ReadError(f"cannot read '{path}': its voxels should lie in '{data}', and there is no such file")
    held = max(data.stat().st_size - start, 0)
    encoding = fields.get("encoding", "raw").lower()
    if encoding in ("gzip", "gz"):
        held = gzip_length(data, n_bytes, start)
    elif fields.get("compresseddata", "").lower() == "true":
        packed = int(fields.get("compresseddatasize", "0"))
        if held < packed:
            raise ends_early(data, held, packed)
        held *= MOST_DEFLATED
    elif encoding != "raw" or fields.get("binarydata", "true").lower() != "true":
        return  # numbers as text: more bytes than voxels, in no fixed proportion
    if held < n_bytes:
        raise ends_early(data, held, n_bytes)


def _text_header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields of a text header, names in lower case, and the byte at which it ends."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _LONGEST_HEADER and (line := file.readline(_LONGEST_HEADER)):
            text = line.decode("utf-8", "replace").strip()
            if not text and path.suffix.lower() in (".nrrd", ".nhdr"):
                break
            name, _, value = text.partition(":" if path.suffix.lower() in (".nrrd", ".nhdr") else "=")
            fields[name.strip().lower()] = value.strip()
            if name.strip().lower() == "elementdatafile":
                break
        return fields, file.tell()
