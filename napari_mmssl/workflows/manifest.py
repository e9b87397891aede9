"""Write a cohort down as a table of which file is what, for a person to correct and for everything here to read."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.manifest_file import check_name, to_rows, unsorted_rows, write_rows
from napari_mmssl.cohorts.trees import files_below
from napari_mmssl.errors import ConfigError

#: A table that nobody would fill in.
_MOST_UNSORTED = 100_000


def manifest_rows(cohort: Cohort, path: Path) -> list[dict[str, Any]]:
    """Return the rows of a manifest of ``cohort`` that will lie at ``path``, one per case and file."""
    return to_rows(cohort, path.parent)


def save_manifest(cohort: Cohort, path: Path) -> None:
    """Write the manifest of ``cohort`` to ``path``: CSV, TSV or JSON, as its name ends.

    Raises
    ------
    ConfigError
        If there is a file already, which may hold a person's corrections, or the name ends otherwise.
    WriteError
        If it cannot be written.
    """
    check_free(path)
    write_rows(manifest_rows(cohort, path), path)


def save_unsorted(folder: Path, path: Path) -> int:
    """Write a manifest of the image files in ``folder`` and below, to be filled in: nothing is said of what they are.

    Returns
    -------
    How many files it lists; nothing is written where there are none.

    Raises
    ------
    ConfigError, WriteError
        As :func:`save_manifest`.
    """
    check_free(path)
    files = list(islice(files_below(folder), _MOST_UNSORTED)) if folder.is_dir() else []
    if files:
        write_rows(unsorted_rows(files, path.parent), path)
    return len(files)


def save_rows(rows: Sequence[Mapping[str, Any]], path: Path, *, replace: bool = False) -> None:
    """Write rows of :func:`manifest_rows` that a person has changed.

    Parameters
    ----------
    rows
        Their paths are relative to the folder of ``path``.
    path
        As for :func:`save_manifest`.
    replace
        Whether a file that is there may be replaced.

    Raises
    ------
    ConfigError, WriteError
        As :func:`save_manifest`.
    """
    if not replace:
        check_free(path)
    write_rows(rows, path)


def check_free(path: Path) -> None:
    """Raise :class:`ConfigError` if ``path`` is taken, or no name for a manifest."""
    check_name(path)
    if path.exists():
        raise ConfigError(f"'{path}' exists, and may hold corrections; choose another name or move it away")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder '{path.parent}' for the manifest; make it first")
