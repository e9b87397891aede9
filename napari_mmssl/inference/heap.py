"""The memory that a process has freed and still holds."""

import ctypes
import mmap
from functools import cache
from pathlib import Path
from typing import Any


class HeapTrim:
    """Gives freed memory back to the system whenever much of it has gathered, where the C library can (glibc).

    Between the layers of a network it holds on to blocks of some MiB, since the next layer wants such blocks again.
    What it holds when the largest layer begins comes on top of that layer's own memory.

    Parameters
    ----------
    bearable_bytes
        So much may stay: what is given back has to be fetched again, which takes time.
    """

    def __init__(self, bearable_bytes: int) -> None:
        self._bearable = bearable_bytes
        self._least: int | None = None

    def __call__(self) -> None:
        """Look, between two passes of a network, when it should hold as little as after the pass before."""
        trim = _malloc_trim()
        if trim is None:
            return
        if self._least is None or _resident_bytes() > self._least + self._bearable:
            trim(self._bearable)
            self._least = _resident_bytes()


@cache
def _malloc_trim() -> Any | None:
    if not Path("/proc/self/statm").exists():
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # musl has no such call
        return None
    trim.argtypes = [ctypes.c_size_t]
    return trim


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * mmap.PAGESIZE
