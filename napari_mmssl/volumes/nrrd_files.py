"""NRRD files (.nrrd, .nhdr): their text header, read here and not by ITK, which damaged ones crash.

Field by field after http://teem.sourceforge.net/nrrd/format.html.
"""

import re
from pathlib import Path

import numpy as np

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import Affine, from_nifti, lps_to_ras
from napari_mmssl.volumes.header import PLACE_UNKNOWN, Header, NotAVolumeError, grid_of
from napari_mmssl.volumes.label_classes import colour
from napari_mmssl.volumes.raw_voxels import Packing, RawVoxels
from napari_mmssl.volumes.volume import LabelClass

_DTYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_DTYPE_OF = {name: dtype for dtype, names in _DTYPES.items() for name in names.split(", ")}
_PACKING_NAMES: dict[Packing, str] = {"raw": "raw", "gzip": "gzip, gz", "text": "ascii, text, txt"}
_PACKINGS = {name: packing for packing, names in _PACKING_NAMES.items() for name in names.split(", ")}
#: Named worlds that say which side is which, and the signs that turn them to RAS+.
_ANATOMICAL = {
    **dict.fromkeys(("right-anterior-superior", "ras", "rast"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las", "last"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps", "lpst"), (-1.0, -1.0, 1.0)),
}
_OTHER_SPACES = ("", "scanner-xyz", "3d-right-handed", "3d-left-handed")
_MM_PER_UNIT = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001}
_MAGIC = re.compile(rb"NRRD000[1-5]\s*")
_VECTOR = re.compile(r"none|\([^()]*\)")
#: Kinds of axes along which one voxel's values lie.
_VALUE_KINDS = ("vector", "list", "point", "color", "colour", "matrix", "scalar", "normal", "gradient", "quaternion")
_MOST_SEGMENTS = 1000
_MOST_LINES = 10_000
_LONGEST_LINE = 1 << 16


def parse(path: Path) -> tuple[Header, RawVoxels]:
    """Return what the header of an NRRD file says, and where its voxels lie.

    Raises
    ------
    ReadError
        If it is no such file, holds several values per voxel, has five axes or is spread over many files.
    GeometryError
        If the grid is impossible.
    """
    fields, end = _fields(path)
    for name in ("type", "dimension", "sizes", "encoding"):
        if not fields.get(name):
            raise ReadError(f"its header does not give '{name}'")
    sizes = tuple(int(size) for size in fields["sizes"].split())
    if len(sizes) != int(fields["dimension"]):
        raise ReadError(f"it announces {fields['dimension']} axes and gives {len(sizes)} sizes")
    _refuse_vectors(fields, sizes)
    if fields["type"].lower() not in _DTYPE_OF:
        raise NotAVolumeError(f"its voxels are of type {fields['type']}, not numbers")
    dtype = np.dtype(_DTYPE_OF[fields["type"].lower()])
    if dtype.itemsize > 1 and fields["encoding"].lower() not in ("ascii", "text", "txt"):
        endian = fields.get("endian", "").lower()
        if endian not in ("little", "big"):
            raise ReadError("its header does not give the byte order ('endian')")
        dtype = dtype.newbyteorder("<" if endian == "little" else ">")
    geometry, channels = grid_of(sizes, _affine(fields, len(sizes)))
    described = [fields[name] for name in ("description", "comment", "content") if name in fields]
    doubt = "" if fields.get("space", "").lower().removesuffix("-time") in _ANATOMICAL else PLACE_UNKNOWN
    described_as = "; ".join(described)
    header = Header(geometry, channels, dtype.newbyteorder("="), described_as, _classes(fields), doubt=doubt)
    return header, _voxels(path, fields, end, sizes, dtype)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields and key/value pairs, names in lower case, and the byte behind the empty line that ends them."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        if not _MAGIC.fullmatch(file.readline(_LONGEST_LINE)):
            raise ReadError("it is no NRRD file of version 1 to 5")
        for _ in range(_MOST_LINES):
            line = file.readline(_LONGEST_LINE)
            text = line.decode("utf-8", "replace").strip()
            if not text:
                break
            if not text.startswith("#"):
                name, _, value = text.partition(":")
                fields.setdefault(name.strip().lower(), value.removeprefix("=").strip())
        return fields, file.tell()


def _refuse_vectors(fields: dict[str, str], sizes: tuple[int, ...]) -> None:
    """Refuse values along any axis but the last of four, which may count volumes."""
    kinds = fields.get("kinds", "").lower().split()
    for n, (kind, size) in enumerate(zip(kinds, sizes, strict=False)):
        if n != 3 and (kind[0].isdigit() or any(word in kind for word in _VALUE_KINDS)):
            raise NotAVolumeError(f"it holds {size} values per voxel (a colour or vector)")


