"""``mmssl correct``."""

import argparse
import sys
from pathlib import Path

SUMMARY = "keep a corrected label map, with where it came from, in a cohort of corrected cases to fine-tune on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("labels", type=Path, metavar="LABELS", help="the corrected label map, from any program")
    parser.add_argument("path", type=Path, metavar="COHORT", help="the cohort with the scans")
    parser.add_argument("--case", required=True, metavar="ID", help="which case it belongs to")
    parser.add_argument("--prediction", type=Path, metavar="FILE", help="what it was before it was corrected")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the corrections")


def run(args: argparse.Namespace) -> int:
    """Keep the correction, and say how to learn from it."""
    from napari_mmssl.workflows.corrections import MANIFEST, correct_case

    path = correct_case(args.path, args.case, args.labels, args.out, args.prediction)
    print(f"kept: {path}; learn from it: mmssl finetune {args.out / MANIFEST} --weights RUN --out DIR", file=sys.stderr)
    return 0
