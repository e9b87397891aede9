"""``mmssl preview``."""

import argparse
import sys
from pathlib import Path

SUMMARY = "picture what a pretraining's network makes of one case"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="run folder of a pretraining")
    parser.add_argument("cohort", type=Path, metavar="FOLDER", help="folder with the cases")
    parser.add_argument("--case", required=True, metavar="ID", help="which case")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed draws another puzzle")


def run(args: argparse.Namespace) -> int:
    """Write the pictures and say what they show."""
    from napari_mmssl.workflows.preview import preview

    for picture in preview(args.run_folder, args.cohort, args.case, args.out, seed=args.seed):
        accuracy = picture.details.get("tile_accuracy")
        said = "" if accuracy is None else f": {accuracy:.0%} of the tiles right"
        print(f"{args.out / picture.name}.json{said}", file=sys.stderr)
    return 0
