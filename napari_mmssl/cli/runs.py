"""``mmssl runs``."""

import argparse
import json
import sys
from pathlib import Path

SUMMARY = "show a run, give it an order, or go on with it"
_ORDERS = ("pause", "stop", "cancel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("action", choices=("show", *_ORDERS, "resume"), help="what to do")
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the run folder")


def run(args: argparse.Namespace) -> int:
    """Do what is asked with one run."""
    from napari_mmssl.training.run_folder import RunFolder

    folder = RunFolder.open(args.run_folder)
    if args.action == "resume":
        return _resume(folder.path)
    if args.action == "show":
        print(json.dumps(folder.status() | {"alive": folder.is_alive()}, indent=2))
    elif not folder.is_alive():
        print(f"'{folder.path}' is not at work ({folder.status()['state']})", file=sys.stderr)
    else:
        folder.request(args.action)
        print(f"asked '{folder.path}' to {args.action}", file=sys.stderr)
    return 0


def _resume(path: Path) -> int:
    from napari_mmssl.cli.progress import ProgressLine
    from napari_mmssl.training.run_folder import RunFolder
    from napari_mmssl.workflows.resume import resume
    from napari_mmssl.workflows.running import Interruption

    status = RunFolder.open(path).status()
    if status["state"] == "done":
        print(f"'{path}' is done; there is nothing to go on with", file=sys.stderr)
        return 0
    line, interruption = ProgressLine(status["total"], ("tile_accuracy", "dice")), Interruption()
    try:
        with interruption.watching():
            resume(path, listener=line, interruption=interruption)
    finally:
        line.close()
    return 130 if interruption.came else 0
