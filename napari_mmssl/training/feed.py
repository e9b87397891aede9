"""The batches of a training in order, from processes that load ahead."""

import gc
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from napari_mmssl.errors import MmsslError, ReadError, RunFailed

logger = logging.getLogger(__name__)
#: What torch says of a loader process that is gone, and of the thread that pins batches when it meets such a one.
_DEATHS = ("DataLoader worker (pid", "Pin memory thread exited")
#: A loader process that dies again within so many steps would die for ever.
_STEPS_BETWEEN_DEATHS = 100


def feed(
    batches: Dataset[Any],
    start: int,
    stop: int,
    *,
    workers: int,
    pin_memory: bool,
    told: Callable[[int, str], None] = lambda step, text: None,
) -> Iterator[Any]:
    """Yield the batches of steps ``start`` to ``stop``.

    A loader process that dies (killed for its memory, for example) is replaced, from the very batch that is missing:
    every batch follows from its number alone. Where shared memory, through which batches come, has too little room (64
    MB in a container that was not given more), half as many go on, and in the end none.

    Parameters
    ----------
    batches
        By number.
    workers
        Loader processes; with 0 batches are made between steps.
    pin_memory
        Whether they are put where a GPU can fetch them while it computes.
    told
        Called with the step and a sentence when loader processes are started anew.

    Raises
    ------
    RunFailed
        If loader processes die twice in few steps.
    ReadError
        If a batch cannot be read.
    """
    step, last_death = start, None
    while step < stop:
        source = _Shared(batches) if workers else batches
        loader = DataLoader(
            source, batch_size=None, sampler=range(step, stop), num_workers=workers, pin_memory=pin_memory
        )
        try:
            for batch in _quietly_started(loader):
                yield batch
                step += 1
        except _NoRoom as error:
            logger.error("%s", error)
            told(step, _no_room_text(step, workers))
            workers //= 2
        except (RuntimeError, OSError, EOFError) as error:
            if not workers or not _tells_of_a_death(error):
                raise
            if last_death is not None and step - last_death < _STEPS_BETWEEN_DEATHS:
                raise RunFailed(
                    f"loader processes were killed twice, last at step {step}, most often for want of memory, or of "
                    f"shared memory in a container; set --workers below {workers} and resume the run"
                ) from error
            last_death = step
            told(step, f"a loader process was killed at step {step}; all of them were started anew from that step")
        except MmsslError as error:
            if workers:
                # torch puts the loader's traceback into the message.
                logger.error("%s", error)
                raise ReadError(str(error).strip().splitlines()[-1].partition(": ")[2] or str(error)) from error
            raise
        # A loader that failed is held by its own error; what its processes had loaded goes when it goes.
        gc.collect()


class _NoRoom(Exception):
    """Shared memory cannot take a batch."""


@dataclass(frozen=True)
class _Shared(Dataset[Any]):
    """Batches that lie in shared memory when they are returned.

    Left to torch they are put there by a thread of the loader process whose errors reach nobody: the training would
    wait for the batch for ever.
    """

    batches: Dataset[Any]

    def __getitem__(self, step: int) -> Any:
        """Return the batch of ``step``."""
        batch = self.batches[step]
        try:
            return batch.share_memory_()
        except RuntimeError as error:
            raise _NoRoom(str(error)) from error


def _no_room_text(step: int, workers: int) -> str:
    left = workers // 2
    rest = {0: "patches are cut between the steps", 1: "one loads ahead"}.get(left, f"{left} load ahead")
    return (
        f"shared memory has too little room for the batches of {workers} loader processes; from step {step} on {rest}; "
        "give it more, in a container by docker run --shm-size=8g or --ipc=host"
    )


def _tells_of_a_death(error: Exception) -> bool:
    """Whether ``error`` comes of a loader process that is gone, and not of what one did."""
    if str(error).startswith("Caught"):  # torch's word for an error within a loader process
        return False
    # A batch that had been made lies with the process that made it: fetching it then fails like a connection.
    if isinstance(error, ConnectionError | EOFError | FileNotFoundError):
        return True
    return any(words in str(error) for words in _DEATHS)


def _quietly_started(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the loader processes, and undo that torch raises an error wherever the program stands when one dies.

    It might stand in the middle of moving the weights, or of writing a file. Whoever waits for the next batch is told
    all the same, five seconds later at most.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    iterator = iter(loader)
    # torch sets its handler once a process: with any other loader before this one it is there already.
    of_torch = getattr(before, "__module__", "").startswith("torch.")
    signal.signal(signal.SIGCHLD, signal.SIG_DFL if of_torch or before is None else before)
    return iterator
