"""``mmssl demo``."""

import argparse
import sys
from pathlib import Path

SUMMARY = "the whole path on an embedded sample cohort, in about ten minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to (default: demo)")
    parser.add_argument("--no-window", action="store_true", help="leave pictures, open no window at the end")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed makes other people")


def run(args: argparse.Namespace) -> int:
    """Run the demo and print what came out."""
    from napari_mmssl.workflows.demo import DemoSize, demo
    from napari_mmssl.workflows.running import Interruption

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    interruption = Interruption()
    with interruption.watching():
        try:
            summary = demo(
                args.out,
                window=not args.no_window,
                size=DemoSize(seed=args.seed),
                say=say,
                interruption=interruption,
            )
        except Exception:
            if interruption.came:
                return 130
            raise
    for name in ("puzzle_accuracy_before", "puzzle_accuracy_after", "dice_scratch", "dice_pretrained", "seconds"):
        print(f"{name}: {summary[name] if summary[name] is None else round(summary[name], 3)}")
    print(f"pictures and report: {args.out}/report.html")
    return 0
