"""The pixels of DICOM slices, unpacked, rescaled and piled up."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import Slice, quiet_pydicom

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
    stored: list[np.ndarray] = []
    for path, members in groupby(slices, key=lambda one: one.path):
        stored += _frames(path, list(members))
    whole = all(one.slope == 1 and one.intercept == int(one.intercept) for one in slices) and all(
        np.issubdtype(array.dtype, np.integer) for array in stored
    )
    try:
        if not whole:
            scaled = (a.astype(np.float64) * one.slope + one.intercept for a, one in zip(stored, slices, strict=True))
            return np.stack([plane.astype(np.float32) for plane in scaled])
        wide = np.stack([a.astype(np.int64) + int(one.intercept) for a, one in zip(stored, slices, strict=True)])
    except MemoryError:
        raise ReadError(f"cannot read '{slices[0].path.parent}': there is not enough memory for it") from None
    return wide.astype(_whole_dtype(wide))


def _whole_dtype(array: np.ndarray) -> type[np.integer[Any]]:
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.int64


def _frames(path: Path, slices: list[Slice]) -> list[np.ndarray]:
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(path, force=True)
            syntax = UID(dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))
            dataset.file_meta.TransferSyntaxUID = syntax
            _check_size(path, slices[0].shape, dataset)
            planes = [np.array(pixel_array(dataset, index=one.frame, raw=True)) for one in slices]
    except ReadError:
        raise
    except MemoryError:
        raise ReadError(f"cannot read '{path}': there is not enough memory for it") from None
    # As with headers: a decoder raises anything on damaged bytes.
    except Exception:  # noqa: BLE001
        raise ReadError(f"cannot read '{path}': {_why(path)}") from None
    if any(plane.shape != slices[0].shape for plane in planes):
        raise ReadError(f"cannot read '{path}': its pixels are not the {slices[0].shape} that its header announces")
    return planes


def _check_size(path: Path, shape: tuple[int, int], dataset: Any) -> None:
    announced = shape[0] * shape[1] * 2
    if announced > _MUCH and announced > _MOST_PACKED * max(path.stat().st_size, 1):
        raise ReadError(f"cannot read '{path}': a file of this size does not hold {shape[0]} x {shape[1]} pixels")
    if "PixelData" not in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
        raise ReadError(f"cannot read '{path}': it holds no pixels")


def _why(path: Path) -> str:
    """Return what is said when no decoder took the pixels: that there is none for them, or that they are damaged."""
    try:
        with quiet_pydicom():
            syntax = UID(pydicom.dcmread(path, force=True, stop_before_pixels=True).file_meta.TransferSyntaxUID)
            decodable = not syntax.is_compressed or get_decoder(syntax).is_available
    except Exception:  # noqa: BLE001 - the sentence below is right whatever it is
        decodable, syntax = False, UID("unknown")
    if decodable:
        return "its pixels are damaged or cut short"
    return f"its pixels are packed as {syntax.name} ({syntax}), which cannot be unpacked here; export it uncompressed"
