"""``mmssl export``."""

import argparse
import sys
from pathlib import Path

SUMMARY = "hand trained weights on, with a full card, as a folder or one file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument(
        "weights", type=Path, metavar="RUN", help="run folder of a training; also a file that this wrote, to unpack it"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder to make, or a file NAME.zip")
    parser.add_argument(
        "--portable", action="store_true", help="write predictor.pt2 too, which torch runs without this package"
    )
    parser.add_argument(
        "--no-people",
        action="store_true",
        help="leave out people.json, by which scans of people learned from are known again; it holds no names",
    )
    parser.add_argument("--licence", metavar="TEXT", help="terms under which the weights may be used, for the card")


def run(args: argparse.Namespace) -> int:
    """Export."""
    from napari_mmssl.workflows.export import LICENCE, export

    licence = args.licence or LICENCE
    out = export(args.weights, args.out, portable=args.portable, licence=licence, people=not args.no_people)
    print(f"exported: {out}", file=sys.stderr)
    return 0
