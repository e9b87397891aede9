"""Work on one of napari's threads, with its end told in the main one: a value, or a sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error

from napari_mmssl.errors import MmsslError


@dataclass(frozen=True)
class Outcome:
    """What a function on a thread came to: a value, or the error it ended with."""

    value: Any = None
    error: Exception | None = None


def in_thread(
    work: Callable[[], Any],
    done: Callable[[Any], None],
    failed: Callable[[str], None],
    *,
    name: str,
    unwanted: Callable[[], bool] = lambda: False,
    shown: bool = False,
) -> None:
    """Run ``work`` on a thread, then ``done`` with its value, or ``failed`` with a sentence, in the main thread.

    Parameters
    ----------
    work
        Must touch no widget and no layer.
    done, failed
        An error that is not ours goes on to napari after ``failed``, with its traceback.
    name
        What napari calls it while it runs.
    unwanted
        Asked at the end; if so, nothing is called: whoever waited for it is gone.
    shown
        Show it in napari's activity dock.
    """

    def guarded() -> Outcome:
        try:
            return Outcome(work())
        # Whatever it is, it must reach the person: superqt drops RuntimeErrors of some workers silently.
        except Exception as error:  # noqa: BLE001
            return Outcome(error=error)

    def back(outcome: Outcome) -> None:
        if unwanted():
            return
        if outcome.error is None:
            done(outcome.value)
            return
        failed(str(outcome.error))
        if not isinstance(outcome.error, MmsslError):
            raise outcome.error
        show_error(str(outcome.error))

    guarded.__qualname__ = name
    create_worker(guarded, _connect={"returned": back}, _progress={"desc": name} if shown else None)
