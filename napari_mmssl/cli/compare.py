"""``mmssl compare``: did pretraining help?"""

import argparse
import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_mmssl.workflows.comparison.settings import CompareSettings

SUMMARY = "train the same network from scratch and from each recipe's weights, and tell the paired differences"

#: Flag (as argparse stores it) to the setting it sets.
_SETTINGS = {
    "folder": "cohort",
    "pretrain_cohort": "pretrain_cohort",
    "recipes": "arms",
    "label_fractions": "label_fractions",
    "first_seed": "first_draw",
    "seeds": "draws",
    "task": "task",
    "regions": "regions",
    "target": "target",
    "pretrain_steps": "pretrain_steps",
    "finetune_steps": "finetune_steps",
    "patch": "patch",
    "subsets": "subsets",
    "device": "device",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="labelled cohort")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the comparison; given again, it goes on")
    parser.add_argument("--cells", type=Path, metavar="DIR", help="where the measured cells lie (default: DIR/cells)")
    parser.add_argument(
        "--recipes",
        type=_names,
        metavar="A,B",
        help="scratch, scratch_no_dropout and recipes (see mmssl list); differences are taken to the first",
    )
    parser.add_argument(
        "--pretrain-cohort",
        type=Path,
        metavar="DIR",
        help="pretrain once on these other people, labels unread (default: in each draw on the cohort's own people)",
    )
    parser.add_argument("--encoder", metavar="NAME", help="encoder (see mmssl list)")
    parser.add_argument("--size", choices=("tiny", "small", "paper"), help="size of the encoder")
    parser.add_argument("--label-fractions", type=_fractions, metavar="X,Y", help="shares of the labelled people")
    parser.add_argument("--seeds", type=int, metavar="N", help="draws; each has its own split, labelled people, seeds")
    parser.add_argument(
        "--first-seed", type=int, metavar="N", help="first draw (default: 0); so that later draws can be told alone"
    )
    parser.add_argument("--task", metavar="NAME", help="what is fine-tuned for (see mmssl list; default: segmentation)")
    parser.add_argument("--regions", metavar="NAME", help="label coding of a segmentation, as in mmssl finetune")
    parser.add_argument("--target", metavar="COLUMN", help="class to tell, as in mmssl finetune")
    parser.add_argument("--pretrain-steps", type=int, metavar="N", help="steps of every pretraining")
    parser.add_argument("--finetune-steps", type=int, metavar="N", help="steps of every fine-tuning")
    parser.add_argument("--patch", type=_shape, metavar="Z,Y,X", help="patch of pretraining in voxels")
    parser.add_argument(
        "--subsets", choices=("none", "one_missing", "all"), help="modality subsets to predict held-out people from"
    )
    parser.add_argument("--report-only", action="store_true", help="train nothing; tabulate the cells that are there")
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="override one setting"
    )


def run(args: argparse.Namespace) -> int:
    """Compare; Ctrl-C stops, and the same command goes on."""
    from napari_mmssl.errors import RunFailed
    from napari_mmssl.workflows.compare import compare
    from napari_mmssl.workflows.comparison.report import render_text
    from napari_mmssl.workflows.running import Interruption

    settings = settings_of(args)
    out = args.out or Path("runs") / f"{datetime.date.today():%Y-%m-%d}_compare_{settings.cohort.resolve().name}"
    interruption = Interruption()
    try:
        with interruption.watching():
            result = compare(
                settings,
                out,
                cells=args.cells,
                train=not args.report_only,
                listener=_tell,
                interruption=interruption,
            )
    except RunFailed as error:
        if not interruption.came:
            raise
        print(f"mmssl compare: {error}", file=sys.stderr)
        return 130
    print(render_text(result))
    print(f"\nreport: {out / 'report.html'}", file=sys.stderr)
    return 0


def settings_of(args: argparse.Namespace) -> "CompareSettings":
    """Return the settings that the flags ask for."""
    from napari_mmssl.workflows.comparison.settings import compare_settings

    values: dict[str, Any] = {
        key: value for flag, key in _SETTINGS.items() if (value := getattr(args, flag)) is not None
    }
    encoder = {key: value for key, value in (("name", args.encoder), ("size", args.size)) if value is not None}
    return compare_settings({**values, **({"encoder": encoder} if encoder else {})}, args.assignments)


def _tell(event: dict[str, Any]) -> None:
    if event["kind"] == "warning":
        print(f"warning: {event['text']}", file=sys.stderr, flush=True)
    if event["kind"] == "cell":
        print(f"{event['done']} of {event['total']} done; now {event['name']}", file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _fractions(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _shape(text: str) -> list[int]:
    parts = [int(part) for part in text.split(",")]
    if len(parts) not in (1, 3):
        raise argparse.ArgumentTypeError("one number or three, as in 48 or 32,48,48")
    return parts * 3 if len(parts) == 1 else parts
