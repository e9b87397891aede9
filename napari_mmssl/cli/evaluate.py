"""``mmssl evaluate``: how good predictions are."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mmssl.workflows.evaluate import Evaluation
    from napari_mmssl.workflows.evaluate_values import ValuesEvaluation

SUMMARY = "compare predictions with a cohort's own label maps (Dice, HD95 and NSD in mm) or clinical values"


#: Metric of a label map to the digits that are shown.
_DIGITS = {"dice": 3, "hd95_mm": 1, "nsd": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="DIR",
        help="folder that mmssl predict wrote; with --subsets a fine-tuning's run",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="cohort with the label maps or clinical table")
    parser.add_argument("--json", action="store_true", help="print JSON alone on standard output")
    parser.add_argument(
        "--regions",
        metavar="NAME",
        help="label coding to compare in: brats2018, brats2023, brats2024, brats_ped2024, msd_task01, prostate_zones, "
        "lesion (label above 0) or values (default: the one the network was trained with)",
    )
    parser.add_argument(
        "--subsets", action="store_true", help="measure people who were held out from every subset of their modalities"
    )
    parser.add_argument(
        "--missing",
        choices=("drop", "zero", "template"),
        default="drop",
        help="with --subsets: what stands in for the modalities left out",
    )
    parser.add_argument(
        "--tolerance", type=float, default=2.0, metavar="MM", help="distance at which surfaces are the same in NSD (2)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the scores."""
    from napari_mmssl.errors import ConfigError
    from napari_mmssl.workflows.evaluate import evaluate, gives_values, read_record
    from napari_mmssl.workflows.evaluate_values import evaluate_values

    if not args.tolerance >= 0:  # nor NaN
        raise ConfigError(f"--tolerance is a distance in mm, 0 or more, got {args.tolerance:g}")
    if args.subsets and args.regions is not None:
        raise ConfigError("--subsets compares in the coding that the network learned; leave out --regions")
    if args.subsets:
        return _print_subsets(args)
    if args.missing != "drop":
        raise ConfigError("--missing says what stands in for modalities that --subsets leaves out; add --subsets")
    record = read_record(args.predictions)
    found: Evaluation | ValuesEvaluation
    if record is not None and gives_values(record):
        found = evaluate_values(record, args.folder)
        words = values_table(found)
    else:
        found = evaluate(args.predictions, args.folder, args.regions, _show_progress, args.tolerance)
        words = table(found)
    print(json.dumps(found.to_json(), indent=2, allow_nan=False) if args.json else words)
    return 0


def _print_subsets(args: argparse.Namespace) -> int:
    from napari_mmssl.workflows.subsets import evaluate_subsets

    found = evaluate_subsets(args.predictions, args.folder, missing=args.missing, progress=_show_progress)
    print(json.dumps(found, indent=2, allow_nan=False) if args.json else subsets_table(found))
    return 0


def subsets_table(found: dict[str, Any]) -> str:
    """Return a line for each subset of the modalities and their summary."""
    width = max(len(name) for name in found["subsets"])
    lines = [f"{found['n']} people who were held out; modalities left out: {found['missing']}", ""]
    for name, metrics in found["subsets"].items():
        told = "  ".join(f"{metric} {_value(value)}" for metric, value in metrics.items())
        lines.append(f"{name:<{width}}  {told}")
    summary = (
        f"{found['metric']}: all {_value(found['all'])}, mean {_value(found['mean'])}, worst {_value(found['worst'])}"
    )
    return "\n".join([*lines, "", f"{summary} ({found['worst_subset']})"])


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def table(evaluation: "Evaluation") -> str:
    """Return the scores as a table with a line per case and the means below."""
    regions = evaluation.convention.regions
    # A class that is a region too is shown once.
    classes = [one.name for one in evaluation.convention.classes if regions.get(one.name) != (one.value,)]
    columns = [("classes", name) for name in classes] + [("regions", name) for name in regions]
    head = ["case", *(name for _, name in columns), ""]
    summary = evaluation.to_json()
    rows = [
        [case, *_cells(result, columns), "trained on" if result["trained_on"] else ""]
        for case, result in summary["cases"].items()
    ]
    for what, mean, n in (("mean", "mean", "n"), ("mean of trained on", "mean_trained_on", "n_trained_on")):
        if summary[mean] is not None:
            rows.append([what, *_cells(summary[mean], columns), f"n = {summary[n]}"])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    nsd = f"NSD ({evaluation.tolerance_mm:g} mm)"
    lines = [f"Dice  HD95 (mm)  {nsd}, by class and region; '-' is undefined and not in the mean", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join([line.rstrip() for line in lines] + ["", *(f"note: {note}" for note in evaluation.notes)]).rstrip()


def _cells(result: dict[str, Any], columns: list[tuple[str, str]]) -> list[str]:
    cells = []
    for kind, name in columns:
        scores = result[kind][name]
        cells.append(" ".join(f"{_number(scores[metric], digits):>5}" for metric, digits in _DIGITS.items()))
    return cells


def values_table(evaluation: "ValuesEvaluation") -> str:
    """Return what was said and is known of each case, and the metrics below."""
    found = evaluation.to_json()
    lines = []
    for case, one in found["cases"].items():
        says = ", ".join(f"{name} {_value(value)}" for name, value in one["says"].items() if name != "curve")
        known = ", ".join(f"{name} {_value(value)}" for name, value in one["known"].items())
        lines.append(f"{case}: {says}; known: {known}{'  (trained on)' if one['trained_on'] else ''}")
    for what, metrics, n in (("unseen", "metrics", "n"), ("trained on", "metrics_trained_on", "n_trained_on")):
        if found[metrics] is not None:
            told = "  ".join(f"{name} {_value(value)}" for name, value in found[metrics].items())
            lines += ["", f"{what} (n = {found[n]}): {told}"]
    return "\n".join([*lines, "", *(f"note: {note}" for note in evaluation.notes)]).rstrip()


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " to ".join(_value(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
