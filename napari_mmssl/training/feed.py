"""The batches of a training in order, from processes that load ahead."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from napari_mmssl.errors import MmsslError, ReadError, RunFailed

logger = logging.getLogger(__name__)
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
    every batch follows from its number alone.

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
        loader = DataLoader(
            batches, batch_size=None, sampler=range(step, stop), num_workers=workers, pin_memory=pin_memory
        )
        try:
            for batch in _quietly_started(loader):
                yield batch
                step += 1
        except (RuntimeError, OSError, EOFError) as error:
            if not workers or not _tells_of_a_death(error):
                raise
            if last_death is not None and step - last_death < _STEPS_BETWEEN_DEATHS:
                raise RunFailed(
                    f"loader processes were killed twice, last at step {step}, most often for want of memory; "
                    f"set --workers below {workers} and resume the run"
                ) from error
            last_death = step
            told(step, f"a loader process was killed at step {step}; all of them were started anew from that step")
        except MmsslError as error:
            if workers:
                # torch puts the loader's traceback into the message.
                logger.error("%s", error)
                raise ReadError(str(error).strip().splitlines()[-1].partition(": ")[2] or str(error)) from error
            raise


def _tells_of_a_death(error: Exception) -> bool:
    """Whether ``error`` comes of a loader process that is gone, and not of what one did."""
    if str(error).startswith("Caught"):  # torch's word for an error within a loader process
        return False
    # A batch that had been made lies with the process that made it: fetching it then fails like a connection.
    return isinstance(error, ConnectionError | EOFError | FileNotFoundError) or "DataLoader worker (pid" in str(error)


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
