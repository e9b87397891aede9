"""Read lists of images written as JSON, which may be large, damaged or of another kind."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_mmssl.errors import LayoutError

_LARGEST = 1 << 29


def read_json(path: Path) -> dict[str, Any]:
    """Return the contents of ``path``.

    Every layout looks into the one file that was asked for, so that the last one read is remembered.

    Raises
    ------
    LayoutError
        If it is no JSON object, cannot be read, or is larger than 512 MiB.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise LayoutError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from error
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1)
def _read(path: Path, size: int, _modified_ns: int) -> dict[str, Any]:
    if size > _LARGEST:
        raise LayoutError(f"'{path}' is too large for a list of images ({size >> 20} MiB)")
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    # RecursionError: a hostile file of a hundred thousand brackets.
    except (OSError, ValueError, RecursionError) as error:
        raise LayoutError(f"'{path}' is damaged: it is not JSON") from error
    if not isinstance(data, dict):
        raise LayoutError(f"'{path}' holds no table of names, as a list of images has at its top")
    return data
