"""``mmssl inspect``: which cases a folder or file holds, and what is odd about them."""

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_mmssl.cohorts.case import ScanFile
    from napari_mmssl.workflows.inspect import Inspection

SUMMARY = "Recognise the cases in a folder or file and say what is odd about them."
_WIDTH = 100
_LONGEST_ID = 32
_MOST_NAMES = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmssl inspect``."""
    parser.add_argument("path", type=Path, help="folder of cases, folder of one case, one image file, or a manifest")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
    parser.add_argument(
        "--quick", action="store_true", help="go by headers alone: no label values, registration, intensities or leaks"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        action="append",
        default=[],
        help="a cohort or a run whose people must not be in this one; say it again for several",
    )
    parser.add_argument(
        "--save-manifest",
        type=Path,
        metavar="FILE",
        help="also write which file is what to this .csv, .tsv or .json, to be corrected and then read instead",
    )


def run(args: argparse.Namespace) -> int:
    """Inspect ``args.path`` and print what was found; odd cases are no failure."""
    from napari_mmssl.errors import LayoutError
    from napari_mmssl.workflows.inspect import inspect
    from napari_mmssl.workflows.manifest import check_free, save_manifest, save_unsorted

    if args.save_manifest is not None:
        # Before minutes of reading, not after.
        check_free(args.save_manifest)
    progress = _show_progress if sys.stderr.isatty() else None
    try:
        inspection = inspect(args.path, progress, quick=args.quick, against=args.against)
    except LayoutError as error:
        n_listed = save_unsorted(args.path, args.save_manifest) if args.save_manifest is not None else 0
        if not n_listed:
            raise
        listed = f"its {n_listed} image files are listed in '{args.save_manifest}', for you to say what each is"
        raise LayoutError(f"{error}; {listed}") from error
    if args.save_manifest is not None:
        save_manifest(inspection.cohort, args.save_manifest)
    if args.json:
        # Piece by piece: as one text, ten thousand cases take more memory than finding them.
        sys.stdout.writelines(json.JSONEncoder(indent=2, allow_nan=False).iterencode(inspection.to_json()))
        print()
    else:
        print(render(inspection))
    return 0


def render(inspection: "Inspection") -> str:
    """Return the inspection as text of at most 100 columns (longer only for very many modalities)."""
    from napari_mmssl.cohorts.clinical_summary import describe_clinical

    cohort = inspection.cohort
    lines = [f"{cohort.root}: {_count(len(cohort.cases), 'case')}, layout {cohort.layout}"]
    for reason in cohort.reasons:
        lines += textwrap.wrap(reason, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    grids = _number_grids(inspection)
    lines += ["", *_case_table(inspection, grids)]
    if grids:
        lines += ["", *_grid_table(grids)]
    clinical = describe_clinical(cohort.cases)
    if clinical:
        lines += ["", "Clinical values"]
    for line in clinical:
        lines += textwrap.wrap(line, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    lines += _findings(inspection)
    if not inspection.complete:
        lines += [
            "",
            "Only headers were read; without --quick label values, registration, intensities and leaks follow.",
        ]
    return "\n".join(lines)


def _show_progress(what: str, done: int, total: int) -> None:
    end = "\r" if done == total else ""
    text = f"reading {what}: {done} of {total}".ljust(60) if done < total else " " * 60
    print(f"\r{text}", end=end, file=sys.stderr, flush=True)


def _grid_of(scan: "ScanFile") -> tuple[str, str, str]:
    """Return shape, spacing and orientation as shown; scans of different people may share all three."""
    shape = " x ".join(map(str, scan.geometry.shape))
    return shape, " x ".join(f"{mm:.4g}" for mm in scan.geometry.spacing_mm), scan.geometry.orientation


def _number_grids(inspection: "Inspection") -> dict[tuple[str, str, str], list[str]]:
    """Return the grids met, most frequent first, each with the ids of the cases on it (once per file)."""
    cases_on: dict[tuple[str, str, str], list[str]] = {}
    for case in inspection.cohort.cases:
        for scan in (*case.modalities.values(), *([case.label] if case.label else [])):
            cases_on.setdefault(_grid_of(scan), []).append(case.id)
    return dict(sorted(cases_on.items(), key=lambda item: -len(item[1])))


def _case_table(inspection: "Inspection", grids: dict[tuple[str, str, str], list[str]]) -> list[str]:
    from napari_mmssl.cohorts.modalities import in_order

    number = {grid: str(n) for n, grid in enumerate(grids, start=1)}

    def cell(scan: "ScanFile | None") -> str:
        return "-" if scan is None else number[_grid_of(scan)] + ("*" if scan.synthetic else "")

    names = in_order(inspection.cohort.modalities)
    rows = [["case", *names, "label", "label values (voxels)"]]
    for case in inspection.cohort.cases:
        cells = [cell(case.modalities.get(name)) for name in names]
        values = _label_values(inspection.label_values.get(case.id))
        rows.append([_shortened(case.id, _LONGEST_ID), *cells, cell(case.label), values])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    left = max(_WIDTH - sum(widths) - 2 * len(widths), 24)
    lines = []
    for *cells, values in rows:
        start = "  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True))
        lines.append(f"{start}  {_shortened(values, left)}".rstrip())
    marks = "  Numbers: the grid below on which the file lies; -: not there"
    synthetic = any(scan.synthetic for case in inspection.cohort.cases for scan in case.modalities.values())
    return [*lines, marks + ("; *: synthetic, made by a network" if synthetic else "")]


def _label_values(values: dict[int, int] | None) -> str:
    if values is None:
        return ""
    return "  ".join(f"{value}: {count}" for value, count in values.items()) or "empty"


def _grid_table(grids: dict[tuple[str, str, str], list[str]]) -> list[str]:
    rows = [("grid", "voxels (z, y, x)", "mm (z, y, x)", "file axes (x, y, z)", "files")]
    for n, ((shape, spacing, orientation), ids) in enumerate(grids.items(), start=1):
        files = f"{len(ids)} in {_count(len(set(ids)), 'case')}"
        rows.append((str(n), shape, spacing, orientation, files))
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _findings(inspection: "Inspection") -> list[str]:
    """Return the findings, equal ones of several cases together."""
    cases_with: dict[tuple[str, str], list[str]] = {}
    for case in inspection.cohort.cases:
        for finding in case.findings:
            cases_with.setdefault((finding.kind, finding.text), []).append(case.id)
    if not cases_with:
        return ["", "Nothing odd was found."]
    lines = ["", "Findings"]
    for (kind, text), ids in sorted(cases_with.items(), key=lambda item: item[0][0]):
        who = ", ".join(ids[:_MOST_NAMES]) + (f" and {len(ids) - _MOST_NAMES} more" if len(ids) > _MOST_NAMES else "")
        lines += textwrap.wrap(
            f"{kind}: {text} [{who}]", _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
    return lines


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
