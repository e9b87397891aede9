"""How long a training will take, from runs that were measured on this machine. Knows no Qt and no napari."""

import socket
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.runs.following import duration_words
from napari_mmssl.workflows.runs import find_runs

#: What decides how long a step takes.
_SAME = (
    ("kind",),
    ("recipe",),
    ("encoder", "name"),
    ("encoder", "size"),
    ("data", "patch"),
    ("optimisation", "batch_size"),
)
#: Fewer steps than this measure the warming up.
_LEAST_STEPS = 5
_READ = 400


@dataclass(frozen=True)
class Measured:
    """Seconds of a step, and the run in which they were measured."""

    step_s: float
    run: str

    def words(self, steps: int) -> str:
        """Return the estimate for ``steps`` steps, for a person."""
        took = f"{self.step_s:.2g} s a step" if self.step_s >= 0.1 else f"{1000 * self.step_s:.0f} ms a step"
        return f"about {duration_words(steps * self.step_s)} for {steps} steps ({took} in '{self.run}')"


NOT_MEASURED = "no estimate: nothing like this ran here yet; the first steps will tell"


def measured(table: dict[str, Any], folder: Path) -> Measured | None:
    """Return what a step took in the newest run in ``folder`` that was set up like ``table``, on this machine.

    Parameters
    ----------
    table
        Resolved settings.
    folder
        Where runs are; it need not exist.
    """
    if not folder.is_dir():
        return None
    found = [(_started_s(run), run) for run in find_runs(folder) if _is_alike(run, table)]
    for _, run in sorted(found, key=lambda pair: pair[0], reverse=True):
        step_s = _step_s(run)
        if step_s is not None:
            return Measured(step_s, run.path.name)
    return None


def _is_alike(run: RunFolder, table: dict[str, Any]) -> bool:
    try:
        config = run.config()
        return run.status().get("host") == socket.gethostname() and all(
            _at(config, keys) == _at(table, keys) for keys in _SAME
        )
    except (MmsslError, OSError):
        return False


def _at(table: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return list(table) if isinstance(table, tuple) else table


def _started_s(run: RunFolder) -> float:
    return float(run.status().get("started_s") or 0.0)


def _step_s(run: RunFolder) -> float | None:
    """Return the median time between steps, looks and checkpoints left out."""
    try:
        events, _ = run.events()
    except OSError:
        return None
    took = [
        later["time_s"] - earlier["time_s"]
        for earlier, later in pairwise(events[-_READ:])
        if earlier["kind"] == later["kind"] == "step"
    ]
    return median(took) if len(took) >= _LEAST_STEPS else None
