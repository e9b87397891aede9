"""The command line in processes of their own that begin with everything loaded, so that a test may kill many.

A module by itself, since such a process finds by name what it shall do.
"""

import multiprocessing
import os
import sys
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from napari_mmssl.cli.main import main


def _loaded() -> BaseContext:
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(
        ["napari_mmssl.workflows.resume", "napari_mmssl.training.pretraining", "scipy.ndimage"]
    )
    return forked


@dataclass(frozen=True)
class Processes:
    """Starts ``mmssl`` in ``base``, where its cache lies too."""

    base: Path
    _forked: BaseContext = field(default_factory=_loaded)

    def start(self, *words: object) -> BaseProcess:
        process = self._forked.Process(target=_mmssl, args=([str(word) for word in words], self.base))
        process.start()
        return process

    def run_to_the_end(self, *words: object) -> None:
        process = self.start(*words)
        process.join(timeout=200)
        assert process.exitcode == 0, self.said()

    def said(self) -> str:
        """Return what the process that was started last said to a person."""
        return (self.base / "said.txt").read_text()


def _mmssl(words: list[str], base: Path) -> None:
    os.environ |= {"MMSSL_HOME": str(base / "home"), "MMSSL_THREADS": "1"}
    with (base / "said.txt").open("w") as said:
        os.dup2(said.fileno(), 2)
    sys.exit(main(words))
