"""MetaImage files (.mha, .mhd): their text header, read here and not by ITK, whose parser damaged ones crash."""

from pathlib import Path

import numpy as np

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import Affine, from_nifti, lps_to_ras
from napari_mmssl.volumes.header import PLACE_UNKNOWN, Header, NotAVolumeError, grid_of
from napari_mmssl.volumes.raw_voxels import RawVoxels

#: ``MET_LONG`` has four bytes, whatever the machine.
_DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_MOST_LINES = 10_000
_LONGEST_LINE = 1 << 16


def parse(path: Path) -> tuple[Header, RawVoxels]:
    """Return what the header of a MetaImage file says, and where its voxels lie.

    Raises
    ------
    ReadError
        If it is no such file, holds several values per voxel, has five axes or is spread over many files.
    GeometryError
        If the grid is impossible.
    """
    fields, end = _fields(path)
    n_axes = int(_one(fields, "NDims"))
    sizes = tuple(int(size) for size in _one(fields, "DimSize").split())
    if len(sizes) != n_axes:
        raise ReadError(f"it announces {n_axes} axes and gives {len(sizes)} sizes")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        n_values = fields["ElementNumberOfChannels"]
        raise NotAVolumeError(f"it holds {n_values} values per voxel (a colour or vector)")
    if _one(fields, "ElementType") not in _DTYPES:
        raise NotAVolumeError(f"its voxels are of type {fields['ElementType']}, not numbers")
    if _numbers(fields, ("ElementToIntensityFunctionSlope",), [1.0]) != [1.0]:
        raise ReadError("its voxels are to be rescaled, which MetaImage readers do not agree on")
    order = ">" if _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB") else "<"
    dtype = np.dtype(order + _DTYPES[fields["ElementType"]])
    geometry, channels = grid_of(sizes, _affine(fields, n_axes))
    described = [fields[name] for name in ("description", "Comment") if name in fields]
    doubt = "" if any(name in fields for name in _MATRIX) else PLACE_UNKNOWN
    header = Header(geometry, channels, dtype.newbyteorder("="), "; ".join(described), doubt=doubt)
    return header, _voxels(path, fields, end, sizes, dtype)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields up to ``ElementDataFile``, which is the last, and the byte behind it."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(_MOST_LINES):
            line = file.readline(_LONGEST_LINE)
            name, _, value = line.decode("utf-8", "replace").partition("=")
            fields.setdefault(name.strip(), value.strip())
            if name.strip() == "ElementDataFile" or not line:
                break
        end = file.tell()
    if not fields.get("ElementDataFile"):
        raise ReadError("it is no MetaImage file, or its header is cut (no 'ElementDataFile')")
    return fields, end


def _voxels(path: Path, fields: dict[str, str], end: int, sizes: tuple[int, ...], dtype: np.dtype) -> RawVoxels:
    name = fields["ElementDataFile"]
    if name.upper().startswith("LIST") or "%" in name:
        raise ReadError("its voxels are spread over several files; save it as one")
    local = name.upper() == "LOCAL"
    data = path if local else path.parent / name
    start = end if local else int(fields.get("HeaderSize", "0"))
    if start < -1:
        raise ReadError(f"its voxels begin at byte {start}")
    if _is_true(fields, "CompressedData"):
        return RawVoxels(data, max(start, 0), "zlib", sizes, dtype)
    is_text = fields.get("BinaryData", "True").lower() in ("false", "0")
    return RawVoxels(data, start, "text" if is_text else "raw", sizes, dtype)


def _affine(fields: dict[str, str], n_axes: int) -> Affine:
    """Return our affine of the first three axes; a file of two axes lies in the axial plane."""
    spacing = _numbers(fields, ("ElementSpacing", "ElementSize"), [1.0] * n_axes)
    matrix = _numbers(fields, _MATRIX, np.eye(n_axes).ravel().tolist())
    origin = _numbers(fields, ("Offset", "Position", "Origin"), [0.0] * n_axes)
    if (len(spacing), len(matrix), len(origin)) != (n_axes, n_axes**2, n_axes):
        raise ReadError(f"its spacing, directions and offset do not fit its {n_axes} axes")
    n_space = min(n_axes, 3)
    affine = np.eye(4)
    # Each row of the file's matrix is the direction of one axis.
    directions = np.array(matrix).reshape(n_axes, n_axes).T * np.array(spacing)
    affine[:n_space, :n_space] = directions[:n_space, :n_space]
    affine[:n_space, 3] = origin[:n_space]
    return from_nifti(lps_to_ras(affine))


def _one(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise ReadError(f"its header does not give '{name}'")
    return fields[name]


def _numbers(fields: dict[str, str], names: tuple[str, ...], default: list[float]) -> list[float]:
    """Return the numbers of the first of ``names`` that is there; the format has had several names for a thing."""
    for name in names:
        if name in fields:
            return [float(number) for number in fields[name].split()]
    return default


def _is_true(fields: dict[str, str], name: str) -> bool:
    return fields.get(name, "").lower() in ("true", "1")
