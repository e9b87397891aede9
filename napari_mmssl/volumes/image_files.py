"""Read and write volumes and label maps, whatever the file format.

NIfTI goes through nibabel, because SimpleITK refuses sheared affines. NRRD and MetaImage are written through SimpleITK
and read here: damaged headers end SimpleITK's process, and damaged voxels it returns as noise
(``docs/decisions/0006-own-nrrd-and-metaimage-readers.md``). A folder is read as a DICOM series. No exception of a
library leaves this package: a person gets one sentence that names the file.
"""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import MmsslError, ReadError, WriteError
from napari_mmssl.volumes.header import SYNTHETIC_MARK, Header, NotAVolumeError
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
    "is_dicom",
    "is_image",
    "read_header",
    "read_label_map",
    "read_volume",
    "stem",
    "write_label_map",
    "write_volume",
]

#: Endings of the files that can be read. ``.hdr`` stands for the pair with its ``.img``, which is one volume.
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
#: A DICOM file by itself; those of a series are read together, as the folder they lie in.
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
#: Endings of the files that can be written.
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")


def is_image(path: Path) -> bool:
    """Whether the name of ``path`` ends like a file that can be read; hidden files do not count."""
    return not path.name.startswith(".") and _suffix(path) is not None


def is_dicom(path: Path) -> bool:
    """Whether ``path`` starts like a DICOM file, whatever its name; reads the first 132 bytes."""
    return bool(importlib.import_module("napari_mmssl.volumes.dicom_files").is_dicom(path))


def stem(path: Path) -> str:
    """Return the name of ``path`` without its ending, ``.nii.gz`` being one ending."""
    return path.name[: len(path.name) - len(_suffix(path) or path.suffix)]


def classes_file(path: Path) -> Path:
    """Return where the names and colours of the classes of the label map ``path`` lie."""
    return path.with_name(f"{stem(path)}.labels.json")


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
    header: Header = _reader(path).read_header(path)
    return header


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read one 3-D volume, with the header's rescaling applied.

    Whole numbers keep their type if there is nothing to rescale; everything else becomes float32. A 2-D file
    becomes a volume of one slice. NaN voxels stay NaN.

    Parameters
    ----------
    path
        The file.
    channel
        Position on the fourth axis, counted from 0; ``None`` for a 3-D file.

    Raises
    ------
    ReadError
        As :func:`read_header`, and if ``channel`` is missing for a 4-D file or not in it.
    GeometryError
        As :func:`read_header`.

    See Also
    --------
    write_volume : the inverse.
    """
    header, array = _reader(path).read_array(path, channel)
    return Volume(array, header.geometry, header.synthetic)


def read_label_map(path: Path, channel: int | None = None) -> LabelMap:
    """Read a label map, with the names of its classes if a ``<stem>.labels.json`` lies beside it.

    Float files are taken when every voxel holds a whole number.

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
    header, array = _reader(path).read_array(path, channel)
    return LabelMap(_whole(path, array), header.geometry, read_classes(classes_file(path)))


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
    _write(path, volume.array, volume, description)


def write_label_map(path: Path, label_map: LabelMap, description: str = "") -> None:
    """Write ``label_map`` in the smallest whole-number type, and its classes to ``<stem>.labels.json``.

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
    _write(path, label_map.array.astype(_smallest_dtype(label_map.array)), label_map, description)
    if label_map.classes:
        write_classes(classes_file(path), label_map.classes)
    else:
        # Names of an earlier label map of this name would now be wrong.
        classes_file(path).unlink(missing_ok=True)


def _write(path: Path, array: np.ndarray, placed: Volume | LabelMap, description: str) -> None:
    writer = _writer(path)
    with replacing(path) as aside:
        try:
            writer.write_array(aside, array, placed.geometry, description)
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


def _reader(path: Path) -> ModuleType:
    """Return the module that reads files of this name; imported late, since looking at folders needs names only."""
    suffix = _suffix(path)
    if path.is_dir() or path.suffix.lower() in DICOM_SUFFIXES:
        return importlib.import_module("napari_mmssl.volumes.dicom_series")
    if suffix in (".nrrd", ".nhdr"):
        return importlib.import_module("napari_mmssl.volumes.nrrd_files")
    if suffix in (".mha", ".mhd"):
        return importlib.import_module("napari_mmssl.volumes.meta_files")
    if suffix is None and path.suffix.lower() != ".img":
        # Scanners name files by numbers; what starts like DICOM is read as it.
        if is_dicom(path):
            return importlib.import_module("napari_mmssl.volumes.dicom_series")
        raise ReadError(f"cannot read '{path}': known file endings are {' '.join(SUFFIXES)}")
    return importlib.import_module("napari_mmssl.volumes.nifti_files")


def _writer(path: Path) -> ModuleType:
    check_writable_name(path)
    suffix = _suffix(path)
    name = "nifti_files" if suffix in (".nii", ".nii.gz") else "itk_writing"
    return importlib.import_module(f"napari_mmssl.volumes.{name}")


def _whole(path: Path, array: np.ndarray) -> np.ndarray:
    if np.issubdtype(array.dtype, np.integer):
        return array
    if not np.isfinite(array).all() or (array != np.round(array)).any():
        raise ReadError(f"'{path}' is no label map: it holds values between the whole numbers")
    # Not "> 2**31 - 1", which float32 cannot hold.
    if np.abs(array).max() >= 2**31:
        raise ReadError(f"'{path}' is no label map: it holds values of {np.abs(array).max():.3g}")
    return array.astype(np.int32)
