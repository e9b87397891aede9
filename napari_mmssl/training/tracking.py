"""TensorBoard's event files beside ``events.jsonl``, where TensorBoard is installed."""

import logging
import shutil
from collections.abc import Mapping
from typing import Any

from napari_mmssl.training.run_folder import RunFolder

logger = logging.getLogger(__name__)


class Tracking:
    """Writes what ``events.jsonl`` says into ``RUN/tensorboard``, for whoever compares runs there.

    It reads the run folder as any other reader does, so nothing stands in one place and not in the other. A resumed
    run, whose events were cut, gets its files written anew from the first step. Without TensorBoard, or when its files
    cannot be written, the log says so once and the training goes on.

    Parameters
    ----------
    run
        The training's folder, cut to where it goes on from.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run, self._offset, self._last_s = run, 0, 0.0
        self._writer: Any = None
        try:
            # Asked for here, since the package is an extra and takes half a second to load.
            from torch.utils.tensorboard import FileWriter
        except ImportError:
            logger.info("no files for TensorBoard are written: pip install 'napari-mmssl[tensorboard]'")
            return
        folder = run.path / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self._writer = FileWriter(str(folder))
            self._writer.add_event(_beginning(), step=0)
        except OSError as error:
            self._give_up(error)

    def catch_up(self) -> None:
        """Write what was told since the last call, and leave nothing in buffers."""
        if self._writer is None:
            return
        events, self._offset = self._run.events(self._offset)
        try:
            for event in events:
                self._write(event)
            self._writer.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Write the rest and let go of the file."""
        self.catch_up()
        if self._writer is None:
            return
        try:
            self._writer.close()
        except (OSError, ValueError) as error:
            self._give_up(error)
        self._writer = None

    def _write(self, event: Mapping[str, Any]) -> None:
        when, numbers = float(event.get("time_s", 0.0)), scalars(event)
        if event["kind"] == "step":
            if 0 < self._last_s < when:
                numbers["steps_per_s"] = 1 / (when - self._last_s)
            self._last_s = when
        if numbers:
            self._writer.add_summary(_summary(numbers), event["step"], walltime=when)

    def _give_up(self, error: Exception) -> None:
        logger.warning("no more files for TensorBoard are written: %s", error)
        self._writer = None


def scalars(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in an event of a training by the names that TensorBoard groups; nulls are left out."""
    if event["kind"] == "step":
        named = {f"loss/{name}": value for name, value in event["losses"].items()}
        named |= {f"metric/{name}": value for name, value in event["metrics"].items()}
        named |= {name: event.get(name) for name in ("learning_rate", "gradient_norm")}
    elif event["kind"] == "validation":
        named = {f"validation/{name}": value for name, value in event["metrics"].items()}
    else:
        named = {}
    return {name: value for name, value in named.items() if value is not None}


def _summary(numbers: Mapping[str, float]) -> Any:
    # One message a step: a message a number, as SummaryWriter makes them, takes three times as long.
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()])


def _beginning() -> Any:
    """Return what makes a TensorBoard that looks on forget what it saw of steps that are cut."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    return Event(session_log=SessionLog(status=SessionLog.START))
