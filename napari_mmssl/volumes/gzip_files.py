"""Unpack a gzip file into memory: quickly, checked to the last byte, and no further than was asked.

isal (Intel's ISA-L) unpacks scans in a third of zlib's time (``benchmarks/case_open.py``); where there is no build of
it, zlib does the same work. Both verify the CRC-32 and the length behind each member (RFC 1952, section 2.3.1), which
readers that stop at the last voxel never see.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.file_length import MOST_DEFLATED, MOST_TRAILING_BYTES, ends_early, goes_on

#: The faster one that is there; both have zlib's functions.
_zlib: Any = zlib
with suppress(ImportError):
    from isal import isal_zlib

    _zlib = isal_zlib

#: Tells the unpacker to expect gzip's header and checksum.
_GZIP = 31
_MAGIC = b"\x1f\x8b"
#: Unpacked at once: enough that the calls cost nothing, little enough to stay in the processor's cache.
_STEP_BYTES = 1 << 22


def unpack(path: Path, n_bytes: int) -> npt.NDArray[np.uint8]:
    """Return the first ``n_bytes`` that ``path`` unpacks to, after every checksum in it was found right.

    Raises
    ------
    ReadError
        If the file is damaged, ends early, or goes on long after what is wanted.
    OSError
        If it cannot be read.
    """
    packed = path.read_bytes()
    if len(packed) * MOST_DEFLATED < n_bytes:
        raise ends_early(len(packed) * MOST_DEFLATED, n_bytes)
    unpacked = np.empty(n_bytes, dtype=np.uint8)
    filled = total = 0
    for part in _parts(packed):
        kept = part[: n_bytes - filled]
        unpacked[filled : filled + len(kept)] = np.frombuffer(kept, dtype=np.uint8)
        filled += len(kept)
        total += len(part)
        if total - n_bytes > MOST_TRAILING_BYTES:
            raise goes_on()
    if filled < n_bytes:
        raise ends_early(filled, n_bytes)
    return unpacked


def _parts(packed: bytes) -> Iterator[bytes]:
    """Yield what ``packed`` holds, piece after piece, through all its members."""
    while packed:
        if not packed.startswith(_MAGIC):
            raise ReadError("its packed data are damaged")
        member: Any = _zlib.decompressobj(_GZIP)
        while not member.eof:
            try:
                part: bytes = member.decompress(packed, _STEP_BYTES)
            except _zlib.error as error:
                raise ReadError("its packed data are damaged") from error
            packed = member.unconsumed_tail
            if not (part or packed or member.eof):
                raise ReadError("its packed data are cut short")
            yield part
        # Files may be filled up with zeros behind a member (tapes, disk images).
        packed = member.unused_data.lstrip(b"\0")
