"""The ``mmssl`` command: one subcommand per module of this package."""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

from napari_mmssl import __version__
from napari_mmssl.errors import MmsslError

#: Modules beside this one, in the order in which ``--help`` shows them. Each has ``SUMMARY``,
#: ``add_arguments(parser)`` and ``run(args) -> int`` and imports what computes only inside ``run``.
COMMANDS = (
    "inspect",
    "align",
    "pretrain",
    "finetune",
    "predict",
    "evaluate",
    "report",
    "correct",
    "probe",
    "embed",
    "compare",
    "synthesize",
    "convert",
    "export",
    "preview",
    "runs",
    "sample",
    "demo",
    "list",
    "doctor",
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``mmssl`` with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="mmssl", description="Multi-modal self-supervised learning on 3-D medical images. Research use only."
    )
    parser.add_argument("--version", action="version", version=f"napari-mmssl {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"napari_mmssl.cli.{name}")
        command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmssl`` and return its exit code.

    0 done, 1 the run failed, 2 the user's input or usage, 130 interrupted with what was learned kept.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold letters, or bytes, that the terminal's encoding does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(argv)
    args.words = list(sys.argv[1:] if argv is None else argv)
    try:
        return int(args.run(args))
    except MmsslError as error:
        print(f"mmssl {args.command}: {_on_one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except PermissionError as error:
        # Any folder that is named may be closed to who names it.
        reached = _on_one_line(f"cannot reach '{error.filename}': {error.strerror}")
        print(f"mmssl {args.command}: {reached}; ask for access, or name another place", file=sys.stderr)
        return MmsslError.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _on_one_line(text: str) -> str:
    """Return ``text`` with what cannot be printed escaped: a line break in a file's name must not look like ours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
