"""``mmssl convert``: save a scan or label map in another format, where it is."""

import argparse
import sys
from pathlib import Path

SUMMARY = "Save a volume, label map or DICOM series in another format, exactly where it is."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmssl convert``."""
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help="an image file, the folder of a DICOM series, or a DICOM segmentation or RTSTRUCT file",
    )
    parser.add_argument(
        "target",
        type=Path,
        metavar="DST",
        help="a new file that ends in .nii, .nii.gz, .nrrd or .mha; or in .dcm for a DICOM segmentation",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="SERIES",
        help="folder of the DICOM series that a label map was drawn on; needed for .dcm",
    )
    parser.add_argument("--series", metavar="UID", help="which DICOM series, where several lie in the folder")
    parser.add_argument(
        "--channel", type=int, metavar="N", help="which volume of a 4-D file, stack of a series, or segment, from 0"
    )
    parser.add_argument(
        "--split", action="store_true", help="write each volume, stack or segment into a file of its own: name_0 ..."
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and say what is odd about the source and what was lost."""
    from napari_mmssl.workflows.convert import convert

    converted = convert(
        args.source,
        args.target,
        series=args.series,
        channel=args.channel,
        reference=args.reference,
        split=args.split,
    )
    for note in converted.notes:
        print(f"note: {note}", file=sys.stderr)
    for path in converted.paths:
        print(f"wrote {path}", file=sys.stderr)
    return 0
