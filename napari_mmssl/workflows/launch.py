"""Start a job as a process of its own, which outlives whoever started it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A started process and where its words go."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def failure(self) -> str | None:
        """Return what the process said last if it ended with an error, else ``None``."""
        if self.process.poll() in (None, 0):
            return None
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
        threads = str(max(1, (os.cpu_count() or 2) - 1))
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MMSSL_THREADS"), threads)
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
