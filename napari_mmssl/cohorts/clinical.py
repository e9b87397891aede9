"""Clinical values from the tables that lie beside a cohort, matched with its cases by their ids.

Which tables are known, and what their columns mean: :mod:`napari_mmssl.cohorts.clinical_columns`.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.clinical_columns import KnownTable, plain, row_values, survival, table_of

__all__ = ["read_clinical", "read_visits", "survival"]

#: Tables of these names are spoken of even where nothing in them can be used.
_NAMED = ("survival_data.csv", "survival_info.csv", "name_mapping.csv", "participants.tsv")
_ID_COLUMN = re.compile(r"(?:.*[_ ])?(?:\w*id|subject|case|name)", re.IGNORECASE)
_LARGEST_TABLE = 1 << 26
_MOST_TABLES = 50
_MOST_VISITS = 1000
#: A manifest of ours has clinical columns too, and is no table of a cohort.
_MANIFEST_COLUMNS = {"case", "role", "path"}

Rows = list[dict[str, str]]


def read_clinical(
    folders: Iterable[Path], cases: Sequence[Case], aliases: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read the clinical tables in ``folders`` and match their rows with ``cases``.

    Ids are compared without blanks around them and without regard to case. Where that finds nothing, leading zeros
    of numbers do not count either (``PDGM-004`` and ``PDGM-0004``), unless that could mean two cases or two rows.
    Of several rows of a person, what they agree on is taken.

    Parameters
    ----------
    folders
        Where tables may lie; where two say different things of a case, the earlier folder counts.
    cases
        Whose values are looked for.
    aliases
        Other names of a case, by its id.

    Returns
    -------
    Values by case id, under the keys of :data:`napari_mmssl.cohorts.clinical_columns.CLINICAL_KEYS`, such as
    ``survival_observed`` (``False`` for somebody who was alive when last seen); and a sentence on each table.
    """
    names = {case.id: (case.id, *(aliases or {}).get(case.id, ()), case.subject) for case in cases}
    values: dict[str, dict[str, Any]] = {}
    reasons = []
    for folder in dict.fromkeys(folders):
        in_folder: dict[str, dict[str, Any]] = {}
        for path in _tables(folder):
            reasons += _read_table(path, names, in_folder)
        for case_id, found in in_folder.items():
            values[case_id] = {**found, **values.get(case_id, {})}
    return values, reasons


def read_visits(path: Path) -> dict[str, dict[str, Any]]:
    """Return session to clinical values of BIDS' table of one person's visits; empty if there is none to be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(islice(csv.DictReader(file, delimiter="\t"), _MOST_VISITS))
    except (OSError, ValueError, csv.Error):
        return {}
    table = table_of({"sessionid"})  # the general one: words count, codes do not
    if table is None:
        return {}
    plain_rows = [{name: (cell or "").strip() for name, cell in row.items() if isinstance(name, str)} for row in rows]
    return {row["session_id"]: row_values(table, row) for row in plain_rows if row.get("session_id")}


def _read_table(path: Path, names: Mapping[str, tuple[str, ...]], values: dict[str, dict[str, Any]]) -> list[str]:
    """Add what the table in ``path`` says to ``values``; return a sentence on it, or none if it is no table of ours."""
    named = path.name.lower() in _NAMED
    try:
        table, rows = _read_rows(path, named=named)
    except (OSError, ValueError, csv.Error) as error:
        return [f"{path.name} is left out: it cannot be read as a table ({error})"] if named else []
    if table is None:
        return []
    found = {}
    for case_id, matched in _match(rows, table, names).items():
        agreed = _agreed(table, [row_values(table, row) for row in matched])
        if agreed:
            found[case_id] = agreed
    for case_id, agreed in found.items():
        values.setdefault(case_id, {}).update(agreed)
    if not found and not named and not table.needs:
        return []
    what = f" ({table.name})" if table.needs else ""
    return [f"{path.name}{what} has values of {len(found)} of {len(names)} cases"]


def _tables(folder: Path) -> list[Path]:
    try:
        found = (p for p in folder.iterdir() if p.suffix.lower() in (".csv", ".tsv") and not p.name.startswith("."))
        # Folders may hold a table for each of ten thousand cases; those are not tables of cases.
        return sorted(path for path in islice(found, _MOST_TABLES) if path.is_file())
    except OSError:  # the folder above the one asked for may be closed to us
        return []


def _read_rows(path: Path, *, named: bool) -> tuple[KnownTable | None, Rows]:
    """Return which table ``path`` is and its rows; of a file that is none only the first line is read."""
    if path.stat().st_size > _LARGEST_TABLE:
        raise ValueError("it is too large")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        columns = {plain(name) for name in reader.fieldnames or ()}
        table = table_of(columns)
        if table is None or columns >= _MANIFEST_COLUMNS or not (named or columns & set(table.columns)):
            return None, []
        return table, [
            {str(name).strip(): (cell or "").strip() for name, cell in row.items() if isinstance(cell, str | None)}
            for row in reader
        ]


def _match(rows: Rows, table: KnownTable, names: Mapping[str, tuple[str, ...]]) -> dict[str, Rows]:
    """Return the rows of each case, by exact id first and then without leading zeros."""
    matched: dict[str, Rows] = {}
    for same in (str.casefold, _without_leading_zeros):
        used = {id(row) for found in matched.values() for row in found}
        by_id = _by_id([row for row in rows if id(row) not in used], table, same)
        left = [case_id for case_id in names if case_id not in matched]
        meant: dict[str, set[str]] = {}
        for name in (name for case_id in left for name in names[case_id]):
            meant.setdefault(same(name), set()).add(name.casefold())
        for case_id in left:
            for name in names[case_id]:
                found = by_id.get(same(name), {})
                # Two spellings that differ in zeros only may be two people.
                if len(found) == 1 and len(meant[same(name)]) == 1:
                    matched.setdefault(case_id, next(iter(found.values())))
    return matched


def _by_id(rows: Rows, table: KnownTable, same: Callable[[str], str]) -> dict[str, dict[str, Rows]]:
    """Return key to spelling to rows."""
    by_id: dict[str, dict[str, Rows]] = {}
    for row in rows:
        for spelling in {cell.casefold() for name, cell in row.items() if cell and _is_id(name, table)}:
            by_id.setdefault(same(spelling), {}).setdefault(spelling, []).append(row)
    return by_id


def _is_id(column: str, table: KnownTable) -> bool:
    return plain(column) in table.ids if table.ids else _ID_COLUMN.fullmatch(column) is not None


def _agreed(table: KnownTable, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the rows of one case agree on; a row that does not speak of a thing does not disagree."""
    agreed: dict[str, Any] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        met = {row[key] for row in rows if key in row}
        if len(met) == 1:
            agreed[key] = met.pop()
        elif table.any_of.get(key) in met:
            agreed[key] = table.any_of[key]
    if len({(row.get("survival_days"), row.get("survival_observed")) for row in rows if "survival_days" in row}) > 1:
        agreed.pop("survival_days", None)
        agreed.pop("survival_observed", None)
    return agreed


def _without_leading_zeros(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text.casefold())
