"""The manifest: a table of which file is what in which case, to be corrected by a person and read again.

One row per case and file, as CSV (or tab-separated) or JSON. ``docs/how-to/my-own-data.md`` describes the columns.
Paths are relative to the manifest; those on other drives stay absolute.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import replacing
from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.case_folder import images_in
from napari_mmssl.cohorts.clinical_columns import CLINICAL_KEYS, number
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.errors import ConfigError, LayoutError
from napari_mmssl.volumes.mask_stack import REVERSED

FORMAT = "mmssl-manifest"
VERSION = 1
#: Columns in the order in which they are written; the clinical ones follow.
COLUMNS = (
    "case", "subject", "session", "role", "modality", "path", "channel", "series_uid", "pictures", "grid_of",
    "label_names", "reason", "note",
)  # fmt: skip
NEEDED = ("case", "role", "path")
LEFT_OUT = "left_out"
#: ``left_out`` is a file that was not taken for anything: listed so that a person can give it another role.
ROLES = ("modality", "label", LEFT_OUT)
SUFFIXES = (".csv", ".tsv", ".json")
#: Of these findings a person can do something in the manifest.
_NOTED = ("missing_modality", "label_candidates", "unreadable", "not_a_volume")
_LARGEST = 1 << 29

Row = dict[str, Any]


def to_rows(cohort: Cohort, base: Path) -> list[Row]:
    """Return ``cohort`` as the rows of a manifest that lies in the folder ``base``.

    A case of which nothing can be read has one row without a path: there a person may fill one in. Image files that
    lie beside those of a case, and were not taken for anything, follow as ``left_out``.
    """
    rows: list[Row] = []
    beside = _left_out(cohort)
    for case in cohort.cases:
        files: list[tuple[str, str, ScanFile]] = [("modality", name, scan) for name, scan in case.modalities.items()]
        if case.label is not None:
            files.append(("label", "", case.label))
        whose = {"case": case.id, "subject": case.subject, "session": case.session}
        of_case = [
            whose | {"role": role, "modality": name} | _file_cells(case, scan, base) for role, name, scan in files
        ]
        of_case = of_case or [whose | {"role": "modality", "reason": "nothing was found that can be read"}]
        if case.label is not None and cohort.label_names:
            of_case[-1]["label_names"] = "; ".join(f"{value}: {name}" for value, name in cohort.label_names.items())
        of_case[0]["note"] = "; ".join(f"{f.kind}: {f.text}" for f in case.findings if f.kind in _NOTED)
        rows += [row | case.clinical for row in of_case]
        rows += [whose | {"role": LEFT_OUT, "path": _relative(path, base)} for path in beside.get(case.id, ())]
    return rows


def unsorted_rows(files: Iterable[Path], base: Path) -> list[Row]:
    """Return rows for files of which nothing is known, the folder of each as its case, all of them left out."""
    return [{"case": path.parent.name, "role": LEFT_OUT, "path": _relative(path, base)} for path in files]


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write ``rows`` as CSV, tab-separated or JSON, whatever ``path`` ends in; the inverse of :func:`read_rows`.

    Raises
    ------
    ConfigError
        If it ends in none of these.
    WriteError
        If it cannot be written.
    """
    check_name(path)
    if path.suffix.lower() == ".json":
        kept = [{key: value for key, value in row.items() if value not in ("", None)} for row in rows]
        text = json.dumps({"format": FORMAT, "version": VERSION, "rows": kept}, indent=1, allow_nan=False) + "\n"
    else:
        text = _as_table(rows, "\t" if path.suffix.lower() == ".tsv" else ",")
    with replacing(path) as aside:
        # Names of files that are no text are kept byte by byte.
        aside.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def check_name(path: Path) -> None:
    """Raise :class:`ConfigError` unless ``path`` ends like a manifest."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"'{path}' is no name for a manifest; let it end in {', '.join(SUFFIXES)}")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the manifest ``path``, cells without blanks around them.

    Raises
    ------
    LayoutError
        If it is no manifest, or damaged, or of a newer version.
    """
    if path.suffix.lower() == ".json":
        return _json_rows(path)
    text = _read_text(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text))
    try:
        names = [(name or "").strip() for name in reader.fieldnames or ()]
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise LayoutError(
                f"'{path}' is no manifest: it has no column {', '.join(missing)}; write one with "
                "'mmssl inspect FOLDER --save-manifest FILE' and correct that"
            )
        return [
            {name.strip(): _tidy(name, cell) for name, cell in row.items() if name and isinstance(cell, str)}
            for row in reader
        ]
    except csv.Error as error:
        raise LayoutError(f"'{path}' is damaged: line {reader.line_num} cannot be read as a table") from error


def clinical_of(rows: Iterable[Mapping[str, Any]], case: str) -> dict[str, Any]:
    """Return the clinical values of the rows of one case.

    Raises
    ------
    LayoutError
        If two rows say different things, or a cell is not of its column's kind.
    """
    values: dict[str, Any] = {}
    for row in rows:
        for key, cell in row.items():
            if key in COLUMNS or cell in ("", None):
                continue
            value = _clinical_value(key, cell, case)
            if values.setdefault(key, value) != value:
                raise LayoutError(f"the rows of case '{case}' disagree on {key}: {values[key]} and {value}")
    return values


