"""``mmssl sample``: write a cohort of made-up people."""

import argparse
import sys
from pathlib import Path

SUMMARY = "write a sample cohort of made-up people (phantoms) to try everything on; nothing is downloaded"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    # No choices here: naming the phantoms would import what makes them.
    parser.add_argument("organ", metavar="NAME", help="which phantom: glioma, prostate or liver")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to; new or empty")
    parser.add_argument("--cases", type=int, default=12, metavar="N", help="how many people (default: 12)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which people (default: 0)")
    parser.add_argument(
        "--spacing",
        type=float,
        metavar="MM",
        help="edge of a voxel within a slice in mm (default: by phantom)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the cohort and say where it lies."""
    from napari_mmssl.workflows.sample import make_sample

    out = make_sample(args.organ, args.out, args.cases, args.seed, args.spacing, _show_progress)
    print(f"wrote {args.cases} {args.organ} phantoms (made-up people) to {out}", file=sys.stderr)
    return 0


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)
