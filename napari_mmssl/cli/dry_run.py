"""What ``--dry-run`` does, which pretraining and fine-tuning share."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_mmssl.training.settings import FinetuneSettings, PretrainSettings


def add_dry_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run`` and ``--json`` to the parser of a training."""
    parser.add_argument(
        "--dry-run", action="store_true", help="make a few steps and tell memory, time and what fits; no run is made"
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: print JSON alone")


def dry_run(settings: "PretrainSettings | FinetuneSettings", *, as_json: bool) -> int:
    """Tell what a training will take; the exit code is 1 if it does not fit."""
    from napari_mmssl.workflows.preflight import preflight

    found = preflight(settings)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return 0 if found.fits else 1
    print(f"device      {found.device}")
    print(f"memory      {found.memory_gib:.2f} GiB of {found.free_gib:.2f} GiB free")
    if found.step_s is not None and found.total_s is not None:
        steps = settings.optimisation.steps
        print(f"time        {found.step_s:.3g} s a step, {found.total_s / 3600:.3g} h for {steps} steps")
    if not found.fits:
        proposal = " ".join(f"--set {one}" for one in found.proposal or ())
        print(f"proposal    {proposal or 'none found: a smaller encoder'}")
    return 0 if found.fits else 1
