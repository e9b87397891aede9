"""Names of people: the spellings of one, and those that the years of a challenge gave to one person."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.found import subject_of

_NAME_TABLES = ("name_mapping.csv", "name_mapping_validation_data.csv")
_LARGEST_TABLE = 1 << 24
#: BraTS 2017 to 2019 put the year before one name, and 2017 spells the archive without its number.
_BRATS_YEAR = re.compile(r"^brats1[789](?=tcia|cbica|2013)")
_MARKS = re.compile(r"^sub-")


def plain_name(name: str) -> str:
    """Return what the spellings of one person's name share: no marks, no visit, no separators, no year of BraTS."""
    bare = _MARKS.sub("", subject_of(_MARKS.sub("", name.casefold())))
    # Between digits a separator tells 1-11 from 11-1.
    return _BRATS_YEAR.sub("", re.sub(r"(?<!\d)[^a-z0-9]+|[^a-z0-9]+(?!\d)", "", bare))


def other_names(folders: Iterable[Path]) -> dict[str, frozenset[str]]:
    """Return for each person of BraTS's ``name_mapping.csv`` all the names that the years gave, by each of them."""
    names: dict[str, frozenset[str]] = {}
    for path in (folder / table for folder in folders for table in _NAME_TABLES):
        for row in _rows(path):
            cells = [cell for column, cell in row.items() if column.lower().endswith("id") and _is_name(cell)]
            together = frozenset(map(plain_name, cells))
            for name in together:
                names[name] = names.get(name, frozenset()) | together
    return names


def with_one_subject(cases: Sequence[Case], folders: Iterable[Path]) -> tuple[list[Case], list[str]]:
    """Return ``cases`` in which a person that goes by several names is one subject, and a sentence on each.

    Splits go by subject: under two names a person would be learned from and measured on.

    Parameters
    ----------
    cases
        Of one cohort.
    folders
        Where a ``name_mapping.csv`` may lie.
    """
    known_as = other_names(folders)
    meant: dict[str, str] = {}
    for subject in sorted({case.subject for case in cases}):
        plain = plain_name(subject)
        first = meant.setdefault(plain, subject)
        for name in known_as.get(plain, ()):
            meant.setdefault(name, first)
    several: dict[str, list[str]] = {}
    for subject in sorted({case.subject for case in cases}):
        several.setdefault(meant[plain_name(subject)], []).append(subject)
    reasons = [
        f"{', '.join(map(repr, names))} are names of one person and count as one subject"
        for names in several.values()
        if len(names) > 1
    ]
    return [replace(case, subject=meant[plain_name(case.subject)]) for case in cases], reasons


def _is_name(cell: str) -> bool:
    return bool(cell.strip()) and cell.strip().casefold() not in ("na", "nan", "none", "-")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > _LARGEST_TABLE:
            return []
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [
                {name: cell for name, cell in row.items() if isinstance(name, str) and isinstance(cell, str)}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, csv.Error):
        return []
