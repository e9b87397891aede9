"""The memory that a process has freed and still holds."""

import ctypes
from functools import cache
from typing import Any


def trim_heap() -> None:
    """Give freed memory back to the system, where the C library can (glibc).

    Between the layers of a network it holds on to blocks of some MiB, since the next layer wants such blocks again.
    What it holds when the largest layer begins comes on top of that layer's own memory.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # musl and macOS, and Windows, have no such call
        return None
