"""``mmssl finetune``."""

import argparse
import sys

from napari_mmssl.cli.training_arguments import add_training_arguments, default_out, flags_as_table

SUMMARY = "fine-tune a segmentation on a labelled cohort"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_training_arguments(parser)
    parser.add_argument("--task", choices=("segmentation",), help="what to learn (default: segmentation)")
    parser.add_argument("--weights", metavar="RUN", help="pretraining to start from, or none for from scratch")
    parser.add_argument("--label-fraction", type=float, metavar="F", help="share of the training subjects to use")
    parser.add_argument("--regions", metavar="NAME", help="label coding: auto, brats2018, brats2023, lesion, ...")


def run(args: argparse.Namespace) -> int:
    """Fine-tune; Ctrl-C stops and keeps."""
    from napari_mmssl.cli.progress import ProgressLine
    from napari_mmssl.workflows.configure import finetune_settings
    from napari_mmssl.workflows.finetune import finetune
    from napari_mmssl.workflows.running import Interruption

    more = {
        "task": "task.name",
        "weights": "weights",
        "label_fraction": "label_fraction",
        "regions": "task.convention",
    }
    settings = finetune_settings(file=args.config, flags=flags_as_table(args, more), assignments=args.assignments)
    out = args.out or default_out("scratch" if settings.weights == "none" else "finetune", settings.cohort)
    line, interruption = ProgressLine(settings.optimisation.steps, ("dice",)), Interruption()
    try:
        with interruption.watching():
            finetune(settings, out, listener=line, interruption=interruption)
    finally:
        line.close()
    print(f"{'stopped; kept' if interruption.came else 'fine-tuned'}: {out}", file=sys.stderr)
    return 130 if interruption.came else 0
