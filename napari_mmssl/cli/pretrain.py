"""``mmssl pretrain``."""

import argparse
import sys
from typing import TYPE_CHECKING

from napari_mmssl.cli.training_arguments import add_training_arguments, default_out, flags_as_table, in_processes

if TYPE_CHECKING:
    from napari_mmssl.training.settings import PretrainSettings

SUMMARY = "pretrain an encoder on a cohort, without labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_training_arguments(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="make a few steps and tell memory, time and what fits; no run is made"
    )
    parser.add_argument("--recipe", metavar="NAME", help="objectives and their settings (see mmssl list)")


def run(args: argparse.Namespace) -> int:
    """Pretrain; Ctrl-C stops and keeps."""
    from napari_mmssl.cli.progress import ProgressLine
    from napari_mmssl.workflows.configure import pretrain_settings
    from napari_mmssl.workflows.pretrain import pretrain
    from napari_mmssl.workflows.running import Interruption

    flags = flags_as_table(args, {"recipe": "recipe"})
    settings = pretrain_settings(file=args.config, flags=flags, assignments=args.assignments)
    if args.dry_run:
        return _dry_run(settings)
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


def _dry_run(settings: "PretrainSettings") -> int:
    from napari_mmssl.workflows.preflight import preflight

    found = preflight(settings)
    print(f"device      {found.device}")
    print(f"memory      {found.memory_gib:.2f} GiB of {found.free_gib:.2f} GiB free")
    if found.step_s is not None and found.total_s is not None:
        steps = settings.optimisation.steps
        print(f"time        {found.step_s:.3g} s a step, {found.total_s / 3600:.3g} h for {steps} steps")
    if not found.fits:
        print(
            f"proposal    {' '.join(f'--set {one}' for one in found.proposal or ()) or 'none found: a smaller encoder'}"
        )
    return 0 if found.fits else 1
