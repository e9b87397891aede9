"""What a terminal sees of a run; nothing where there is no terminal."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from napari_mmssl.workflows.running import Interruption


class ProgressLine:
    """Listen to a run's events and draw one line with loss, metrics and time left on stderr.

    Parameters
    ----------
    total
        Steps in all.
    metrics
        Metrics of validations to show, where they are reported.
    """

    def __init__(self, total: int, metrics: tuple[str, ...] = ()) -> None:
        self._metrics = metrics
        self._shown: dict[str, str] = {}
        # Some terminals (containers, recorders) say that they have no lines, and tqdm would hide the bar there.
        size = shutil.get_terminal_size()
        # disable=None: quiet when stderr is no terminal.
        self._bar = tqdm(total=total, disable=None, file=sys.stderr, unit="step", ncols=size.columns, nrows=size.lines)

    def __call__(self, event: dict[str, Any]) -> None:
        """Show ``event``."""
        kind = event["kind"]
        if kind == "prepared":
            self._bar.set_description(f"preparing case {event['done']}/{event['total']}")
        elif kind == "step":
            self._bar.set_description("")
            if "losses" in event:
                self._shown["loss"] = f"{event['losses']['total']:.3f}"
            self._bar.update(event["step"] - self._bar.n)
            self._bar.set_postfix(self._shown, refresh=False)
        elif kind == "validation":
            for name in self._metrics:
                value = event["metrics"].get(name)
                if value is not None:
                    self._shown["unseen " + name.removesuffix(".total").replace("_", " ")] = f"{value:.2f}"
        elif kind in ("warning", "convention"):
            tqdm.write(event["text"], file=sys.stderr)

    def close(self) -> None:
        """Finish the line."""
        self._bar.close()


@contextmanager
def watched(total: int, metrics: tuple[str, ...] = ()) -> Iterator[tuple[ProgressLine, "Interruption"]]:
    """Yield a line to listen with and what Ctrl-C sets; both end with the block.

    Parameters
    ----------
    total, metrics
        As of :class:`ProgressLine`.
    """
    from napari_mmssl.workflows.running import Interruption

    line, interruption = ProgressLine(total, metrics), Interruption()
    try:
        with interruption.watching():
            yield line, interruption
    finally:
        line.close()


def ended(interruption: "Interruption", done: str, out: Path) -> int:
    """Say what lies in ``out`` now, ``done`` or stopped, and return the exit code."""
    print(f"{'stopped; kept' if interruption.came else done}: {out}", file=sys.stderr)
    return 130 if interruption.came else 0
