"""Follow a run folder while somebody else writes it. Knows no Qt and no napari."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import ACTIVE_STATES, RunFolder

#: Each update is drawn; more often than this the drawing itself is felt where OpenGL is software.
POLL_S = 0.5
#: How long a run that another shell started may take until its folder is there.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Update:
    """What is new in a run since the last look.

    Parameters
    ----------
    state
        As in ``status.json``; ``starting`` while there is no folder yet.
    step, total
        How far it is; ``total`` is 0 while it is not known.
    eta_s
        Seconds left, as far as known.
    reason
        Why it failed, in a sentence.
    events
        Events written since the last update.
    """

    state: str
    step: int = 0
    total: int = 0
    eta_s: float | None = None
    reason: str | None = None
    events: tuple[dict[str, Any], ...] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ACTIVE_STATES


def follow(
    path: Path,
    *,
    stop: Callable[[], bool],
    failure: Callable[[], str | None] = lambda: None,
    since_s: float = 0.0,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Update]:
    """Yield an update whenever something is new in the run ``path``, until it ends or ``stop`` says so.

    The last update has :attr:`Update.ended` set, unless ``stop`` came first.

    Parameters
    ----------
    path
        The run folder; it need not be there yet.
    stop
        Asked between looks.
    failure
        What the started process said last if it ended with an error, else ``None``; for runs that fail before
        they have a folder.
    since_s
        Unix time at which a process was started that goes on with the run: what the status said before that is old.
    sleep
        How to wait between looks.
    """
    yield Update("starting")
    waited, offset, before = 0.0, 0, None
    while not stop():
        sentence = failure()
        # Asked before the folder is read: a process that is gone now has written all it will.
        if not RunFolder.is_run(path):
            waited += POLL_S
            if sentence is not None or waited > _PATIENCE_S:
                yield Update("failed", reason=sentence or f"no run appeared in '{path}'")
                return
            sleep(POLL_S)
            continue
        try:
            update, offset = _look(path, offset, sentence, since_s if waited < _PATIENCE_S else 0.0)
        except (RunError, OSError):
            # The folder of a start that failed is removed; the next look says why.
            sleep(POLL_S)
            continue
        if update != before or update.events:
            yield update
            before = update
        if update.ended:
            return
        waited += POLL_S if update.state == "starting" else 0.0
        sleep(POLL_S)


def _look(path: Path, offset: int, failure: str | None, since_s: float) -> tuple[Update, int]:
    run = RunFolder(path)  # of whatever version: looking changes nothing
    alive = run.is_alive()
    # Status before events: an ended run has then written all events that are read next.
    status = run.status()
    events, offset = run.events(offset)
    state, reason = status["state"], status.get("reason")
    if failure is None and status.get("updated_s", since_s) < since_s:
        return Update("starting", status.get("step", 0), status.get("total", 0), events=tuple(events)), offset
    if state in ACTIVE_STATES and (failure is not None or not alive):
        state, reason = "failed", failure or f"the process ended without a word; '{path / 'log.txt'}' may tell more"
    update = Update(
        state, status.get("step", 0), status.get("total", 0), status.get("eta_s"), reason, events=tuple(events)
    )
    return update, offset


def run_kind(path: Path) -> str | None:
    """Return what runs, or ran, in the folder ``path`` (``pretrain`` ...), or ``None`` if it is no run of ours."""
    try:
        kind = RunFolder.open(path).status().get("kind")
    except RunError:
        return None
    return str(kind)


_STATE_WORDS = {
    "starting": "starting: reading and preparing the cases ...",
    "paused": "paused",
    "done": "done",
    "stopped": "stopped; what was made so far is kept",
    "cancelled": "cancelled; nothing is kept",
}


def progress_words(update: Update) -> str:
    """Return where a run is, in one line for a person."""
    if update.state == "failed":
        return update.reason or "failed"
    if update.state != "running":
        return _STATE_WORDS.get(update.state, update.state)
    left = duration_words(update.eta_s)
    return f"step {update.step} of {update.total}" + (f", {left} left" if left else "")


def duration_words(seconds: float | None) -> str:
    """Return a time left as a person says it: ``40 s``, ``3 min``, ``2 h 5 min``; empty if it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
