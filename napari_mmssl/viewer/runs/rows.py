"""What the Runs table says of each run folder, read in small steps. Knows no Qt and no napari.

A long run's events are megabytes: what was read stays read, and each look takes only what was added.
"""

import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import ACTIVE_STATES, RunFolder
from napari_mmssl.viewer.runs.curve_values import Curve, curves_in
from napari_mmssl.workflows.runs import describe, find_runs

#: Metrics that say how good a network is, best known first; of the last, lower is better.
BEST_METRICS = ("dice", "c_index", "auc", "tile_accuracy")
_LOSS = "loss.total"
Key = tuple[str, str]


@dataclass(frozen=True)
class RunRow:
    """One line of the table.

    Parameters
    ----------
    path
        The run folder.
    kind
        ``pretrain``, ``finetune`` ..., or ``?``.
    about
        Recipe or task, as the configuration says.
    state
        As in ``status.json``, or ``lost`` where its process is gone, or ``unreadable``.
    step, total
        How far it is.
    best
        The best value of its first known metric, in words; empty if nothing was measured.
    started_s
        Unix time, or ``None``.
    host
        The machine that wrote it last.
    reason
        Why it failed, in a sentence.
    """

    path: Path
    kind: str
    about: str
    state: str
    step: int = 0
    total: int = 0
    best: str = ""
    started_s: float | None = None
    host: str = ""
    reason: str | None = None

    @property
    def at_work(self) -> bool:
        """Whether a process should be taking steps."""
        return self.state in ("starting", "running")


@dataclass
class _Seen:
    offset: int = 0
    curves: dict[Key, Curve] = field(default_factory=dict)
    about: str | None = None
    size: int = 0


class RunReader:
    """Reads run folders; keeps what it has read of each."""

    def __init__(self) -> None:
        self._seen: dict[Path, _Seen] = {}

    def rows(self, folder: Path) -> list[RunRow]:
        """Return a line for each run in ``folder``, newest first; none if there is no such folder."""
        if not folder.is_dir():
            return []
        rows = [self._row(run) for run in find_runs(folder)]
        return sorted(rows, key=lambda row: row.started_s or 0.0, reverse=True)

    def curves(self, path: Path) -> dict[Key, Curve]:
        """Return the curves of the run ``path`` as far as it is; empty if its events cannot be read."""
        return self._read(RunFolder(path)).curves

    def _read(self, run: RunFolder) -> _Seen:
        seen = self._seen.setdefault(run.path, _Seen())
        try:
            events, offset = run.events(seen.offset)
        except OSError:
            return seen
        if offset < seen.offset:
            seen.curves.clear()  # A resumed run cut the file; what is there now was read from its beginning.
        curves_in(events, seen.curves)
        seen.offset = offset
        return seen

    def _row(self, run: RunFolder) -> RunRow:
        told = describe(run)
        if told["state"] == "unreadable":
            return RunRow(run.path, "?", "", "unreadable", reason=told["reason"])
        seen = self._read(run)
        if seen.about is None:
            seen.about = _about(run)
        return RunRow(
            run.path,
            str(told["kind"] or "?"),
            seen.about,
            str(told["state"]),
            int(told["step"]),
            int(told["total"]),
            best_words(seen.curves),
            run.status().get("started_s"),
            str(told["host"] or ""),
            told["reason"],
        )


def training_at_work(folder: Path) -> Path | None:
    """Return the training in ``folder`` that was started last and is at work on this machine, or ``None``."""
    if not folder.is_dir():
        return None
    alive = []
    for run in find_runs(folder):
        told = describe(run)
        here = told.get("host") == socket.gethostname() and told.get("kind") in ("pretrain", "finetune")
        if here and told["state"] in ACTIVE_STATES:
            alive.append((run.status().get("started_s") or 0.0, run.path))
    return max(alive)[1] if alive else None


def best_words(curves: dict[Key, Curve]) -> str:
    """Return the best value measured on unseen subjects, and at which step; empty if there is none."""
    for name in BEST_METRICS:
        curve = curves.get(("metric", name))
        if curve is not None and curve.values:
            best = max(curve.values)
            return f"{name.replace('_', ' ')} {best:.3f}, step {curve.steps[curve.values.index(best)]}"
    curve = curves.get(("metric", _LOSS)) or curves.get(("loss", "total"))
    if curve is None or not curve.values:
        return ""
    best = min(curve.values)
    return f"loss {best:.3f}, step {curve.steps[curve.values.index(best)]}"


def started_words(started_s: float | None, now_s: float) -> str:
    """Return when a run started: the clock today, the date before that; empty if it is not known."""
    if started_s is None:
        return ""
    then, now = time.localtime(started_s), time.localtime(now_s)
    return time.strftime("%H:%M" if then[:3] == now[:3] else "%Y-%m-%d", then)


def _about(run: RunFolder) -> str:
    try:
        config: dict[str, Any] = run.config()
    except (RunError, OSError, ValueError):
        return ""
    task = config.get("task")
    named = config.get("recipe") or (task.get("name") if isinstance(task, dict) else None)
    encoder = config.get("encoder")
    size = f", {encoder.get('name', '')} {encoder.get('size', '')}" if isinstance(encoder, dict) else ""
    return f"{named or ''}{size}".strip(", ")
