"""Find runs, and follow one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import ACTIVE_STATES, RunFolder

_LOOK_EVERY_S = 0.5


def find_runs(folder: Path, depth: int = 3) -> Iterator[RunFolder]:
    """Yield the runs in ``folder`` and up to ``depth`` levels below it, sorted by path; runs do not hold runs.

    Raises
    ------
    RunError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"'{folder}' is no folder")
    if RunFolder.is_run(folder):
        yield RunFolder(folder)
        return
    if depth > 0:
        for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
            try:
                yield from find_runs(child, depth - 1)
            except PermissionError:
                continue


def describe(run: RunFolder) -> dict[str, Any]:
    """Return a run's path, kind, state and steps; the state is *lost* where a process should be at work and is not."""
    try:
        status = run.status()
    except RunError as error:
        return {"path": str(run.path), "kind": None, "state": "unreadable", "reason": str(error)}
    alive = run.is_alive()
    lost = status["state"] in ACTIVE_STATES and not alive
    return {
        "path": str(run.path),
        "kind": status.get("kind"),
        "state": "lost" if lost else status["state"],
        "step": status.get("step", 0),
        "total": status.get("total", 0),
        "eta_s": status.get("eta_s"),
        "host": status.get("host"),
        "alive": alive,
        "reason": status.get("reason"),
    }


def follow_run(run: RunFolder, listener: Callable[[dict[str, Any]], None]) -> str:
    """Hand every event of ``run`` to ``listener``, past ones first, until it ends; return its last state."""
    offset = 0
    while True:
        # Asked before the events are read: what is written in between is then not missed.
        alive = run.is_alive()
        events, offset = run.events(offset)
        for event in events:
            listener(event)
        if not alive:
            return str(describe(run)["state"])
        time.sleep(_LOOK_EVERY_S)
