"""``mmssl doctor``: what works here, and the line that mends what does not."""

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_mmssl.workflows.doctor import Diagnosis

SUMMARY = "say what works on this machine, and the exact line that mends what does not"
_SIGNS = {"ok": "ok  ", "warning": "?   ", "problem": "FAIL"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON alone on standard output")


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; 0 if training and prediction work here (with or without a viewer), 1 if not."""
    from napari_mmssl.workflows.doctor import diagnose

    diagnosis = diagnose()
    print(json.dumps(diagnosis.to_json(), indent=2) if args.json else render(diagnosis))
    return 0 if diagnosis.usable else 1


def render(diagnosis: "Diagnosis") -> str:
    """Return the diagnosis as text, with each remedy on a line of its own that can be copied."""
    versions = [f"{name} {version or 'missing'}" for name, version in diagnosis.versions.items()]
    lines = [", ".join(versions[i : i + 5]) for i in range(0, len(versions), 5)]
    lines.append("")
    width = max(len(check.name) for check in diagnosis.checks)
    for check in diagnosis.checks:
        lines.append(f"{_SIGNS[check.state]}  {check.name:<{width}}  {check.text}")
        if check.remedy is not None:
            lines.append(f"{'':>{width + 8}}{check.remedy}")
    ready = "training and prediction work here" if diagnosis.usable else "training does not work here yet"
    unwell = sum(check.state != "ok" for check in diagnosis.checks)
    lines += ["", ready + (f"; {unwell} line(s) above need a look" if unwell else "")]
    return "\n".join(lines)
