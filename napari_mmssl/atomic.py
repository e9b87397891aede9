"""Make folders, and write files so that a reader, or a crash, never sees half of one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_mmssl.errors import WriteError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` to write to; rename it to ``path`` when the block ends well.

    The name ends like ``path`` so that writers that go by the suffix work. When the block
    raises, what was written aside is removed and ``path`` is left as it was.

    Raises
    ------
    WriteError
        If the folder cannot be written or the disk is full.
    """
    aside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise WriteError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what could not be made need not be removed
            aside.unlink()


def make_folder(path: Path, *, parents: bool = True) -> None:
    """Make the folder ``path``, and those above it, unless it is there.

    Without ``parents`` the one above must be there: what is written into a run whose folder was moved does not begin
    another in the old place.

    Raises
    ------
    WriteError
        If it cannot be made, or something else has its name.
    """
    try:
        path.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder '{path}': {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, replacing ``path`` in one step."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON, replacing ``path`` in one step."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")