def label_names_of(rows: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Return what the rows say that the values of the label maps mean: ``"1: liver; 2: spleen"``.

    Raises
    ------
    LayoutError
        If a cell is no such list, or two rows name a value differently.
    """
    names: dict[int, str] = {}
    for cell in dict.fromkeys(str(row.get("label_names") or "") for row in rows):
        for part in filter(None, (part.strip() for part in cell.split(";"))):
            value, colon, name = (word.strip() for word in part.partition(":"))
            if not (colon and name and value.isdigit() and 0 < int(value) < 1 << 16):
                raise LayoutError(f"'{part}' is no name of a label value; write '1: liver; 2: spleen'")
            if names.setdefault(int(value), name) != name:
                raise LayoutError(f"label value {value} is called both '{names[int(value)]}' and '{name}'")
    return names


def _left_out(cohort: Cohort) -> dict[str, list[Path]]:
    """Return case to the image files in its folders that nothing was made of.

    Where cases share a folder, a file belongs to the one it is named after.
    """
    owners: dict[Path, set[str]] = {}
    used: set[Path] = set()
    for case in cohort.cases:
        for scan in (*case.modalities.values(), *([case.label] if case.label else [])):
            if not scan.path.is_dir():
                used.add(scan.path)
                owners.setdefault(scan.path.parent, set()).add(case.id)
    found: dict[str, list[Path]] = {}
    for folder, cases in owners.items():
        for path in (path for path in images_in(folder) if path not in used):
            fitting = [name for name in cases if path.name.startswith(name)] if len(cases) > 1 else cases
            if fitting:
                found.setdefault(max(fitting, key=len), []).append(path)
    return found


def _file_cells(case: Case, scan: ScanFile, base: Path) -> Row:
    return {
        "path": _relative(scan.path, base),
        "channel": scan.channel,
        "series_uid": scan.series_uid,
        "pictures": scan.coding.removesuffix(REVERSED),
        "grid_of": _grid_of(case, scan) if scan.coding else "",
        "reason": scan.why,
    }


def _grid_of(case: Case, label: ScanFile) -> str:
    """Return the modality on whose grid the pictures of a label map were drawn."""
    return next((name for name, scan in case.modalities.items() if scan.geometry.same_grid(label.geometry)), "")


def _relative(path: Path, base: Path) -> str:
    try:
        return Path(os.path.relpath(path.absolute(), base.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _as_table(rows: Sequence[Mapping[str, Any]], delimiter: str) -> str:
    met = {key for row in rows for key in row}
    clinical = [key for key in CLINICAL_KEYS if key in met] + sorted(met - set(COLUMNS) - set(CLINICAL_KEYS))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, [*COLUMNS, *clinical], restval="", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_rows(path: Path) -> list[dict[str, Any]]:
    data = read_json(path)
    if data.get("format") != FORMAT or not isinstance(data.get("rows"), list):
        raise LayoutError(f"'{path}' is no manifest: it has no 'format' called {FORMAT} and no 'rows'")
    if not isinstance(data.get("version"), int) or data["version"] > VERSION:
        raise LayoutError(f"'{path}' is a manifest of a newer version ({data.get('version')}); update napari-mmssl")
    rows = [row for row in data["rows"] if isinstance(row, dict)]
    plain = all(isinstance(cell, str | int | float | None) for row in rows for cell in row.values())
    if len(rows) < len(data["rows"]) or not plain:
        raise LayoutError(f"'{path}' is damaged: a row is no table of plain values")
    return [{key: _tidy(key, cell) if isinstance(cell, str) else cell for key, cell in row.items()} for row in rows]


def _tidy(name: str, cell: str) -> str:
    """Return a cell without blanks around it, and without line breaks but in a path, which may have them."""
    return cell.strip() if name.strip() == "path" else " ".join(cell.split())


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise LayoutError(f"'{path}' is too large for a manifest")
        data = path.read_bytes()
    except OSError as error:
        raise LayoutError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from error
    if b"\0" in data:
        raise LayoutError(f"'{path}' is damaged: it is no text")
    return data.decode("utf-8-sig", errors="surrogateescape")


def _delimiter(path: Path, text: str) -> str:
    """Return what parts the cells: spreadsheets of half the world write semicolons into CSV."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _clinical_value(key: str, cell: Any, case: str) -> Any:
    kind = CLINICAL_KEYS.get(key)
    if not isinstance(cell, str):
        return kind(cell) if kind in (float, str) else cell
    if kind is bool and cell.lower() in ("true", "false", "yes", "no", "1", "0"):
        return cell.lower() in ("true", "yes", "1")
    if kind is str:
        return cell
    value = number(cell)
    if kind is None:
        return cell if value is None else value
    if value is None or kind is bool:
        raise LayoutError(f"case '{case}': '{cell}' is no value of {key}; it is {_KINDS[kind]}")
    return kind(value)


_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}
