"""``mmssl embed``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

SUMMARY = "map a cohort: where a pretrained encoder puts each case beside the others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder with the cases")
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="RUN", help="run folder of a pretraining, at work or ended"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write the map into as well")
    parser.add_argument("--json", action="store_true", help="print JSON alone on standard output")


def run(args: argparse.Namespace) -> int:
    """Print the map."""
    from napari_mmssl.errors import WriteError
    from napari_mmssl.workflows.embedding import embed

    if args.out is not None and args.out.exists():
        raise WriteError(f"'{args.out}' exists already; choose another --out")
    found = embed(args.folder, args.weights, args.out, device=args.device, progress=_show_progress)
    print(json.dumps(found, allow_nan=False, default=str) if args.json else table(found))
    return 0


def table(found: dict[str, Any]) -> str:
    """Return a line for each case."""
    x, y = found["explained"]
    lines = [f"{'case':<24}  {'x':>8}  {'y':>8}"]
    lines += [f"{one['case']:<24}  {one['x']:8.2f}  {one['y']:8.2f}" for one in found["cases"]]
    return "\n".join([*lines, "", f"the plane shows {x + y:.0%} of how the cases differ ({x:.0%} along x)"])


def _show_progress(done: int, total: int) -> None:
    print(f"case {done} of {total}", file=sys.stderr, flush=True)
