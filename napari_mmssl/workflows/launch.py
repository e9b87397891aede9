"""Start a job as a process of its own, which outlives whoever started it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.errors import ConfigError
from napari_mmssl.processors import usable_cores
from napari_mmssl.training.run_folder import LOST_RANK, RunFolder

#: A log names cases; once its job was followed to its end it may help to explain a failure, and for a week it is kept.
_DAYS_OF_LOGS = 7


@dataclass(frozen=True)
class Job:
    """A started process and where its words go."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def failure(self) -> str | None:
        """Return what the process said last if it ended with an error, else ``None``."""
        if self.process.poll() in (None, 0):
            return None
        lines: list[str] = []
        with suppress(OSError):  # it may have been silent for longer than its log was kept
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"the process ended with code {self.process.returncode}"


def start(arguments: Sequence[str], *, polite: bool = True) -> Job:
    """Run ``mmssl`` with ``arguments`` in a session of its own.

    No pipe ties it to the caller: its words go to a file, its results to a run folder.

    Parameters
    ----------
    arguments
        As on the command line, such as ``["pretrain", "--config", FILE, "--out", RUN]``.
    polite
        Leave one core free and run at lower priority, so that the viewer stays alive.
    """
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    if polite:
        threads = str(max(1, usable_cores() - 1))
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MMSSL_THREADS"), threads)
    _forget_old_logs()
    handle, name = tempfile.mkstemp(prefix="mmssl-", suffix=".log")
    command = [sys.executable, "-m", "napari_mmssl", *arguments]
    if polite and os.name == "posix":
        command = ["nice", "-n", "5", *command]
    with os.fdopen(handle, "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    return Job(process, Path(name))


def _forget_old_logs() -> None:
    """Delete the logs of jobs that wrote nothing for a week."""
    oldest = time.time() - _DAYS_OF_LOGS * 24 * 3600
    for log in Path(tempfile.gettempdir()).glob("mmssl-*.log"):
        # Other users' logs, and those that another viewer deletes at this moment, are not ours to complain about.
        with suppress(OSError):
            if log.stat().st_mtime < oldest:
                log.unlink()


def wants_ranks(devices: int | None, nodes: int) -> bool:
    """Whether this process has to start ``devices`` processes that share a training, and is none of them itself.

    Raises
    ------
    ConfigError
        If they do not fit what ``torchrun`` or ``srun`` started, or several machines are asked for without either.
    """
    started = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_STEP_NUM_TASKS", "1")))
    if devices is None and nodes == 1:
        return False
    if min(nodes, 1 if devices is None else devices) < 1:
        raise ConfigError(f"--devices and --nodes are numbers from 1 on, got {devices} and {nodes}")
    wanted = (devices or 1) * nodes
    if started > 1 or "RANK" in os.environ:
        if started != wanted:
            raise ConfigError(
                f"{started} processes were started, and --devices {devices} --nodes {nodes} asks for {wanted}; "
                "start as many (srun --ntasks, torchrun --nproc-per-node), or leave both flags out"
            )
        return False
    if nodes > 1:
        raise ConfigError(
            f"--nodes {nodes} needs a process started on each machine: srun mmssl ... in a SLURM job, or torchrun; "
            "see docs/how-to/cluster.md"
        )
    return wanted > 1


def wait_for_ranks(words: Sequence[str], count: int, out: Path) -> int:
    """Run ``mmssl`` with ``words`` in ``count`` processes of one training on this machine; return the exit code.

    ``out`` is the run folder that ``words`` name.

    Ctrl-C and ``SIGTERM`` reach all of them, and they stop and keep. If one fails the others are ended, since they
    would wait for it.
    """
    threads = str(max(1, usable_cores() // count))
    shared = {name: os.environ.get(name, threads) for name in ("OMP_NUM_THREADS", "MMSSL_THREADS")}
    shared |= {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(count)}
    command = [sys.executable, "-m", "napari_mmssl", *words]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        shared["MMSSL_MEETING_PLACE"] = str(Path(folder) / "ranks")
        ranks = [
            subprocess.Popen(
                command,
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                # What all of them have to say is said once.
                stderr=said if rank else None,
            )
            for rank in range(count)
        ]
        with _handing_on(ranks):
            code = _first_failure(ranks)
        if code not in (0, 130) and (ranks[0].returncode in (0, -9, -15) or _lost_another(out)):
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            sys.stderr.write(f"{lines[-1] if lines else 'a process of the training ended'}\n")
    return code


@contextmanager
def _handing_on(ranks: Sequence["subprocess.Popen[bytes]"]) -> Iterator[None]:
    """Hand a termination signal on to ``ranks`` while the block runs; else they would be left without their parent."""

    def hand_on(number: int, _frame: object) -> None:
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _lost_another(out: Path) -> bool:
    """Whether the first process failed for want of another, whose words tell why."""
    return RunFolder.is_run(out) and RunFolder(out).status().get("reason") == LOST_RANK


def _first_failure(ranks: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Return the exit code of the first that fails, once none is left; 0 if none does."""
    code = 0
    while any(rank.poll() is None for rank in ranks):
        try:
            failed = [rank.returncode for rank in ranks if rank.poll() not in (None, 0, 130)]
            if failed and not code:
                code = abs(failed[0]) if failed[0] in (1, 2) else 1
                time.sleep(1)  # for its sentence, and for others that fail alike
                for rank in ranks:
                    if rank.poll() is None:
                        rank.kill()
            time.sleep(0.1)
        except KeyboardInterrupt:
            continue  # the ranks got it too; they end by themselves
    ended = [rank.returncode for rank in ranks]
    return code or (0 if not any(ended) else 130 if set(ended) <= {0, 130} else max(1, *(min(2, c) for c in ended)))
