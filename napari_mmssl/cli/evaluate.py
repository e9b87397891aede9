"""``mmssl evaluate``: how good predicted label maps are."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mmssl.workflows.evaluate import Evaluation

SUMMARY = "compare predicted label maps with a cohort's own: Dice and HD95 in mm, per class and region"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("predictions", type=Path, metavar="DIR", help="folder that mmssl predict wrote")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="cohort with the reference label maps")
    parser.add_argument("--json", action="store_true", help="print JSON alone on standard output")
    parser.add_argument(
        "--regions",
        metavar="NAME",
        help="label coding to compare in: brats2018, brats2023, msd_task01, prostate_zones, lesion (label above 0) "
        "or values (default: the one the network was trained with)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the scores."""
    from napari_mmssl.workflows.evaluate import evaluate

    evaluation = evaluate(args.predictions, args.folder, args.regions, _show_progress)
    if args.json:
        print(json.dumps(evaluation.to_json(), indent=2, allow_nan=False))
    else:
        print(table(evaluation))
    return 0


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)


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
    lines = ["Dice  HD95 (mm), by class and region; '-' is undefined and not in the mean", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join([line.rstrip() for line in lines] + ["", *(f"note: {note}" for note in evaluation.notes)]).rstrip()


def _cells(result: dict[str, Any], columns: list[tuple[str, str]]) -> list[str]:
    cells = []
    for kind, name in columns:
        dice, hd95_mm = result[kind][name]["dice"], result[kind][name]["hd95_mm"]
        cells.append(f"{'-' if dice is None else f'{dice:.3f}':>5} {'-' if hd95_mm is None else f'{hd95_mm:.1f}':>5}")
    return cells
