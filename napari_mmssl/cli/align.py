"""``mmssl align``: make the modalities of a cohort fit, and bring results back to the scans."""

import argparse
import json
import sys
from pathlib import Path

SUMMARY = "Put the modalities of each case on one grid, by resampling or registration, and results back."
_METHODS = ("resample", "rigid", "affine")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmssl align``."""
    parser.add_argument(
        "path", type=Path, help="a cohort or one case; with --back, label maps drawn on an aligned cohort"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder; the sources stay as they are"
    )
    parser.add_argument("--to", metavar="MODALITY|FILE", help="what stays where it is, such as t1, or an image file")
    parser.add_argument(
        "--method",
        choices=_METHODS,
        default="rigid",
        help="resample: trust the files; rigid (default): shift and turn; affine: stretch too",
    )
    parser.add_argument("--case", action="append", default=[], metavar="ID", help="only this case; may be repeated")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON on standard output for each case done and for the whole",
    )
    parser.add_argument(
        "--back",
        type=Path,
        metavar="ALIGNED",
        help="take label maps back to the scans that this aligned cohort is from",
    )
    parser.add_argument(
        "--on", metavar="MODALITY", help="with --back: onto this scan's grid alone (default: onto each)"
    )


def run(args: argparse.Namespace) -> int:
    """Align, or take label maps back."""
    from napari_mmssl.errors import ConfigError

    if args.back is None and args.on is not None:
        raise ConfigError("--on says onto which scan label maps go back; name the aligned cohort with --back too")
    if args.back is not None:
        if args.to is not None or args.case or args.json:
            raise ConfigError("--back takes all label maps of a folder back; leave out --to, --case and --json")
        from napari_mmssl.workflows.align_back import align_back

        for path in align_back(args.path, args.back, args.out, args.on):
            print(f"wrote {path}", file=sys.stderr)
        return 0
    if args.to is None:
        raise ConfigError("say with --to which modality (or image file) the others are laid on, such as --to t1")
    from napari_mmssl.workflows.align import align

    progress = _tell_progress if args.json else _show_progress if sys.stderr.isatty() else _quiet
    aligned = align(args.path, args.out, args.to, args.method, progress, case_ids=args.case)
    if args.json:
        told = {"folder": str(aligned.folder), "cases": list(aligned.cases), "notes": list(aligned.notes)}
        print(json.dumps(told), flush=True)
        return 0
    for note in aligned.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {len(aligned.cases)} aligned case(s) to {aligned.folder}; look at them before use", file=sys.stderr)
    return 0


def _show_progress(done: int, total: int) -> None:
    print(f"\raligned {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _tell_progress(done: int, total: int) -> None:
    print(json.dumps({"done": done, "total": total}), flush=True)


def _quiet(_done: int, _total: int) -> None:
    return
