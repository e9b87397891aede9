"""How a made-up cohort says that it is one: ``phantom.json`` at its root, a mark in each header."""

import json
from collections.abc import Iterable
from pathlib import Path

from napari_mmssl.cohorts.case import Finding

#: Begins the header's description of every file of a phantom.
PHANTOM_MARK = "MMSSL PHANTOM"
NOTE_NAME = "phantom.json"


def phantom_finding(note: str) -> Finding:
    """Return the finding that says that a case is a phantom; ``note`` says which generator made it."""
    return Finding("phantom", f"this is a phantom, not a person: {note}")


def read_phantom_note(folders: Iterable[Path]) -> str | None:
    """Return what the first ``phantom.json`` of ``folders`` says of its generator; ``None`` if there is none.

    A damaged one still marks a phantom: better one doubt too many than made-up people among real ones.
    """
    for folder in folders:
        path = folder / NOTE_NAME
        if not path.is_file():
            continue
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            said = {key: data[key] for key in ("generator", "generator_version", "version") if key in data}
        except (OSError, ValueError, TypeError, RecursionError):
            said = {}
        return f"{NOTE_NAME} says " + ", ".join(f"{key} {value}" for key, value in said.items()) if said else NOTE_NAME
    return None
