"""Where the viewer puts what a person did not name a place for."""

import datetime
import os
import re
from pathlib import Path

import platformdirs

from napari_mmssl.viewer.preferences import preference


def data_folder() -> Path:
    """Return where runs, predictions and samples go: ``$MMSSL_HOME``, as preferred, or the user's data folder."""
    home = os.environ.get("MMSSL_HOME") or preference("computing", "data_folder", "")
    return Path(home) if home else Path(platformdirs.user_data_dir("napari-mmssl", appauthor=False))


def runs_folder() -> Path:
    """Return where runs go; it need not exist."""
    return data_folder() / "runs"


def aligned_folder() -> Path:
    """Return where aligned cohorts go; it need not exist."""
    return data_folder() / "aligned"


def free_folder(parent: Path, *words: str) -> Path:
    """Return a name in ``parent`` that is not taken, made of today's date and ``words``."""
    safe = (re.sub(r"[^\w.-]+", "-", word).strip("-.") for word in words)
    name = "_".join([datetime.date.today().isoformat(), *(word for word in safe if word)])
    path, number = parent / name, 2
    while path.exists():
        path, number = parent / f"{name}_{number}", number + 1
    return path
