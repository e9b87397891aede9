"""``mmssl synthesize``: train generators, make the modalities that people lack, and compare with what is real."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from napari_mmssl.cli.training_arguments import add_training_arguments, default_out, flags_as_table

SUMMARY = "make one modality from another: train generators, apply them to a cohort, compare with real scans"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three actions and their flags."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    train = actions.add_parser("train", help="train generators between two modalities of a cohort")
    add_training_arguments(train)
    train.add_argument("--size", choices=("tiny", "small", "paper"), help="size of the generators")
    train.add_argument("--from", dest="source", metavar="NAME", help="modality that is there, such as ct")
    train.add_argument("--to", dest="target", metavar="NAME", help="modality that is to be made, such as mr")
    train.add_argument(
        "--method",
        choices=("cycle", "paired"),
        help="cycle: nobody needs both modalities, and both directions are learned (default); paired: aligned scans",
    )
    apply = actions.add_parser("apply", help="write a cohort in which gaps are filled with synthetic volumes")
    apply.add_argument("path", type=Path, metavar="FOLDER", help="a cohort, one case folder, or one file")
    apply.add_argument("--weights", type=Path, required=True, metavar="RUN", help="run folder of synthesize train")
    apply.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write the cohort into")
    apply.add_argument("--case", action="append", default=[], metavar="ID", help="only this case; may be repeated")
    apply.add_argument("--also-known", action="store_true", help="make also what is there, to measure it")
    apply.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    compare = actions.add_parser("compare", help="compare a synthetic volume with the real one, by region")
    compare.add_argument("real", type=Path, metavar="REAL", help="the real volume")
    compare.add_argument("synthetic", type=Path, metavar="SYNTHETIC", help="the synthetic one, on the same grid")
    compare.add_argument("--label", type=Path, metavar="FILE", help="label map, for numbers by class")
    compare.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; Ctrl-C stops and keeps."""
    return {"train": _train, "apply": _apply, "compare": _compare}[str(args.action)](args)


def _train(args: argparse.Namespace) -> int:
    from napari_mmssl.cli.progress import ended, watched
    from napari_mmssl.workflows.configure import synthesis_settings
    from napari_mmssl.workflows.synthesize import train_generators

    flags = flags_as_table(args, {name: name for name in ("source", "target", "method", "size")})
    settings = synthesis_settings(file=args.config, flags=flags, assignments=args.assignments)
    out = args.out or default_out(f"{settings.source}_to_{settings.target}", settings.cohort)
    with watched(settings.optimisation.steps, ("ssim", "cycle_l1")) as (line, interruption):
        train_generators(settings, out, listener=line, interruption=interruption)
    return ended(interruption, "trained", out)


def _apply(args: argparse.Namespace) -> int:
    from napari_mmssl.cli.progress import watched
    from napari_mmssl.workflows.partners import make_partners

    verdicts: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        line(event)
        verdicts.extend(event.get("made", {}).values())

    with watched(0) as (line, interruption):
        make_partners(
            args.path,
            args.weights,
            args.out,
            case_ids=args.case,
            also_known=args.also_known,
            device=args.device,
            listener=listen,
            interruption=interruption,
        )
    passed = sum(verdict["passed"] for verdict in verdicts)
    print(f"{len(verdicts)} synthetic volumes, {passed} of them passed the quality gate: {args.out}", file=sys.stderr)
    return 130 if interruption.came else 0


def _compare(args: argparse.Namespace) -> int:
    from napari_mmssl.workflows.synthesize import compare_volumes

    regions = compare_volumes(args.real, args.synthetic, args.label).regions
    if args.json:
        plain = {
            name: {key: value if math.isfinite(value) else None for key, value in found.items()}
            for name, found in regions.items()
        }
        print(json.dumps(plain, indent=2))
        return 0
    print(f"{'region':24} {'ssim':>6} {'psnr dB':>8} {'error sd':>9} {'ml':>9}")
    for name, found in regions.items():
        numbers = f"{found['ssim']:6.3f} {found['psnr_db']:8.2f} {found['mean_error']:9.3f} {found['volume_ml']:9.1f}"
        print(f"{name:24} {numbers}")
    return 0
