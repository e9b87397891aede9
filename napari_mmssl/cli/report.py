"""``mmssl report``."""

import argparse
import sys
from pathlib import Path

SUMMARY = "write a page and tables on each segmented case: volumes, lesions, scores, pictures, model card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "labels", type=Path, metavar="LABELS", help="what mmssl predict wrote, any folder of label maps, or one file"
    )
    parser.add_argument("path", type=Path, metavar="COHORT", help="the cohort with the scans, and perhaps references")
    parser.add_argument("--case", action="append", default=[], metavar="ID", help="only this case; may be repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the reports into")


def run(args: argparse.Namespace) -> int:
    """Write the reports."""
    from napari_mmssl.workflows.report import report_cases

    for page in report_cases(args.labels, args.path, args.out, args.case):
        print(f"wrote {page}", file=sys.stderr)
    return 0
