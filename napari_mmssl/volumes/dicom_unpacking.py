"""Unpack compressed DICOM pixels in a process of their own.

GDCM knows nearly every packing, and ends its process on some damaged files. Here that costs one sentence, not the
viewer and what is painted in it. Run as ``python -m napari_mmssl.volumes.dicom_unpacking``: a list of
``[path, frame]`` comes in as JSON, arrays go out one after the other as ``.npy``.
"""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGExtended12Bit

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import quiet_pydicom

_START_S = 60
_PER_PLANE_S = 5


def unpack(wanted: Sequence[tuple[Path, int]]) -> list[np.ndarray]:
    """Return the stored pixels ``(y, x)`` of these frames.

    Raises
    ------
    ReadError
        If a decoder gives up on one of them, or takes too long.
    """
    # -P: a folder of scans may be where we stand, and must not be imported from.
    command = [sys.executable, "-P", "-m", __name__]
    task = json.dumps([[str(path.absolute()), frame] for path, frame in wanted])
    folder = wanted[0][0].parent
    try:
        done = subprocess.run(
            command,
            input=task.encode(),
            capture_output=True,
            check=False,
            timeout=_START_S + _PER_PLANE_S * len(wanted),
        )
    except subprocess.TimeoutExpired:
        raise ReadError(f"cannot read the DICOM files in '{folder}': unpacking their pixels takes too long") from None
    planes: list[np.ndarray] = []
    stream = io.BytesIO(done.stdout)
    try:
        while len(planes) < len(wanted):
            planes.append(np.load(stream, allow_pickle=False))
    except (ValueError, EOFError, OSError):
        damaged = wanted[len(planes)][0]
        raise ReadError(f"cannot read '{damaged}': its pixels are damaged or cut short") from None
    return planes


def main() -> None:
    """Unpack what standard input asks for; end at the first frame that cannot be."""
    with quiet_pydicom():
        for path, frame in json.load(sys.stdin):
            plane = _plane(path, frame)
            # Into memory first: numpy asks a buffered file for its position, which a pipe has not.
            packed = io.BytesIO()
            np.save(packed, np.ascontiguousarray(plane), allow_pickle=False)
            sys.stdout.buffer.write(packed.getvalue())
            sys.stdout.buffer.flush()


def _plane(path: str, frame: int) -> np.ndarray:
    dataset = pydicom.dcmread(path, force=True)
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8:
        return np.asarray(_twelve_bits(path)[frame])
    return pixel_array(dataset, index=frame, raw=True)


@lru_cache(maxsize=1)
def _twelve_bits(path: str) -> np.ndarray:
    """Return the frames ``(n, y, x)`` of lossy JPEG of 12 bits: pydicom does not trust GDCM with it, which reads it."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    if not reader.Read():
        raise ReadError("GDCM cannot read it")
    image = reader.GetImage()
    columns, rows, *more = (image.GetDimension(n) for n in range(image.GetNumberOfDimensions()))
    dtype = np.int16 if image.GetPixelFormat().GetPixelRepresentation() else np.uint16
    # GDCM hands bytes over as text.
    stored = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), dtype)
    return stored.reshape(more[0] if more else 1, rows, columns)


if __name__ == "__main__":
    main()
