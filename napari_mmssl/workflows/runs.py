"""Find runs, and follow one."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari_mmssl.errors import RunError
from napari_mmssl.training.run_folder import ACTIVE_STATES, Order, RunFolder

_LOOK_EVERY_S = 0.5
_LEAST_GRACE_S = 10.0
_LAST_EVENTS = 2000
#: So long at least a run on another machine must give no sign of life to be taken for dead.
_LEAST_SILENCE_S = 60.0


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
        "reason": status.get("reason") or run.newer(),
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


def grace_s(run: RunFolder) -> float:
    """Return how long ``run`` may take to answer an order.

    The longest of 10 s, three steps, and twice the longest pause between two of its last events, since a validation may
    take longer than steps do. The time between two processes, in which nobody was at work, does not count.
    """
    status = run.status()
    since = status.get("resumed_s", 0.0)
    times = [event["time_s"] for event in run.events()[0][-_LAST_EVENTS:] if event.get("time_s", -1.0) >= since]
    pause = max((after - before for before, after in pairwise(times)), default=0.0)
    return max(_LEAST_GRACE_S, 3 * float(status.get("step_s") or 0.0), 2 * pause)


def is_silent(run: RunFolder) -> bool:
    """Whether ``run``, by its status at work on another machine, is dead as far as can be told from here.

    It is watched for a minute, or its grace time if that is longer: neither heartbeat nor a new event. One change of
    either is no sign yet, and watched on from: it may be what this machine had not seen of a disk that is shared, which
    is seconds late. Times in the files are not asked, since the clocks of two machines differ.
    """

    def signs() -> tuple[object, int]:
        return run.status().get("heartbeat"), (run.path / "events.jsonl").stat().st_size

    silence_s = max(_LEAST_SILENCE_S, grace_s(run))
    seen, changes = signs(), [0, 0]
    until = time.monotonic() + silence_s
    while time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
        if (now := signs()) != seen:
            changes = [count + (one != before) for count, one, before in zip(changes, now, seen, strict=True)]
            if max(changes) > 1:
                return False
            seen, until = now, time.monotonic() + silence_s
    return True


def insist(run: RunFolder, order: Order, *, least_s: float | None = None) -> str:
    """Give ``order``, wait until the run ends, and kill it if it does not within its grace time; return how it ended.

    The last checkpoint of a killed run stays whole.

    Parameters
    ----------
    run
        At work on this machine.
    order
        What it shall do.
    least_s
        Grace time in place of :func:`grace_s`.

    Raises
    ------
    RunError
        If it does not answer and is on another machine.
    """
    import psutil

    patience = grace_s(run) if least_s is None else least_s
    run.request(order)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if not run.is_alive():
            return str(describe(run)["state"])
        time.sleep(_LOOK_EVERY_S / 2)
    status = run.status()
    if status["host"] != socket.gethostname():
        raise RunError(f"'{run.path}' did not answer within {patience:.0f} s and is on {status['host']}; end it there")
    if run.is_alive():
        with suppress(psutil.NoSuchProcess):
            psutil.Process(status["pid"]).kill()
        while run.is_alive():  # not waited for: its exit code belongs to whoever started it
            time.sleep(0.05)
        return "killed"
    return str(describe(run)["state"])
