"""What pretraining and fine-tuning share around the loop: folder, provenance, signals, failures."""

import logging
import os
import platform
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmssl.errors import MmsslError, RunError
from napari_mmssl.processors import thread_count
from napari_mmssl.training.run_folder import STATE_AFTER, RunFolder, SilentRun, State
from napari_mmssl.workflows.material import Material, fingerprint
from napari_mmssl.workflows.runs import is_silent

if TYPE_CHECKING:
    from napari_mmssl.training.distributed import Ranks

#: Told of every event: its kind and fields as in ``events.jsonl``.
Listener = Callable[[dict[str, Any]], None]


def ignore(_event: dict[str, Any]) -> None:
    """Listen to nothing."""


@contextmanager
def starting(out: Path, kind: str, table: dict[str, Any], *, resume: bool = False) -> Iterator[RunFolder]:
    """Make (or reopen) the run folder; if the start itself fails, leave no half-made folder behind.

    Raises
    ------
    RunError
        If ``out`` is taken, or is to be resumed and is at work already.
    """
    # Read when torch is loaded, which is after this: threads that spin while they wait thrash on a shared machine
    # (a step beside one busy process took 0.40 s spinning, 0.28 s not; alone 0.13 and 0.15 s).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if resume:
        run = RunFolder.open(out)
        before = run.status()
        died_elsewhere = run.is_alive() and run.is_elsewhere() and is_silent(run)
        if run.is_alive() and not died_elsewhere:
            raise RunError(f"'{out}' is at work already (process {before['pid']} on {before['host']})")
    else:
        run = RunFolder.create(out, kind, table)
    with run.held():
        if resume:
            # Orders are to the process that is gone; what comes from now on is meant for this one.
            run.clear_leftovers()
            if died_elsewhere:
                gone = f"process {before['pid']} on {before['host']} gave no sign of life"
                run.emit("warning", text=f"{gone} and is taken for dead; this process goes on in its place")
            run.set_status("starting", reason=None, resumed_s=time.time())
        yield from _logged(run, resume=resume)


def _logged(run: RunFolder, *, resume: bool) -> Iterator[RunFolder]:
    log = logging.FileHandler(run.path / "log.txt", encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # A line that cannot be logged, on a full disk, is no reason to print a traceback over the sentence that says so.
    log.handleError = lambda record: None  # type: ignore[method-assign]
    logging.getLogger("napari_mmssl").addHandler(log)
    try:
        yield run
    except _CalledOff:
        _end_early(run)
    except MmsslError:
        with suppress(OSError):  # a share that is gone has neither log nor status, and no part in what is told
            log.close()
            # Nor has a folder that was moved away.
            if not resume and RunFolder.is_run(run.path) and run.status()["state"] == "starting":
                shutil.rmtree(run.path)
        raise
    finally:
        logging.getLogger("napari_mmssl").removeHandler(log)
        with suppress(OSError):
            log.close()


@contextmanager
def training(
    out: Path, kind: str, table: dict[str, Any], *, resume: bool = False
) -> Iterator[tuple[RunFolder, "Ranks"]]:
    """Do as :func:`starting` in the first process of a training; the others get a folder into which nothing goes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in starting, which comes later here
    if not {"RANK", "SLURM_PROCID"} & set(os.environ):
        with starting(out, kind, table, resume=resume) as run:
            from napari_mmssl.training.distributed import Ranks

            yield run, Ranks()
        return
    from napari_mmssl.training.distributed import find_ranks, joined_ranks

    with joined_ranks(find_ranks()) as ranks:
        if ranks.is_first:
            with starting(out, kind, table, resume=resume) as run:
                yield run, ranks
        else:
            yield SilentRun(out), ranks


class _CalledOff(Exception):
    """An order or a signal came before the first step."""


def _end_early(run: RunFolder) -> None:
    """Carry out what was ordered, or stop. What was ever learned here lies in the last checkpoint."""
    state: State = "stopped"
    step, orders = run.status().get("step", 0), run.pending()
    if orders and (state := STATE_AFTER[orders[-1].order]) == "cancelled":
        run.discard()
    for order in orders:
        run.answer(order, **({"step": step} if order is orders[-1] else {"superseded": True}))
    run.set_status(state)
    run.emit("ended", step=step, state=state)


def telling_progress(
    run: RunFolder, listener: Listener, total: int, called_off: Callable[[], bool]
) -> Callable[[int, int], None]:
    """Return what tells the folder and ``listener`` how many of ``total`` cases are prepared, call after call.

    Where ``called_off`` says so the job ends, as its orders want: thousands of cases take hours.
    """
    done = 0

    def tell(_done: int, _of: int) -> None:
        nonlocal done
        done += 1
        run.emit("prepared", done=done, total=total)
        listener({"kind": "prepared", "done": done, "total": total})
        if called_off():
            raise _CalledOff

    return tell


class Interruption:
    """Whether Ctrl-C or a termination signal came; the loop asks between steps. A second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self) -> bool:
        """Return whether it came."""
        return self.came

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch the signals while the block runs."""

        def note(_number: int, _frame: object) -> None:
            self.came = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def provenance(material: Material, parents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``run.json`` says of where a run comes from."""
    packages = ("napari-mmssl", "torch", "monai", "numpy", "SimpleITK", "nibabel")
    return {
        "format": 1,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "data": {
            "folder": str(material.cohort.root),
            "layout": material.cohort.layout,
            "cases": len(material.cohort.cases),
            "fingerprint": fingerprint(material.cohort),
        },
        "split": {
            "train": list(material.split.train),
            "validation": list(material.split.validation),
            "test": list(material.split.test),
        },
        "used": {
            "train": [case.id for case in material.train],
            "validation": [case.id for case in material.validation],
        },
        "parents": parents,
    }


def set_threads() -> None:
    """Let torch compute in as many threads as :func:`~napari_mmssl.processors.thread_count` tells."""
    import torch

    torch.set_num_threads(thread_count())
