"""``mmssl convert``: save a scan in another format, where it is."""

import argparse
import sys
from pathlib import Path

SUMMARY = "Save a volume, label map or DICOM series in another format, exactly where it is."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmssl convert``."""
    parser.add_argument("source", type=Path, metavar="SRC", help="an image file, or the folder of a DICOM series")
    parser.add_argument("target", type=Path, metavar="DST", help="a new file that ends in .nii, .nii.gz, .nrrd or .mha")
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where several lie in the folder")
    parser.add_argument(
        "--channel", type=int, metavar="N", help="which volume of a 4-D file or stack of a series, from 0"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and say what is odd about the source."""
    from napari_mmssl.workflows.convert import convert

    converted = convert(args.source, args.target, series=args.series, channel=args.channel)
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {converted.path}", file=sys.stderr)
    return 0
