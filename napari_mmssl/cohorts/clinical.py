"""Clinical values from the tables that lie beside a cohort (BraTS 2017 to 2020).

``survival_data.csv`` and ``survival_info.csv`` give age and survival, ``name_mapping.csv`` the grade.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Case

TABLES = ("survival_data.csv", "survival_info.csv", "name_mapping.csv")
_ALIVE = re.compile(r"alive\D*(\d+)\s*days?", re.IGNORECASE)
_ID_COLUMN = re.compile(r"(?:.*[_ ])?(?:\w*id|subject|case|name)", re.IGNORECASE)
_LARGEST_TABLE = 1 << 26


def read_clinical(folders: Iterable[Path], cases: Sequence[Case]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read the clinical tables in ``folders`` and match their rows with ``cases``.

    Ids are compared without blanks around them and without regard to case. Where that finds nothing, leading zeros
    of numbers do not count either (``PDGM-004`` and ``PDGM-0004``), unless that could mean two cases or two rows.

    Returns
    -------
    Values by case id, under the keys ``age_years``, ``survival_days``, ``survival_observed`` (``False`` for somebody
    who was alive when last seen), ``grade`` and ``resection``; and a sentence on each table.
    """
    values: dict[str, dict[str, Any]] = {}
    reasons = []
    for path in _tables(folders):
        try:
            rows = _read_rows(path)
        except (OSError, ValueError, csv.Error) as error:
            reasons.append(f"{path.name} is left out: it cannot be read as a table ({error})")
            continue
        matched = _match(rows, cases)
        for case_id, row in matched.items():
            values.setdefault(case_id, {}).update(_values(row))
        reasons.append(f"{path.name} has values of {len(matched)} of {len(cases)} cases")
    return values, reasons


def survival(text: str) -> dict[str, Any]:
    """Return ``survival_days`` and ``survival_observed`` of one cell; empty if it holds neither.

    ``"ALIVE (361 days later)"`` is a survival of at least 361 days: not observed.
    """
    alive = _ALIVE.search(text)
    if alive:
        return {"survival_days": int(alive.group(1)), "survival_observed": False}
    days = _number(text)
    return {} if days is None or days < 0 else {"survival_days": round(days), "survival_observed": True}


def _tables(folders: Iterable[Path]) -> list[Path]:
    for folder in folders:
        try:
            found = sorted(path for path in folder.iterdir() if path.name.lower() in TABLES and path.is_file())
        except OSError:  # the folder above the one asked for may be closed to us
            continue
        if found:
            return found
    return []


def _read_rows(path: Path) -> list[dict[str, str]]:
    if path.stat().st_size > _LARGEST_TABLE:
        raise ValueError("it is too large")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        return [
            {str(name).strip(): (cell or "").strip() for name, cell in row.items() if isinstance(cell, str | None)}
            for row in reader
        ]


def _match(rows: list[dict[str, str]], cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    """Return the row of each case, by exact id first and then without leading zeros."""
    matched: dict[str, dict[str, str]] = {}
    for same in (str.casefold, _without_leading_zeros):
        by_id: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            for key in {same(cell) for name, cell in row.items() if cell and _ID_COLUMN.fullmatch(name)}:
                by_id.setdefault(key, []).append(row)
        left = [case for case in cases if case.id not in matched]
        wanted = Counter(same(name) for case in left for name in {case.id, case.subject})
        used = [id(row) for row in matched.values()]
        for case in left:
            for name in (case.id, case.subject):
                found = [row for row in by_id.get(same(name), []) if id(row) not in used]
                unique = same is str.casefold or wanted[same(name)] == 1
                if len(found) == 1 and unique:
                    matched.setdefault(case.id, found[0])
    return matched


def _without_leading_zeros(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text.casefold())


def _values(row: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, cell in row.items():
        column = re.sub(r"[^a-z]", "", name.lower())
        if column in ("age", "ageyears") and (age := _number(cell)) is not None and age > 0:
            values["age_years"] = age
        elif column in ("survival", "survivaldays"):
            values.update(survival(cell))
        elif column == "grade" and cell.upper() in ("HGG", "LGG"):
            values["grade"] = cell.upper()
        elif column in ("resectionstatus", "extentofresection") and cell.upper() in ("GTR", "STR"):
            values["resection"] = cell.upper()
    return values


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
