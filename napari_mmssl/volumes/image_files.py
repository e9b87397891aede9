"""Read and write volumes and label maps, whatever the file format.

NIfTI goes through nibabel, because SimpleITK refuses sheared affines. NRRD and MetaImage are read here: damaged headers
end SimpleITK's process, and damaged voxels it returns as noise
(``docs/decisions/0006-own-nrrd-and-metaimage-readers.md``). A folder is read as a DICOM series, a DICOM file as what it
holds: images, a segmentation or contours. No exception of a library leaves this package: a person gets one sentence
that names the file.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import MmsslError, ReadError, WriteError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.header import SYNTHETIC_MARK, Header, NotAVolumeError, intensities
from napari_mmssl.volumes.label_classes import read_classes, write_classes
from napari_mmssl.volumes.volume import LabelMap, Volume

__all__ = [
    "DICOM_SUFFIXES",
    "SUFFIXES",
    "SYNTHETIC_MARK",
    "WRITABLE",
    "Header",
    "NotAVolumeError",
    "check_writable_name",
    "classes_file",
    "holds_classes",
    "is_dicom",
    "is_image",
    "read_header",
    "read_label_map",
    "read_label_map_and_header",
    "read_volume",
    "split_name",
    "stem",
    "write_label_map",
    "write_volume",
    "write_volumes",
]

#: Endings of the files that can be read. ``.hdr`` stands for the pair with its ``.img``, which is one volume.
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
#: A DICOM file by itself; those of a series are read together, as the folder they lie in.
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
#: Endings of the files that can be written.
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
_CLASSES = ".labels.json"
_USUAL = ".nii.gz"


def is_image(path: Path) -> bool:
    """Whether the name of ``path`` ends like a file that can be read; hidden files do not count."""
    return not path.name.startswith(".") and _suffix(path) is not None


def is_dicom(path: Path) -> bool:
    """Whether ``path`` starts like a DICOM file, whatever its name; reads the first 132 bytes."""
    return bool(importlib.import_module("napari_mmssl.volumes.dicom_files").is_dicom(path))


def stem(path: Path) -> str:
    """Return the name of ``path`` without its ending, ``.nii.gz`` being one ending."""
    return split_name(path)[0]


def split_name(path: Path) -> tuple[str, str]:
    """Return the name of ``path`` without its ending, and the ending."""
    n = len(path.name) - len(_suffix(path) or path.suffix)
    return path.name[:n], path.name[n:]


def classes_file(path: Path) -> Path:
    """Return where the names and colours of the classes of the label map ``path`` lie, or would.

    ``a.labels.json`` is of ``a.nii.gz``; other endings keep theirs (``a.mha.labels.json``), so that files of one stem
    share nothing. Without a file of its own, ``a.mha`` has ``a.labels.json`` if no ``a.nii.gz`` does.
    """
    name, ending = split_name(path)
    usual, own = path.with_name(f"{name}{_CLASSES}"), path.with_name(f"{path.name}{_CLASSES}")
    if ending.lower() == _USUAL:
        return usual
    is_usual = usual.exists() and not own.exists() and not path.with_name(f"{name}{_USUAL}").exists()
    return usual if is_usual else own


def check_writable_name(path: Path) -> None:
    """Raise :class:`WriteError` unless ``path`` ends like a format that can be written."""
    if _suffix(path) not in WRITABLE:
        raise WriteError(f"cannot write '{path}': name it {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}")


def read_header(path: Path) -> Header:
    """Read what ``path`` says of itself; no voxel is loaded.

    A file that is shorter than its header announces is found here already, at the cost of a look at its end.

    Raises
    ------
    ReadError
        If the file is missing, cut, of another format, or holds something else than plain numbers.
    GeometryError
        If its affine is NaN or singular or an axis is empty.
    """
    reader, file = _reader(path)
    header: Header = reader.read_header(file)
    return header


def read_volume(path: Path, channel: int | None = None, *, exact: bool = False) -> Volume:
    """Read one 3-D volume, with the header's rescaling applied.

    Whole numbers keep their type if there is nothing to rescale; everything else becomes float32, or with ``exact``
    float64 where the file has it. A 2-D file becomes a volume of one slice. NaN voxels stay NaN.

    Parameters
    ----------
    path
        The file.
    channel
        Position on the fourth axis, counted from 0; ``None`` for a 3-D file.
    exact
        Whether to keep every digit, which takes twice the memory.

    Raises
    ------
    ReadError
        As :func:`read_header`, if ``channel`` is missing for a 4-D file or not in it, and if without ``exact`` there
        are numbers that float32 cannot hold.
    GeometryError
        As :func:`read_header`.

    See Also
    --------
    write_volume : the inverse.
    """
    reader, file = _reader(path)
    header, array = reader.read_array(file, channel)
    try:
        return Volume(array if exact else intensities(array), header.geometry, header.synthetic)
    except ReadError as error:
        raise ReadError(f"cannot read '{path}': {error}") from error


def read_label_map(path: Path, channel: int | None = None) -> LabelMap:
    """Read a label map, with the names and colours of its classes from the file itself or :func:`classes_file`.

    Float files are taken when every voxel holds a whole number.

    Parameters
    ----------
    path
        The file.
    channel
        Position on the fourth axis, or of one segment of a DICOM segmentation, counted from 0.

    Raises
    ------
    ReadError
        As :func:`read_volume`, and if a voxel is no whole number.
    GeometryError
        As :func:`read_header`.

    See Also
    --------
    write_label_map : the inverse.
    """
    return read_label_map_and_header(path, channel)[0]


def read_label_map_and_header(path: Path, channel: int | None = None) -> tuple[LabelMap, Header]:
    """As :func:`read_label_map`, with the header, whose notes say how it was read and what was lost.

    Raises
    ------
    ReadError, GeometryError
        As :func:`read_label_map`.
    """
    reader, file = _reader(path)
    header, array = reader.read_array(file, channel)
    classes = header.classes or read_classes(classes_file(path))
    return LabelMap(_whole(path, array), header.geometry, classes), header


def write_volume(path: Path, volume: Volume, description: str = "") -> None:
    """Write ``volume`` where it lies in the world; a synthetic one is marked in the header.

    Parameters
    ----------
    path
        Ends in ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``; replaced in one step.
    volume
        What to write.
    description
        Text for the header; NIfTI keeps 80 letters.

    Raises
    ------
    WriteError
        If the ending is another, the folder cannot be written, or the format cannot hold the grid.

    See Also
    --------
    read_volume : the inverse.
    """
    if volume.synthetic and SYNTHETIC_MARK not in description:
        description = f"{SYNTHETIC_MARK} {description}".strip()
    _write(path, volume.array, volume.geometry, description)


def write_volumes(path: Path, volumes: Sequence[Volume], description: str = "") -> None:
    """Write volumes of one grid as one 4-D file, in their order.

    Raises
    ------
    WriteError
        As :func:`write_volume`, and if they lie on several grids.

    See Also
    --------
    read_volume : reads them back one by one.
    """
    if len({volume.array.shape for volume in volumes}) != 1 or not all(
        volume.geometry.same_grid(volumes[0].geometry) for volume in volumes
    ):
        raise WriteError(f"cannot write '{path}': its volumes lie on several grids; write each into a file of its own")
    _write(path, np.stack([volume.array for volume in volumes]), volumes[0].geometry, description)


def write_label_map(path: Path, label_map: LabelMap, description: str = "") -> None:
    """Write ``label_map`` in the smallest whole-number type; its classes into the file, or :func:`classes_file`.

    NRRD holds them itself, in the keys of 3D Slicer.

    Parameters
    ----------
    path
        As for :func:`write_volume`.
    label_map
        What to write.
    description
        Text for the header; NIfTI keeps 80 letters.

    Raises
    ------
    WriteError
        As :func:`write_volume`.

    See Also
    --------
    read_label_map : the inverse.
    """
    array = label_map.array.astype(_smallest_dtype(label_map.array))
    inside = {"classes": label_map.classes} if holds_classes(path) else {}
    _write(path, array, label_map.geometry, description, **inside)
    if label_map.classes and inside:
        return
    if label_map.classes:
        write_classes(classes_file(path), label_map.classes)
    else:
        # Names of an earlier label map of this name would now be wrong.
        classes_file(path).unlink(missing_ok=True)


def holds_classes(path: Path) -> bool:
    """Whether a file of this name holds the names of its classes itself, and needs none beside it."""
    return _suffix(path) == ".nrrd" or path.suffix.lower() in DICOM_SUFFIXES


def _write(path: Path, array: np.ndarray, geometry: Geometry, description: str, **more: Any) -> None:
    writer = _writer(path)
    with replacing(path) as aside:
        try:
            writer.write_array(aside, array, geometry, description, **more)
        except OSError:
            raise
        except MmsslError as error:
            # Writers know the file by the name it has until it is whole.
            raise type(error)(f"cannot write '{path}': {error}") from error
        # As in reading: neither library says what it may raise.
        except Exception as error:
            raise WriteError(f"cannot write '{path}': {error}") from error


def _smallest_dtype(array: np.ndarray) -> np.dtype:
    lowest, highest = int(array.min()), int(array.max())
    # A signed type that holds -(n + 1) holds n as well.
    return np.min_scalar_type(highest if lowest >= 0 else min(lowest, -highest - 1))


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix), None)


def _reader(path: Path) -> tuple[ModuleType, Path]:
    """Return the module that reads ``path``, and the file that it reads: a folder may stand for one.

    Imported late, since looking at folders needs names only.
    """
    suffix = _suffix(path)
    if suffix is None and path.suffix.lower() != ".img":
        # Scanners name files by numbers; what starts like DICOM is read as it.
        if path.is_dir() or path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path):
            return _dicom_reader(path)
        if not path.exists():
            raise ReadError(f"cannot read '{path}': no such file or directory")
        raise ReadError(f"cannot read '{path}': known file endings are {' '.join(SUFFIXES)}")
    if path.is_dir():
        return _dicom_reader(path)
    name = "text_headers" if suffix in (".nrrd", ".nhdr", ".mha", ".mhd") else "nifti_files"
    return importlib.import_module(f"napari_mmssl.volumes.{name}"), path


def _dicom_reader(path: Path) -> tuple[ModuleType, Path]:
    kind, file = importlib.import_module("napari_mmssl.volumes.dicom_kinds").kind_of(path)
    return importlib.import_module(f"napari_mmssl.volumes.dicom_{kind}"), file


def _writer(path: Path) -> ModuleType:
    check_writable_name(path)
    suffix = _suffix(path)
    names = {".nrrd": "nrrd_writing", ".mha": "itk_writing"}
    return importlib.import_module(f"napari_mmssl.volumes.{names.get(suffix or '', 'nifti_files')}")


def _whole(path: Path, array: np.ndarray) -> np.ndarray:
    if np.issubdtype(array.dtype, np.integer):
        return array
    if not np.isfinite(array).all() or (array != np.round(array)).any():
        raise ReadError(f"'{path}' is no label map: it holds NaN, or values between the whole numbers")
    # Not "> 2**31 - 1", which float32 cannot hold.
    if np.abs(array).max() >= 2**31:
        raise ReadError(f"'{path}' is no label map: it holds values of {np.abs(array).max():.3g}")
    return array.astype(np.int32)
