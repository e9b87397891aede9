"""``mmssl finetune``."""

import argparse

from napari_mmssl.cli.dry_run import add_dry_run_arguments, dry_run
from napari_mmssl.cli.training_arguments import add_encoder_arguments, default_out, flags_as_table, in_processes
from napari_mmssl.workflows.catalogue import read_catalogue

SUMMARY = "fine-tune on a downstream task: segmentation, survival, classification"

#: Flag (as argparse stores it) to the setting it sets.
_SETTINGS = {
    "task": "task.name",
    "weights": "weights",
    "label_fraction": "label_fraction",
    "regions": "task.convention",
    "target": "task.target",
    "fusion": "fusion",
    "freeze": "freeze",
}
#: Metrics of unseen people that the progress line shows, where the task has them.
_SHOWN = ("dice", "c_index", "auc", "balanced_accuracy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    names = [entry["name"] for entry in read_catalogue()["tasks"]]
    add_encoder_arguments(parser)
    add_dry_run_arguments(parser)
    parser.add_argument("--task", choices=names, help="what to learn (default: segmentation)")
    parser.add_argument("--weights", metavar="RUN", help="pretraining to start from, or none for from scratch")
    parser.add_argument("--label-fraction", type=float, metavar="F", help="share of the training subjects to use")
    parser.add_argument(
        "--regions", metavar="NAME", help="label coding of a segmentation: auto, brats2018, brats2023, lesion, ..."
    )
    parser.add_argument("--target", metavar="COLUMN", help="what a classification tells apart, such as grade")
    parser.add_argument(
        "--fusion",
        choices=("replicate", "reinitialise", "adapter", "mean", "gated"),
        help="how modalities enter: as channels (converted or new stem), by an adapter, or encoded alone and fused",
    )
    parser.add_argument(
        "--freeze", choices=("none", "stem", "half", "encoder"), help="part of the encoder that keeps its weights"
    )


def run(args: argparse.Namespace) -> int:
    """Fine-tune; Ctrl-C stops and keeps."""
    from napari_mmssl.cli.progress import ended, watched
    from napari_mmssl.workflows.configure import finetune_settings
    from napari_mmssl.workflows.finetune import finetune

    settings = finetune_settings(file=args.config, flags=flags_as_table(args, _SETTINGS), assignments=args.assignments)
    if args.dry_run:
        return dry_run(settings, as_json=args.json)
    name = "scratch" if settings.weights == "none" else "finetune"
    out = args.out or default_out(name if settings.task.name == "segmentation" else settings.task.name, settings.cohort)
    if (code := in_processes(args, out)) is not None:
        return code
    with watched(settings.optimisation.steps, _SHOWN) as (line, interruption):
        finetune(settings, out, listener=line, interruption=interruption)
    return ended(interruption, "fine-tuned", out)
