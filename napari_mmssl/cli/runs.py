"""``mmssl runs``."""

import argparse
import json
import sys
from pathlib import Path

SUMMARY = "list runs, show or follow one, give it an order, or go on with it"
_ORDERS = ("pause", "stop", "cancel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument(
        "action",
        choices=("list", "show", "attach", *_ORDERS, "resume"),
        help="list the runs below a folder; show or attach to one; order it to pause, stop (and keep) or "
        "cancel (and discard); resume it",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the run folder; for list, a folder with runs")
    parser.add_argument(
        "--kill", action="store_true", help="with an order: wait for the run to end, and kill it if it does not answer"
    )
    parser.add_argument("--json", action="store_true", help="print JSON alone (list and show)")


def run(args: argparse.Namespace) -> int:
    """Do what is asked."""
    from napari_mmssl.training.run_folder import RunFolder

    if args.action == "list":
        return _list(args.run_folder, as_json=args.json)
    looked_at = args.action in ("show", "attach")
    folder = RunFolder(args.run_folder) if looked_at else RunFolder.open(args.run_folder)
    if looked_at and (newer := folder.newer()) is not None:
        print(newer, file=sys.stderr)
    if args.action == "show":
        print(json.dumps(folder.status() | {"alive": folder.is_alive()}, indent=2))
    elif args.action == "attach":
        return _attach(folder.path)
    elif args.action == "resume":
        return _resume(folder.path)
    elif not folder.is_alive():
        print(f"'{folder.path}' is not at work ({folder.status()['state']})", file=sys.stderr)
    elif args.kill:
        from napari_mmssl.workflows.runs import insist

        state = insist(folder, args.action)
        kept = "; mmssl runs resume goes on from its last checkpoint" if state == "killed" else ""
        print(f"'{folder.path}': {state}{kept}", file=sys.stderr)
    else:
        folder.request(args.action)
        print(f"asked '{folder.path}' to {args.action}", file=sys.stderr)
    return 0


def _list(folder: Path, *, as_json: bool) -> int:
    from napari_mmssl.workflows.runs import describe, find_runs

    runs = [describe(one) for one in find_runs(folder)]
    if as_json:
        print(json.dumps(runs, indent=2))
        return 0
    for one in runs:
        print(
            f"{one['state']:<10} {one['kind'] or '?':<9} {one.get('step', 0):>6}/{one.get('total', 0):<6} {one['path']}"
        )
    if not runs:
        print(f"no run in '{folder}'", file=sys.stderr)
    return 0


def _attach(path: Path) -> int:
    from napari_mmssl.cli.progress import ProgressLine
    from napari_mmssl.training.run_folder import RunFolder
    from napari_mmssl.workflows.runs import follow_run

    folder = RunFolder(path)
    line = ProgressLine(folder.status().get("total", 0), ("tile_accuracy", "dice"))
    try:
        state = follow_run(folder, line)
    except KeyboardInterrupt:
        print(f"left '{path}' running", file=sys.stderr)
        return 0
    finally:
        line.close()
    print(f"'{path}': {state}", file=sys.stderr)
    return 0


def _resume(path: Path) -> int:
    from napari_mmssl.cli.progress import watched
    from napari_mmssl.training.run_folder import RunFolder
    from napari_mmssl.workflows.resume import resume

    folder = RunFolder.open(path)
    status = folder.status()
    if status["state"] in ("done", "cancelled"):
        print(f"'{path}' is {status['state']}; there is nothing to go on with", file=sys.stderr)
        return 0
    if folder.is_alive() and folder.is_elsewhere():
        print(f"'{path}' was at work on {status['host']}; looking for a sign of life", file=sys.stderr)
    with watched(status["total"], ("tile_accuracy", "dice")) as (line, interruption):
        resume(path, listener=line, interruption=interruption)
    return 130 if interruption.came else 0
