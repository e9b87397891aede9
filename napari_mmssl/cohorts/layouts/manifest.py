"""Our own manifest, for everything that lies in no other layout: a table of which file is what in which case."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.manifest_file import FORMAT, LEFT_OUT, ROLES, SUFFIXES, clinical_of, label_names_of, read_rows
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.cohorts.series_folder import open_pictures, open_series
from napari_mmssl.cohorts.trees import is_folder
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes.dicom_series import DicomSeries

SPECIFICITY = 6


@layouts.register("manifest", summary="A table of files of one's own (CSV, TSV or JSON)")
def manifest(root: Path) -> Recognised | None:
    """Recognise a table with the columns ``case``, ``role`` and ``path``.

    Raises
    ------
    LayoutError
        If it is a table without them, or with contradictions: the same modality twice in a case, two subjects.
    """
    if root.is_dir() or root.suffix.lower() not in SUFFIXES:
        return None
    if root.suffix.lower() == ".json" and read_json(root).get("format") != FORMAT:
        return None
    rows_of: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_rows(root):
        rows_of.setdefault(str(row.get("case") or ""), []).append(row)
    label_names = label_names_of(row for rows in rows_of.values() for row in rows)
    if "" in rows_of:
        raise LayoutError(f"'{root}': {len(rows_of[''])} row(s) name no case")
    kept = {name: rows for name, rows in rows_of.items() if any(_role(row, name) != LEFT_OUT for row in rows)}
    cases = tuple(_case(name, rows, root.parent) for name, rows in kept.items())
    if not cases:
        raise LayoutError(f"'{root}' lists no file that is used: no row has the role modality or label")
    n_files = sum(len(case.modalities) + (case.label is not None) for case in cases)
    reason = f"{root.name} is a manifest: it names {n_files} files of {len(cases)} cases"
    return Recognised(SPECIFICITY, (reason,), cases, label_names=label_names)


def _case(name: str, rows: list[Mapping[str, Any]], base: Path) -> FoundCase:
    subject, session = _one(rows, "subject", name) or name, _one(rows, "session", name)
    modalities: dict[str, FoundFile] = {}
    series: dict[str, DicomSeries | None] = {}
    findings: list[Finding] = []
    seen: set[str] = set()
    labels = []
    for row in rows:
        role = _role(row, name)
        if role == LEFT_OUT or not row.get("path"):
            continue
        if role == "label":
            labels.append(row)
            continue
        modality = _modality(row, name)
        if modality in seen:
            raise LayoutError(f"case '{name}' has two rows for {modality}; leave one of them")
        seen.add(modality)
        file, series[modality], told = _open(row, base, modality, name)
        findings += told
        if file is not None:
            modalities[modality] = file
    if len(labels) > 1:
        raise LayoutError(f"case '{name}' has {len(labels)} rows for label maps; leave one of them")
    label = None
    if labels:
        label, told = _open_label(labels[0], base, name, modalities, series)
        findings += told
    return FoundCase(name, subject, modalities, label, clinical_of(rows, name), tuple(findings), session=session)


def _role(row: Mapping[str, Any], case: str) -> str:
    role = str(row.get("role") or "").lower()
    if role not in ROLES:
        raise LayoutError(f"case '{case}': the role of a row is '{row.get('role')}'; roles are {', '.join(ROLES)}")
    return role


def _one(rows: list[Mapping[str, Any]], column: str, case: str) -> str:
    met = sorted({str(row.get(column) or "") for row in rows} - {""})
    if len(met) > 1:
        raise LayoutError(f"the rows of case '{case}' name more than one {column}: {', '.join(met)}")
    return met[0] if met else ""


def _modality(row: Mapping[str, Any], case: str) -> str:
    """Return the canonical name of a row's modality; a name of one's own is kept, since it is no guess."""
    named = str(row.get("modality") or "")
    if not named:
        raise LayoutError(f"case '{case}': the row of '{row.get('path')}' names no modality")
    return canonical(named) or named.lower().replace(" ", "_")


def _open(
    row: Mapping[str, Any], base: Path, what: str, case: str
) -> tuple[FoundFile | None, DicomSeries | None, list[Finding]]:
    path, channel = base / str(row["path"]), _channel(row, case)
    why = str(row.get("reason") or "")
    if is_folder(path):
        return open_series(path, what, str(row.get("series_uid") or "") or None, channel, why)
    return FoundFile(path, channel, why=why), None, []


def _open_label(
    row: Mapping[str, Any],
    base: Path,
    case: str,
    modalities: Mapping[str, FoundFile],
    series: Mapping[str, DicomSeries | None],
) -> tuple[FoundFile | None, list[Finding]]:
    coding = str(row.get("pictures") or "")
    if not coding:
        file, _, told = _open(row, base, "label map", case)
        return file, told
    grid_of = str(row.get("grid_of") or "")
    file, told_of_pictures = open_pictures(
        base / str(row["path"]), series.get(grid_of), modalities.get(grid_of), coding, str(row.get("reason") or "")
    )
    return file, list(told_of_pictures)


def _channel(row: Mapping[str, Any], case: str) -> int | None:
    written = str(row.get("channel") if row.get("channel") is not None else "")
    if not written:
        return None
    if not written.isdigit():
        raise LayoutError(f"case '{case}': channel '{written}' is no whole number from 0 on")
    return int(written)
