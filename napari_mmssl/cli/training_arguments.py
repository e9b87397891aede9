"""Flags that pretraining and fine-tuning share, and how they become settings."""

import argparse
import datetime
from pathlib import Path
from typing import Any

#: Flag (as argparse stores it) to the setting it sets.
_SETTINGS = {
    "folder": "cohort",
    "seed": "seed",
    "device": "device",
    "checkpoint_every": "checkpoint_every",
    "validate_every": "validate_every",
    "encoder": "encoder.name",
    "size": "encoder.size",
    "steps": "optimisation.steps",
    "compile": "optimisation.compile",
    "batch_size": "optimisation.batch_size",
    "modalities": "data.modalities",
    "spacing": "data.spacing_mm",
    "patch": "data.patch",
    "workers": "data.workers",
}


def add_encoder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a training of an encoder to ``parser``."""
    add_training_arguments(parser)
    parser.add_argument("--encoder", metavar="NAME", help="encoder (see mmssl list)")
    parser.add_argument("--size", choices=("tiny", "small", "paper"), help="size of the encoder")
    parser.add_argument("--modalities", type=lambda text: text.split(","), metavar="A,B", help="modalities to use")
    parser.add_argument(
        "--compile", action="store_true", default=None, help="torch.compile the encoder: for long runs on a GPU"
    )
    parser.add_argument(
        "--devices", type=int, metavar="N", help="processes a machine that share every batch, a GPU each"
    )
    parser.add_argument("--nodes", type=int, default=1, metavar="M", help="machines (under torchrun or srun)")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of any training to ``parser``."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="folder with the cases (or set cohort in --config)")
    parser.add_argument("--out", type=Path, metavar="RUN", help="run folder to make; by default runs/<date>_<name>")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML with settings, such as a run's run.toml")
    parser.add_argument(
        "--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="override one setting"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="training steps")
    parser.add_argument("--batch-size", type=int, metavar="N", help="patches a step")
    parser.add_argument("--patch", type=_numbers(int), metavar="Z,Y,X", help="patch in voxels")
    parser.add_argument("--spacing", type=_numbers(float), metavar="Z,Y,X", help="mm to resample to")
    parser.add_argument("--seed", type=int, metavar="S", help="decides the split and every draw")
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--workers", type=int, metavar="N", help="loader processes")
    parser.add_argument("--checkpoint-every", type=int, metavar="N", help="steps between checkpoints")
    parser.add_argument("--validate-every", type=int, metavar="N", help="steps between looks at unseen subjects")


def _numbers(kind: type) -> Any:
    def parse(text: str) -> list[Any]:
        parts = [kind(part) for part in text.split(",")]
        if len(parts) not in (1, 3):
            raise argparse.ArgumentTypeError("one number or three, as in 48 or 32,48,48")
        return parts * 3 if len(parts) == 1 else parts

    parse.__name__ = "numbers"
    return parse


def flags_as_table(args: argparse.Namespace, more: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the flags that were given as nested tables.

    Parameters
    ----------
    args
        Parsed arguments.
    more
        Further flags and the settings they set.
    """
    table: dict[str, Any] = {}
    for flag, key in (_SETTINGS | (more or {})).items():
        value = getattr(args, flag, None)  # not every training has every flag
        if value is None:
            continue
        *parents, last = key.split(".")
        place = table
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return table


def in_processes(args: argparse.Namespace, out: Path) -> int | None:
    """Start the processes that ``--devices`` asks for and return their exit code; ``None`` if this is one to work."""
    from napari_mmssl.workflows.launch import wait_for_ranks, wants_ranks

    if not wants_ranks(args.devices, args.nodes):
        return None
    words = args.words if args.out else [*args.words, "--out", str(out)]
    return wait_for_ranks(words, args.devices, out)


def default_out(name: str, cohort: Path) -> Path:
    """Return a run folder that is not taken: ``runs/<date>_<name>_<cohort>``, numbered from the second on."""
    stem = f"{datetime.date.today():%Y-%m-%d}_{name}_{cohort.resolve().name}"
    out = Path("runs") / stem
    count = 2
    while out.exists():
        out = Path("runs") / f"{stem}_{count}"
        count += 1
    return out
