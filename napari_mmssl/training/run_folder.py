"""The run folder: the only tie between a computing process and whoever watches it.

Layout and meaning of every file: ``docs/reference/run-folder.md``. Nothing here imports torch,
so the viewer reads runs with the same code that writes them.
"""

import errno
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_mmssl.atomic import make_folder, replacing, write_json, write_text
from napari_mmssl.config import read_toml, write_toml
from napari_mmssl.errors import RunError, WriteError
from napari_mmssl.pictures import Picture, write_picture

#: Version of everything in the folder. What is newer is shown as far as it is understood, and never written to.
FORMAT = 1
KEPT_PICTURES = 20
#: A file that another machine replaces on an NFS share while it is read is stale for a moment, and new at the next try.
_READINGS = 3

#: Why a training failed of whose processes another one is gone.
LOST_RANK = (
    "another process of this training ended, or cannot be reached any more; what it said stands where it was started "
    "(the output of the job); mmssl runs resume goes on from the last checkpoint"
)

#: Spaces fill ``status.json`` up to this. A machine that shares the disk may remember the length of the file that this
#: one replaces, and read no further (sshfs does).
_STATUS_BYTES = 2048

State = Literal["starting", "running", "paused", "done", "stopped", "cancelled", "failed"]
Order = Literal["pause", "stop", "cancel"]
#: How an order ends a run.
STATE_AFTER: dict[Order, State] = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
#: States in which a process is, or should be, at work.
ACTIVE_STATES = ("starting", "running")


@dataclass(frozen=True)
class Request:
    """An order left in ``control/`` by a viewer or another shell."""

    id: str
    order: Order


