"""``mmssl predict``."""

import argparse
from pathlib import Path

SUMMARY = "draw label maps, written in the space of the source scans"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("path", type=Path, metavar="PATH", help="a cohort, one case folder, or one file")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        action="append",
        metavar="RUN",
        help="run folder of a fine-tuning; of segmentations may be repeated: their probabilities are averaged",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write <case id>.nii.gz into")
    parser.add_argument(
        "--cases", choices=("test", "all"), default="all", help="test: only subjects the fine-tuning held out"
    )
    parser.add_argument("--case", action="append", default=[], metavar="ID", help="only this case; may be repeated")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="MODALITY",
        help="leave this modality unread, to see what changes; may be repeated",
    )
    parser.add_argument(
        "--missing",
        choices=("drop", "zero", "template", "synthesised"),
        default="drop",
        help="what stands in for a modality that a case lacks: nothing, zeros, the template pretraining learned, or "
        "what --generators make of the others",
    )
    parser.add_argument(
        "--generators", action="append", default=[], type=Path, metavar="RUN", help="run folder of synthesize train"
    )
    parser.add_argument("--tta", action="store_true", help="let the network see each case mirrored too, and average")
    parser.add_argument("--save-probabilities", action="store_true", help="write a map of each class's probability too")
    parser.add_argument("--save-entropy", action="store_true", help="write a map of how unsure the network is too")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")


def run(args: argparse.Namespace) -> int:
    """Predict; Ctrl-C stops after what is written."""
    from napari_mmssl.cli.progress import ended, watched
    from napari_mmssl.workflows.predict import Extras, predict

    with watched(0) as (line, interruption):
        predict(
            args.path,
            args.weights,
            args.out,
            which=args.cases,
            case_ids=args.case,
            without=args.without,
            missing=args.missing,
            generators=args.generators,
            extras=Extras(args.tta, args.save_probabilities, args.save_entropy),
            device=args.device,
            listener=line,
            interruption=interruption,
        )
    return ended(interruption, "predicted", args.out)
