"""Keep the folder of prepared cases within a budget, while several processes use it.

An entry is a folder that appears by being renamed when it is whole and goes by being renamed before it is deleted, so
that nobody meets half of one. What a process has mapped stays readable after it is gone from the folder.
"""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from napari_mmssl.errors import ConfigError

_VARIABLE = "MMSSL_CACHE_GB"
_DEFAULT_GB = 200.0
#: Of an entry; written last, and dated anew whenever the entry is used.
HEAD = "case.json"


def budget_bytes() -> int:
    """Return how much may be kept: ``$MMSSL_CACHE_GB``, 200 by default.

    Raises
    ------
    ConfigError
        If it is no number.
    """
    said = os.environ.get(_VARIABLE, "")
    try:
        return int(float(said or _DEFAULT_GB) * 1e9)
    except ValueError as error:
        raise ConfigError(f"{_VARIABLE} is '{said}'; give a number of gigabytes, such as 50") from error


def mark_used(entry: Path) -> None:
    """Date ``entry`` anew, so that it goes last."""
    with suppress(OSError):  # a cache on a disk that is read-only serves as well
        os.utime(entry / HEAD)


def make_room(cache: Path, budget: int, in_use: Collection[Path]) -> None:
    """Delete what was used longest ago until ``cache`` holds at most ``budget`` bytes.

    Entries ``in_use`` stay, even if they alone are more. What a killed process left half-made goes first.
    """
    entries = []
    for entry in cache.iterdir() if cache.is_dir() else ():
        if entry.name.startswith("."):
            _remove_if_left_behind(entry)
            continue
        with suppress(OSError):  # another process may be deleting it
            size = sum(file.stat().st_size for file in entry.iterdir())
            entries.append(((entry / HEAD).stat().st_mtime, size, entry))
    held = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries, key=lambda one: one[0]):
        if held <= budget:
            break
        if entry not in in_use:
            _delete(entry)
            held -= size


def aside(entry: Path) -> Path:
    """Return where to make ``entry`` before it is renamed, or to move it before it is deleted."""
    return entry.with_name(f".{os.getpid()}-{entry.name}")


def _delete(entry: Path) -> None:
    with suppress(OSError):
        os.replace(entry, aside(entry))
    shutil.rmtree(aside(entry), ignore_errors=True)


def _remove_if_left_behind(entry: Path) -> None:
    owner = entry.name[1:].partition("-")[0]
    if not (owner.isdigit() and psutil.pid_exists(int(owner))):
        shutil.rmtree(entry, ignore_errors=True)