class RunFolder:
    """A run on disk; make one with :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._heartbeat = 0

    # -- starting ---------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, kind: str, config: dict[str, Any]) -> "RunFolder":
        """Make the folder with its ``run.toml`` and a ``status.json`` that says *starting*.

        Raises
        ------
        RunError
            If ``path`` is a file or a folder that already holds something.
        """
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise RunError(f"'{path}' is not empty; choose another --out, or resume the run that is in it")
            (path / "control" / "done").mkdir(parents=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder '{path}': {error.strerror}") from error
        run = cls(path)
        write_toml(path / "run.toml", config)
        (path / "events.jsonl").touch()
        run.set_status("starting", kind=kind, step=0, total=0, started_s=time.time())
        return run

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open an existing run folder of this or an older format, to give orders to or to go on with.

        Raises
        ------
        RunError
            If ``path`` is no run folder, or was written by a newer version.
        """
        run = cls(path)
        if (newer := run.newer()) is not None:
            raise RunError(newer)
        return run

    def newer(self) -> str | None:
        """Return a sentence if a newer version wrote this folder, which can then only be looked at.

        Raises
        ------
        RunError
            If it is no run folder.
        """
        found = self.status().get("format", 0)
        if not isinstance(found, int) or found <= FORMAT:
            return None
        return (
            f"'{self.path}' was written by a newer napari-mmssl (run format {found}, this one knows {FORMAT}): it is "
            "shown as far as that goes; update napari-mmssl to give it orders or to go on with it"
        )

    @staticmethod
    def is_run(path: Path) -> bool:
        """Whether ``path`` looks like a run folder."""
        return (path / "status.json").is_file() and (path / "run.toml").is_file()

    # -- what a reader asks -----------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return ``status.json``.

        Raises
        ------
        RunError
            If it is missing or unreadable.
        """
        path = self.path / "status.json"
        try:
            status = json.loads(_text(path))
        except (OSError, ValueError) as error:
            raise RunError(f"'{self.path}' is not a run folder: no readable status.json in it") from error
        if not isinstance(status, dict) or not isinstance(status.get("state"), str):
            raise RunError(f"'{path}' does not hold the status of a run")
        return status

    def config(self) -> dict[str, Any]:
        """Return the table in ``run.toml``."""
        return read_toml(self.path / "run.toml")

    def provenance(self) -> dict[str, Any]:
        """Return ``run.json``, or an empty table while it is not written yet."""
        path = self.path / "run.json"
        if not path.is_file():
            return {}
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read '{path}': {error}") from error

    def is_alive(self) -> bool:
        """Whether the process that wrote the status still runs; on another host, what the status says."""
        status = self.status()
        if status["state"] not in ACTIVE_STATES:
            return False
        started = status.get("pid_started")
        here = started is not None and bool(_process_start(int(status.get("pid", 0))) == started)
        return here or self.is_elsewhere()

    def is_elsewhere(self) -> bool:
        """Whether the process that wrote the status was on another machine, where it cannot be asked for."""
        return bool(self.status().get("host") != socket.gethostname())

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Return the events after byte ``offset`` and the offset to ask from next time.

        A line that is still being written is left for the next call; one that was cut short, or is of a newer version,
        is passed over. A file that is not there, as a share may tell for a moment, has no events.
        """
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                if offset > file.seek(0, os.SEEK_END):
                    offset = 0  # A resumed run cut the file.
                file.seek(offset)
                chunk = file.read()
        except OSError:
            return [], offset
        complete = chunk[: chunk.rfind(b"\n") + 1]
        return [event for line in complete.splitlines() if (event := _parsed(line))], offset + len(complete)

    def pictures(self) -> list[Path]:
        """Return the pictures' ``.json`` files, oldest first."""
        return sorted((self.path / "pictures").glob("[!.]*.json"))

    def request(self, order: Order) -> str:
        """Leave an order for the computing process and return its id."""
        # After those that wait, whatever became of this machine's clock, or of another's.
        waiting = [int(one.id.partition("-")[0]) for one in self.pending() if one.id[:20].isdecimal()]
        number = max([time.time_ns(), *(latest + 1 for latest in waiting)])
        request_id = f"{number:020d}-{uuid.uuid4().hex[:8]}"
        write_json(self.path / "control" / f"{request_id}.json", {"order": order})
        return request_id

    # -- what the computing process writes --------------------------------------------------

    def set_status(self, state: State, **fields: Any) -> None:
        """Replace ``status.json``: ``fields`` are joined to what it held, and the heartbeat goes up."""
        previous = self.status() if (self.path / "status.json").is_file() else {}
        self._heartbeat += 1
        here = {
            "format": FORMAT,
            "state": state,
            "pid": os.getpid(),
            "pid_started": _process_start(os.getpid()),
            "host": socket.gethostname(),
            "heartbeat": self._heartbeat,
            "updated_s": time.time(),
        }
        text = json.dumps(previous | here | fields, indent=2, allow_nan=False)
        write_text(self.path / "status.json", f"{text:<{_STATUS_BYTES - 1}}\n")

    def write_config(self, config: dict[str, Any]) -> None:
        """Replace ``run.toml`` by the resolved settings."""
        write_toml(self.path / "run.toml", config)

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Replace ``run.json``."""
        write_json(self.path / "run.json", dict(provenance))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from writing here while the block runs.

        The system lets go when the process ends, however it ends. On a share that knows no locks, and on Windows, the
        status alone tells that a run is at work.

        Raises
        ------
        RunError
            If another process holds it.
        """
        try:
            import fcntl
        except ImportError:
            yield
            return
        file = (self.path / ".lock").open("a")
        try:
            try:
                # lockf, not flock: loader processes that outlive a killed training must not go on holding.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise RunError(f"another process is at work in '{self.path}'; see mmssl runs show") from error
            yield
        finally:
            with suppress(OSError):  # closing fails on a share that is gone, and so does all else
                file.close()

    def emit(self, kind: str, **fields: Any) -> None:
        """Append an event; ``fields`` must be JSON values (NaN is written as null by the caller)."""
        line = json.dumps({"v": FORMAT, "kind": kind, "time_s": time.time(), **fields}, allow_nan=False)
        try:
            with (self.path / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise WriteError(f"cannot write '{self.path / 'events.jsonl'}': {error.strerror}") from error

    def cut_events_after(self, step: int) -> None:
        """Drop events of steps later than ``step``: a resumed run writes them anew."""
        events, _ = self.events()
        kept = [event for event in events if event.get("step", 0) <= step]
        with replacing(self.path / "events.jsonl") as aside:
            aside.write_text("".join(json.dumps(event) + "\n" for event in kept), encoding="utf-8")

    def pending(self) -> list[Request]:
        """Return the orders left in ``control/``, oldest first; unreadable and unknown ones are ignored."""
        requests = []
        for path in sorted((self.path / "control").glob("[!.]*.json")):
            try:
                order = json.loads(path.read_text(encoding="utf-8"))["order"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if order in STATE_AFTER:
                requests.append(Request(path.stem, order))
        return requests

    def answer(self, request: Request, **fields: Any) -> None:
        """Say that ``request`` is carried out and move it out of the way."""
        self.emit("answered", request=request.id, order=request.order, **fields)
        with suppress(FileNotFoundError):  # whoever gave it may have cleaned up
            os.replace(self.path / "control" / f"{request.id}.json", self.path / "control/done" / f"{request.id}.json")

    def discard(self) -> None:
        """Delete what was learned: checkpoints and weights."""
        for file in (*self.path.glob("checkpoints/*"), *self.path.glob("weights/*")):
            file.unlink()

    def clear_leftovers(self) -> None:
        """Drop what an earlier process left: orders to it, and files it was writing when it was killed."""
        for path in (self.path / "control").glob("*.json"):
            path.unlink(missing_ok=True)
        for path in (*self.path.glob(".[0-9]*-*"), *self.path.glob("*/.[0-9]*-*")):
            path.unlink(missing_ok=True)

    def save_picture(self, picture: Picture) -> None:
        """Write a picture and drop the oldest beyond :data:`KEPT_PICTURES`."""
        make_folder(self.path / "pictures", parents=False)
        name = f"{picture.step:08d}-{picture.name}"
        write_picture(self.path / "pictures" / name, picture)
        for old in self.pictures()[:-KEPT_PICTURES]:
            old.unlink()
            old.with_suffix(".npz").unlink(missing_ok=True)
        self.emit("picture", step=picture.step, file=f"pictures/{name}.json", case=picture.case)


class SilentRun(RunFolder):
    """A run that another process of the same training writes: what is read comes from the folder, nothing goes in."""

    def set_status(self, state: State, **fields: Any) -> None:
        """Write nothing."""

    def write_config(self, config: dict[str, Any]) -> None:
        """Write nothing."""

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Write nothing."""

    def emit(self, kind: str, **fields: Any) -> None:
        """Write nothing."""

    def cut_events_after(self, step: int) -> None:
        """Cut nothing."""

    def pending(self) -> list[Request]:
        """Return no orders: the process that writes the folder tells of them."""
        return []

    def answer(self, request: Request, **fields: Any) -> None:
        """Answer nothing."""

    def save_picture(self, picture: Picture) -> None:
        """Write nothing."""


def _text(path: Path) -> str:
    for _ in range(_READINGS - 1):
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
    return path.read_text(encoding="utf-8")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the event in ``line``, or ``None`` if a full disk or a crash cut it short, or it is of a newer version."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    known = isinstance(event, dict) and isinstance(event.get("kind"), str) and event.get("v", FORMAT) <= FORMAT
    return event if known else None


def _process_start(pid: int) -> float | None:
    """Return when ``pid`` started (any unit, equal for equal processes), or ``None`` if it does not run.

    A pid alone is not enough: after a reboot another program may have it.
    """
    # Linux counts ticks from the start of the machine. What psutil makes of them moves with the wall clock, so that a
    # run would seem dead to a viewer that was started before the clock was set.
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self/stat").is_file():
        try:
            # After the name, which stands in brackets and may hold anything: state is field 3, the start field 22.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
