"""``mmssl pretrain``."""

import argparse
import sys

from napari_mmssl.cli.training_arguments import add_training_arguments, default_out, flags_as_table, in_processes

SUMMARY = "pretrain an encoder on a cohort, without labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_training_arguments(parser)
    parser.add_argument("--recipe", metavar="NAME", help="objectives and their settings (see mmssl list)")


def run(args: argparse.Namespace) -> int:
    """Pretrain; Ctrl-C stops and keeps."""
    from napari_mmssl.cli.progress import ProgressLine
    from napari_mmssl.workflows.configure import pretrain_settings
    from napari_mmssl.workflows.pretrain import pretrain
    from napari_mmssl.workflows.running import Interruption

    flags = flags_as_table(args, {"recipe": "recipe"})
    settings = pretrain_settings(file=args.config, flags=flags, assignments=args.assignments)
    out = args.out or default_out(settings.recipe, settings.cohort)
    if (code := in_processes(args, out)) is not None:
        return code
    line, interruption = ProgressLine(settings.optimisation.steps, ("tile_accuracy", "loss.total")), Interruption()
    try:
        with interruption.watching():
            pretrain(settings, out, listener=line, interruption=interruption)
    finally:
        line.close()
    print(f"{'stopped; kept' if interruption.came else 'pretrained'}: {out}", file=sys.stderr)
    return 130 if interruption.came else 0