def _voxels(path: Path, fields: dict[str, str], end: int, sizes: tuple[int, ...], dtype: np.dtype) -> RawVoxels:
    encoding = fields["encoding"].lower()
    if encoding not in _PACKINGS:
        raise ReadError(f"its voxels are encoded as '{encoding}'; save it raw or with gzip")
    name = fields.get("data file") or fields.get("datafile")
    if name is not None and (name.upper().startswith("LIST") or "%" in name):
        raise ReadError("its voxels are spread over several files; save it as one")
    if fields.get("line skip", "0") != "0":
        raise ReadError("its voxels stand behind lines to be skipped, which cannot be read")
    skip = int(fields.get("byte skip", "0"))
    packing = _PACKINGS[encoding]
    if skip < -1 or (skip != 0 and packing != "raw"):
        raise ReadError(f"it skips {skip} bytes before voxels encoded as '{encoding}'")
    data, start = (path, end) if name is None else (path.parent / name, 0)
    return RawVoxels(data, -1 if skip == -1 else start + skip, packing, sizes, dtype)


def _classes(fields: dict[str, str]) -> tuple[LabelClass, ...]:
    """Return the segments of a file of 3D Slicer; those that share voxels with others (further layers) are none."""
    classes: dict[int, LabelClass] = {}
    for n in range(_MOST_SEGMENTS):
        value, name = fields.get(f"segment{n}_labelvalue", ""), fields.get(f"segment{n}_name", "")
        if not value.isdecimal() or not 0 < int(value) <= 65535 or fields.get(f"segment{n}_layer", "0") != "0":
            continue
        classes.setdefault(int(value), LabelClass(int(value), name or f"segment {n + 1}", _colour(fields, n)))
    return tuple(classes[value] for value in sorted(classes))


def _colour(fields: dict[str, str], n: int) -> str:
    try:
        parts = [float(part) for part in fields.get(f"segment{n}_color", "").split()]
    except ValueError:
        parts = []
    if len(parts) != 3 or not all(0 <= part <= 1 for part in parts):
        return colour(n)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _affine(fields: dict[str, str], n_axes: int) -> Affine:
    """Return our affine of the first three axes; a file of two axes lies in the axial plane."""
    n_space = min(n_axes, 3)
    affine = np.eye(4)
    if "space directions" in fields:
        steps = [_vector(text) for text in _VECTOR.findall(fields["space directions"])]
        origin = _vector(fields.get("space origin", "(0,0,0)"))[:3]
        if len(steps) != n_axes or min(map(len, steps[:n_space])) < n_space or len(origin) < n_space:
            raise ReadError(f"its space directions and origin do not fit its {n_axes} axes")
        for axis, step in enumerate(steps[:n_space]):
            affine[: len(step[:3]), axis] = step[:3]
        affine[: len(origin), 3] = origin
    elif "axis mins" in fields:
        raise ReadError("it gives its place as 'axis mins', which readers do not agree on")
    elif "spacings" in fields:
        spacings = [float(number) for number in fields["spacings"].split()]
        if len(spacings) != n_axes:
            raise ReadError(f"its spacings do not fit its {n_axes} axes")
        affine[np.arange(n_space), np.arange(n_space)] = spacings[:n_space]
    affine[:3] *= _mm_per_unit(fields.get("space units", ""))
    return from_nifti(_space_to_ras(affine, fields.get("space", "")))


def _mm_per_unit(units: str) -> float:
    """Return what one unit of the space is in mm; ITK and others pass over this field."""
    met = {unit.strip() for unit in re.findall(r'"([^"]*)"', units)} or {""}
    if len(met) > 1 or not met <= set(_MM_PER_UNIT):
        raise ReadError(f"its space is measured in {units}; mm, cm, m and um are known, the same along all axes")
    return _MM_PER_UNIT[met.pop()]


def _space_to_ras(affine: Affine, space: str) -> Affine:
    """Turn an affine onto the named world into one onto RAS+.

    Worlds that say no more than 'scanner' are LPS+, as they are for ITK.
    """
    space = space.lower().removesuffix("-time")
    if space in _ANATOMICAL:
        return np.diag([*_ANATOMICAL[space], 1.0]) @ affine
    if space not in _OTHER_SPACES:
        raise ReadError(f"its space is called '{space}', which NRRD does not know")
    return lps_to_ras(affine)


def _vector(text: str) -> list[float]:
    """Return the numbers of ``(1,0,0)``; none for ``none``."""
    return [] if text == "none" else [float(number) for number in text.strip("() ").split(",")]
