"""``mmssl probe``."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

SUMMARY = "tell what frozen features know: linear and nearest-neighbour probes beside a random encoder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="cohort with a clinical table or label maps")
    parser.add_argument("--weights", type=Path, required=True, metavar="RUN", help="run folder of a pretraining")
    parser.add_argument(
        "--task",
        choices=("classification", "segmentation", "modality"),
        default="classification",
        help="of whole cases, of voxels, or which modality a place was seen in (low: features are agnostic of it)",
    )
    parser.add_argument(
        "--target", default="auto", metavar="COLUMN", help="class to tell, such as grade or survival_class"
    )
    parser.add_argument("--regions", default="auto", metavar="NAME", help="label coding of a segmentation")
    parser.add_argument("--label-fraction", type=float, default=1.0, metavar="F", help="share of training subjects")
    parser.add_argument("--neighbours", type=int, default=5, metavar="N", help="how many vote (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides who is held out")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write the numbers into as well")
    parser.add_argument("--json", action="store_true", help="print JSON alone on standard output")


def run(args: argparse.Namespace) -> int:
    """Print the probes."""
    from napari_mmssl.atomic import write_json
    from napari_mmssl.errors import ConfigError, WriteError
    from napari_mmssl.workflows.probe import ProbeSettings, probe

    if args.neighbours < 1:
        raise ConfigError(f"--neighbours is 1 or more, got {args.neighbours}")
    if args.out is not None and args.out.exists():
        raise WriteError(f"'{args.out}' exists already; choose another --out")
    settings = ProbeSettings(
        args.task, args.target, args.regions, args.seed, args.label_fraction, args.neighbours, args.device
    )
    found = probe(args.folder, args.weights, settings, _show_progress)
    if args.out is not None:
        write_json(args.out, found)
    print(json.dumps(found, indent=2, allow_nan=False) if args.json else table(found))
    return 0


def table(found: dict[str, Any]) -> str:
    """Return a line for each probe and encoder."""
    lines = [f"{found['n_train']} people learned from, {found['n_test']} measured on", ""]
    for probe_name, encoders in found["probes"].items():
        for encoder, metrics in encoders.items():
            told = "  ".join(f"{name} {_value(value)}" for name, value in metrics.items())
            lines.append(f"{probe_name:<10}  {encoder:<10}  {told}")
    return "\n".join([*lines, "", *(f"note: {note}" for note in found["notes"])])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_value(one)}" for name, one in value.items()) + ")"
    return "-" if value is None else f"{value:.3f}"


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rpreparing case {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
