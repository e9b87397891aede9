"""``mmssl pretrain``."""

import argparse

from napari_mmssl.cli.dry_run import add_dry_run_arguments, dry_run
from napari_mmssl.cli.training_arguments import add_encoder_arguments, default_out, flags_as_table, in_processes

SUMMARY = "pretrain an encoder on a cohort, without labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_encoder_arguments(parser)
    add_dry_run_arguments(parser)
    parser.add_argument("--recipe", metavar="NAME", help="objectives and their settings (see mmssl list)")


def run(args: argparse.Namespace) -> int:
    """Pretrain; Ctrl-C stops and keeps."""
    from napari_mmssl.cli.progress import ended, watched
    from napari_mmssl.workflows.configure import pretrain_settings
    from napari_mmssl.workflows.pretrain import pretrain

    flags = flags_as_table(args, {"recipe": "recipe"})
    settings = pretrain_settings(file=args.config, flags=flags, assignments=args.assignments)
    if args.dry_run:
        return dry_run(settings, as_json=args.json)
    out = args.out or default_out(settings.recipe, settings.cohort)
    if (code := in_processes(args, out)) is not None:
        return code
    with watched(settings.optimisation.steps, ("tile_accuracy", "loss.total")) as (line, interruption):
        pretrain(settings, out, listener=line, interruption=interruption)
    return ended(interruption, "pretrained", out)
