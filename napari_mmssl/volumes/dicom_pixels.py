"""The pixels of DICOM slices, unpacked, rescaled and piled up."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, AllTransferSyntaxes, ImplicitVRLittleEndian, JPEG2000TransferSyntaxes, RLELossless

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import Slice, quiet_pydicom
from napari_mmssl.volumes.dicom_unpacking import unpack
from napari_mmssl.volumes.file_length import refuse_too_large

#: A packed file that promises more than this times its own size is taken for a lie, if that is much at all.
_MOST_PACKED = 20_000
_MUCH = 2**28


def read_pixels(slices: Sequence[Slice]) -> np.ndarray:
    """Return the slices as one array ``(z, y, x)``, each with its own rescaling applied.

    Whole numbers stay whole where every slope is 1 and every intercept whole (int16 if they fit, else int32);
    otherwise float32. ``MONOCHROME1`` is left as stored: values are measurements here, not grey.

    Raises
    ------
    ReadError
        If pixels are missing, damaged, of another size than the header says, or packed in a way that cannot be
        unpacked here.
    """
    n_bytes = sum(math.prod(one.shape) * np.dtype(one.dtype).itemsize for one in slices)
    try:
        refuse_too_large(n_bytes)
    except ReadError as error:
        raise ReadError(f"cannot read '{slices[0].path.parent}': {error}") from None
    stored = _stored(slices)
    for one, plane in zip(slices, stored, strict=True):
        if plane.shape != one.shape:
            raise ReadError(f"cannot read '{one.path}': it holds {plane.shape} pixels and announces {one.shape}")
    try:
        return _rescaled(slices, stored)
    except MemoryError:
        raise ReadError(f"cannot read '{slices[0].path.parent}': there is not enough memory for it") from None


def _rescaled(slices: Sequence[Slice], stored: Sequence[np.ndarray]) -> np.ndarray:
    whole = all(one.slope == 1 and one.intercept.is_integer() and abs(one.intercept) < 2**31 for one in slices)
    if not whole or not all(np.issubdtype(plane.dtype, np.integer) for plane in stored):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (plane * one.slope + one.intercept for plane, one in zip(stored, slices, strict=True))
            return np.stack([plane.astype(np.float32) for plane in scaled])
    shifted = np.stack([plane.astype(np.int64) + int(one.intercept) for plane, one in zip(stored, slices, strict=True)])
    low, high = int(shifted.min()), int(shifted.max())
    dtypes = (np.int16, np.int32, np.int64)
    return shifted.astype(next(dtype for dtype in dtypes if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max))


def _stored(slices: Sequence[Slice]) -> list[np.ndarray]:
    """Return the pixels as stored; what only the less trusted decoders can unpack, all at once in another process."""
    planes: list[np.ndarray | None] = []
    path, dataset = None, None
    for one in slices:
        if one.path != path:
            path, dataset = one.path, _open(one)
        planes.append(_plane(dataset, one))
    missing = [n for n, plane in enumerate(planes) if plane is None]
    if missing:
        unpacked = unpack([(slices[n].path, slices[n].frame) for n in missing])
        for n, plane in zip(missing, unpacked, strict=True):
            planes[n] = plane
    return [plane for plane in planes if plane is not None]


def _open(one: Slice) -> Any:
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(one.path, force=True)
            # Files without a preamble do not say; the standard has them so.
            dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
            n_bytes = one.path.stat().st_size
    # As with headers: anything may be raised on damaged bytes, and its words may quote the patient.
    except Exception:  # noqa: BLE001
        raise ReadError(f"cannot read '{one.path}': it is damaged or cut short") from None
    announced = one.shape[0] * one.shape[1] * 2
    if announced > _MUCH and announced > _MOST_PACKED * n_bytes:
        raise ReadError(f"cannot read '{one.path}': a file of its size does not hold {one.shape} pixels")
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ReadError(f"cannot read '{one.path}': it holds no pixels")
    return dataset


def _plane(dataset: Any, one: Slice) -> np.ndarray | None:
    """Return the pixels of a slice, or ``None`` if they must be unpacked apart."""
    with quiet_pydicom():
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        if syntax not in AllTransferSyntaxes:
            raise ReadError(f"cannot read '{one.path}': its transfer syntax is not one of DICOM's")
        if syntax.is_compressed and syntax != RLELossless and not syntax.is_deflated:
            _check_decodable(one.path, syntax)
            if syntax not in JPEG2000TransferSyntaxes:
                return None
            plugin = "pillow"
        else:
            plugin = ""
        try:
            return np.array(pixel_array(dataset, index=one.frame, raw=True, decoding_plugin=plugin))
        except MemoryError:
            raise ReadError(f"cannot read '{one.path}': there is not enough memory for it") from None
        except Exception:  # noqa: BLE001 - as in _open
            if plugin:
                return None
            raise ReadError(f"cannot read '{one.path}': its pixels are damaged or cut short") from None


def _check_decodable(path: Path, syntax: UID) -> None:
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        text = (
            f"its pixels are packed as {syntax.name} ({syntax}), which cannot be unpacked here; export it uncompressed"
        )
        raise ReadError(f"cannot read '{path}': {text}")
