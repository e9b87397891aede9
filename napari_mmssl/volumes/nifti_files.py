"""NIfTI and Analyze files, through nibabel: headers by themselves, one channel at a time, affines exactly as stored."""

import logging
import math
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import logger as _nibabel_logger
from nibabel.volumeutils import apply_read_scaling

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.file_length import ends_early, gzip_length, refuse_too_large
from napari_mmssl.volumes.geometry import Affine, Geometry, from_nifti, to_nifti
from napari_mmssl.volumes.gzip_files import unpack
from napari_mmssl.volumes.header import (
    PLACE_UNKNOWN,
    Header,
    NotAVolumeError,
    check_channel,
    grid_of,
    native,
    reading,
)

#: ``xyzt_units`` may say metres or microns; the world of this package is in millimetres.
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_DESCRIPTION_BYTES = 80
#: A quaternion in float32 over half a metre is off by less.
_SAME_PLACE_MM = 1.0
#: A NIfTI-1 header, and the byte behind it that says whether extensions follow.
_HEADER_BYTES = 348
#: Enough of a packed file to hold them.
_PACKED_BYTES = 1024


class _Quiet(logging.Filter):
    """Drops nibabel's remarks on headers while this thread reads; ours are the findings. One of them is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if "should be non-zero" in record.getMessage():
            self.here.zero_spacing = True
        return not getattr(self.here, "quiet", False)

    @contextmanager
    def hush(self) -> Iterator[None]:
        self.here.quiet, self.here.zero_spacing = True, False
        try:
            yield
        finally:
            self.here.quiet = False


_quiet = _Quiet()
_nibabel_logger.addFilter(_quiet)


def read_header(path: Path) -> Header:
    """Read the header of a NIfTI file and make sure that the file is as long as it says.

    Raises
    ------
    ReadError
        If it is no NIfTI file, holds complex or colour voxels, has five axes or is cut short.
    GeometryError
        If the affine is NaN or singular or an axis is empty.
    """
    with reading(path), _quiet.hush():
        header = _plain_header(path)
        if header is not None:
            return _header_of(header, int(header.get_data_offset()), path)
        return _header_of_image(_open(path))


def read_array(path: Path, channel: int | None) -> tuple[Header, np.ndarray]:
    """Read one volume ``(z, y, x)``, with the header's slope applied, and the header.

    Raises
    ------
    ReadError
        As :func:`read_header`, and if ``channel`` is not in the file or must be chosen.
    """
    with reading(path), _quiet.hush():
        image = _open(path)
        header = _header_of_image(image)
        check_channel(header, channel)
        refuse_too_large(math.prod(header.geometry.shape) * header.dtype.itemsize)
        voxels = _voxels(image, None if header.channels is None else channel)
        z, y, x = header.geometry.shape
        return header, native(voxels.reshape(x, y, z, order="F").T)


def write_array(path: Path, array: np.ndarray, geometry: Geometry, description: str) -> None:
    """Write ``array`` ``(z, y, x)`` with both forms of the affine set; the inverse of :func:`read_array`.

    A sheared affine goes into the sform alone: the qform cannot hold it, and a second, wrong place is worse
    than none.
    """
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:  # which NIfTI does not know
        array = array.astype(np.float32)
    affine = to_nifti(geometry.affine)
    image = nib.Nifti1Image(array.T, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="unknown" if geometry.is_sheared else "scanner")
    image.header["descrip"] = description.encode("ascii", "replace")[:_DESCRIPTION_BYTES]
    nib.save(image, path)


def _plain_header(path: Path) -> Any | None:
    """Return the header of a NIfTI-1 file in one piece and without extensions; ``None`` for all others.

    It is nibabel's header with nibabel's checks, without an image built round it, which takes twice the time: a cohort
    has thousands of such files, and hardly any other.
    """
    with path.open("rb") as file:
        start = file.read(_PACKED_BYTES)
    if path.suffix.lower() == ".gz":
        try:
            start = zlib.decompressobj(31).decompress(start, _HEADER_BYTES + 1)
        except zlib.error:
            return None  # nibabel says what is wrong with it
    sizes = (start[:4] == _HEADER_BYTES.to_bytes(4, order) for order in ("little", "big"))
    if len(start) <= _HEADER_BYTES or not any(sizes) or start[344:_HEADER_BYTES] != b"n+1\0" or start[_HEADER_BYTES]:
        return None
    return nib.Nifti1Header(start[:_HEADER_BYTES])


def _open(path: Path) -> Any:
    try:
        image = nib.load(path)
    except ImageFileError as error:
        raise ReadError("it is no NIfTI file, or its header is damaged or cut") from error
    if not isinstance(image, nib.AnalyzeImage):  # which all of NIfTI's are
        raise ReadError(f"it is {type(image).__name__.removesuffix('Image')}, not NIfTI; convert it to NIfTI")
    # Of a pair the voxels are a file of their own.
    if not (voxels := _voxel_file(image)).is_file():
        raise ReadError(f"its voxels should lie in '{voxels.name}' beside it, and there is no such file")
    return image


def _voxels(image: Any, channel: int | None) -> np.ndarray:
    """Return the scaled voxels of ``image``, or of one of its volumes; of a packed file only if its checksum is right.

    nibabel stops reading at the last voxel, before the checksum, so that a damaged file would be read as noise.
    """
    stored = image.dataobj
    path = _voxel_file(image)
    if path.suffix.lower() != ".gz":
        return np.asanyarray(stored if channel is None else stored[:, :, :, channel])
    n_bytes = int(np.prod(stored.shape, dtype=object)) * stored.dtype.itemsize
    refuse_too_large(n_bytes)
    unpacked = unpack(path, int(stored.offset) + n_bytes)[stored.offset :]
    voxels = unpacked.view(stored.dtype).reshape(stored.shape, order="F")
    if channel is not None:
        voxels = voxels[:, :, :, channel].copy(order="K")  # a view would keep all volumes in memory
    return np.asarray(apply_read_scaling(voxels, np.asanyarray(stored.slope), np.asanyarray(stored.inter)))


def _voxel_file(image: Any) -> Path:
    return Path(image.file_map["image"].filename)


def _header_of_image(image: Any) -> Header:
    header, offset = image.header, int(image.dataobj.offset)
    if isinstance(header, nib.Nifti1Header):
        return _header_of(header, offset, _voxel_file(image))
    # Analyze has no field for directions, or for left and right; SPM put them into a file beside it.
    beside = image.file_map.get("mat")
    has_place = beside is not None and Path(beside.filename).is_file()
    placed = (image.affine, "") if has_place else (None, PLACE_UNKNOWN)
    return _header_of(header, offset, _voxel_file(image), *placed)


def _header_of(
    header: Any, offset: int, voxel_file: Path, affine: Affine | None = None, doubt: str | None = None
) -> Header:
    """Return ours of nibabel's header, whose voxels begin at byte ``offset`` of ``voxel_file``.

    ``affine`` is one from elsewhere, and ``doubt`` why the place is uncertain, where NIfTI's own fields do not tell.
    """
    dtype = header.get_data_dtype()
    if not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        what = "complex numbers" if np.issubdtype(dtype, np.complexfloating) else "colours"
        raise NotAVolumeError(f"its voxels are {what}, and plain numbers are needed")
    shape = header.get_data_shape()
    geometry, channels = _grid(header, shape) if affine is None else grid_of(shape, from_nifti(affine))
    _check_length(voxel_file, offset + math.prod(int(size) for size in shape) * dtype.itemsize)
    description = bytes(header["descrip"]).partition(b"\0")[0].decode("latin-1").strip()
    return Header(
        geometry, channels, dtype.newbyteorder("="), description, doubt=_doubt(header) if doubt is None else doubt
    )


def _doubt(header: Any) -> str:
    """Return why it is not certain where the voxels lie; empty if it is.

    Where qform and sform differ, programs choose; nibabel takes the sform. Without either NIfTI's standard (method 1)
    leaves the directions open: nibabel lets x run to the left and y to the front, round the middle of the volume; ITK
    lets y run to the back, from the first voxel.
    """
    has_qform, has_sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    if not (has_qform or has_sform):
        return PLACE_UNKNOWN
    if has_qform and has_sform and (np.linalg.det(header.get_sform()[:3, :3]) < 0) != (header["pixdim"][0] < 0):
        return "left and right are in doubt: its qform is the mirror image of its sform, which is used"
    if has_qform and has_sform and (apart_mm := _between_forms_mm(header)) > _SAME_PLACE_MM:
        return f"its qform places voxels up to {apart_mm:.3g} mm from where its sform does, which is used"
    return ""


def _between_forms_mm(header: Any) -> float:
    """Return how far apart the qform and the sform put a corner of the volume; 0 if the qform is damaged."""
    try:
        between = header.get_qform() - header.get_sform()
    except ValueError:
        return 0.0
    last = np.subtract((*header.get_data_shape()[:3], 1, 1)[:3], 1)
    corners = np.array([(*corner, 1) for corner in product(*[(0, n) for n in last])])
    return float(np.linalg.norm((corners @ between.T)[:, :3], axis=1).max()) * _mm_per_unit(header)


def _grid(header: Any, shape: tuple[int, ...]) -> tuple[Geometry, int | None]:
    _check_spacing(header, shape)
    with np.errstate(all="ignore"):
        affine: Affine = from_nifti(header.get_best_affine())
    scale = _mm_per_unit(header)
    return grid_of(shape, affine * np.array([[scale], [scale], [scale], [1.0]]))


def _mm_per_unit(header: Any) -> float:
    return _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0) if isinstance(header, nib.Nifti1Header) else 1.0


def _check_spacing(header: Any, shape: tuple[int, ...]) -> None:
    """Refuse a spacing of zero where it alone places the voxels: nibabel has made it a plausible 1 mm."""
    has_sform = isinstance(header, nib.Nifti1Header) and int(header["sform_code"]) > 0
    if _quiet.here.zero_spacing and not has_sform and len(shape) >= 3 and min(shape[:3]) > 1:
        raise ReadError("its voxels are 0 mm apart along an axis, and no affine in it says where they lie")


def _check_length(path: Path, n_bytes: int) -> None:
    """Refuse a file that holds fewer than ``n_bytes``, without taking memory for what its header claims."""
    length = gzip_length(path, n_bytes) if path.suffix.lower() == ".gz" else path.stat().st_size
    if length < n_bytes:
        raise ends_early(length, n_bytes)
