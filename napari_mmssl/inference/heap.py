"""The memory that a process has freed and still holds."""

import ctypes
import mmap
from functools import cache
from pathlib import Path
from typing import Any

#: In bytes. What is given back has to be fetched again, which takes time; so much may stay.
_BEARABLE = 8 << 20


class HeapTrim:
    """Gives freed memory back to the system whenever much of it has gathered, where the C library can (glibc).

    Between the layers of a network it holds on to blocks of some MiB, since the next layer wants such blocks again.
    What it holds when the largest layer begins comes on top of that layer's own memory.
    """

    def __init__(self) -> None:
        self._least: int | None = None

    def __call__(self) -> None:
        """Look, between two passes of a network, when it should hold as little as after the pass before."""
        trim = _malloc_trim()
        if trim is None:
            return
        if self._least is None or _resident_bytes() > self._least + _BEARABLE:
            trim(0)
            self._least = _resident_bytes()


@cache
def _malloc_trim() -> Any | None:
    if not Path("/proc/self/statm").exists():
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # musl has no such call
        return None


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * mmap.PAGESIZE
