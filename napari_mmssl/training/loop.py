"""The training loop: steps, orders, checkpoints, events; it knows nothing of what is trained."""

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from napari_mmssl.atomic import make_folder
from napari_mmssl.errors import ConfigError, MmsslError, RunFailed, WriteError
from napari_mmssl.networks.device_memory import is_out_of_memory, release
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.training.checkpoints import load_checkpoint, save_checkpoint
from napari_mmssl.training.compiling import compile_encoders
from napari_mmssl.training.distributed import Ranks, tells_of_a_lost_rank
from napari_mmssl.training.feed import feed
from napari_mmssl.training.gradient_step import GradientStep
from napari_mmssl.training.memory import advice, parted_text
from napari_mmssl.training.recompute import recompute_encoders
from napari_mmssl.training.run_folder import LOST_RANK, STATE_AFTER, Request, RunFolder, State
from napari_mmssl.training.settings import RunSettings
from napari_mmssl.training.tracking import Tracking
from napari_mmssl.training.trainee import Trainee

logger = logging.getLogger(__name__)

_STATUS_EVERY_S = 1.0
#: States that ranks may have to end in, the later the stronger.
_STATES: tuple[State, ...] = ("running", *STATE_AFTER.values())


@dataclass
class Loop:
    """One training in one run folder.

    Parameters
    ----------
    run
        Written to as the training goes.
    trainee
        What is trained; its modules are already on ``device``.
    settings
        Steps, learning rate, how often to look.
    device
        Where batches go.
    interrupted
        Asked between steps; true ends the training as *stop and keep* does.
    ranks
        The processes that share every batch; all but the first have a run folder that writes nothing.
    """

    run: RunFolder
    trainee: Trainee
    settings: RunSettings
    device: torch.device
    interrupted: Callable[[], bool] = lambda: False
    ranks: Ranks = field(default_factory=Ranks)
    _best: float | None = field(default=None, init=False)
    _first: dict[str, float] | None = field(default=None, init=False)
    _warned: set[str] = field(default_factory=set, init=False)
    _tracking: Tracking | None = field(default=None, init=False)

    def events(self, *, resume: bool = False) -> Iterator[dict[str, Any]]:
        """Train, yielding each event as it is written; the last one is ``ended``.

        Parameters
        ----------
        resume
            Go on from the last checkpoint, or from step 0 if there is none.

        Raises
        ------
        RunFailed
            If the training cannot go on; the run folder says why.
        """
        try:
            yield from self._train(resume)
            self._track(last=True)
        except MmsslError as error:
            raise self._failed(str(error)) from error
        except Exception as error:
            if is_out_of_memory(error):
                raise self._failed(advice(self.settings, self.device)) from error
            logger.error("%s", traceback.format_exc())
            if tells_of_a_lost_rank(error):
                raise self._failed(LOST_RANK) from error
            if isinstance(error, OSError) and error.filename:  # a disk that is gone; writing tells of itself
                raise self._failed(f"cannot reach '{error.filename}': {error.strerror}") from error
            raise self._failed(f"{type(error).__name__}: {error} (details in {self.run.path / 'log.txt'})") from error

    def _train(self, resume: bool) -> Iterator[dict[str, Any]]:
        how = self.settings.optimisation
        self.ranks.check(how.batch_size, self.trainee.smallest_part)
        if how.accumulate > 1 and self.trainee.smallest_part * how.accumulate > how.batch_size // self.ranks.world:
            raise ConfigError(_too_many_parts(self.settings, self.trainee.smallest_part))
        if how.recompute:
            for module in self.trainee.modules.values():
                recompute_encoders(module)
        if how.compile:
            for module in self.trainee.modules.values():
                compile_encoders(module)
        move = GradientStep(self.trainee, self.settings, self.device, self.ranks)
        start = self._restore(move.optimiser) if resume else 0
        self.run.set_status("running", step=start, total=how.steps, eta_s=None, reason=None)
        self._tracking = Tracking(self.run) if self.ranks.is_first else None
        if start == 0:
            yield from self._look(0)
        yield from self._steps(move, start)

    def _steps(self, move: GradientStep, start: int) -> Iterator[dict[str, Any]]:
        how, clock = self.settings.optimisation, _Clock(start, self.settings.optimisation.steps)
        state: State = "done"
        request, step, told = None, start, list[dict[str, Any]]()
        batches = feed(
            self.ranks.share(self.trainee.batches),
            start,
            how.steps,
            workers=self.ranks.loader_processes(self.settings.data.workers, self.device),
            pin_memory=self.device.type == "cuda",
            told=lambda at, text: told.append(self._emit("warning", step=at, about="loader", text=text)),
        )
        for batch in clock.waiting_for(batches):
            yield from told
            told.clear()
            request = self._order()
            state = self._decided(request)
            if state != "running":
                break
            yield from self._step(move, batch.to(self.device), step)
            step += 1
            clock.tick(step)
            if step % self.settings.validate_every == 0 or step == how.steps:
                yield from self._look(step)
            if step % self.settings.checkpoint_every == 0:
                yield self._checkpoint(move.optimiser, step)
            if clock.due():
                self.run.set_status("running", step=step, total=how.steps, eta_s=clock.eta_s(), **clock.told())
                self._track()
        else:
            state, request = "done", None
        yield from self._end(move.optimiser, step, state, request, clock)

    def _decided(self, request: Request | None) -> State:
        """Return the state to end in, or *running*; the same on all ranks, whoever of them got the order or signal."""
        wanted: State = "stopped" if self.interrupted() else "running"
        if request is not None:
            wanted = STATE_AFTER[request.order]
        return _STATES[self.ranks.greatest(_STATES.index(wanted))]

    def _step(self, move: GradientStep, batch: PatchBatch, step: int) -> Iterator[dict[str, Any]]:
        stepped = None
        try:
            stepped = move.gradients(batch, step)
        except Exception as error:
            if not is_out_of_memory(error) or not move.halve():
                raise
        if stepped is None:
            # Out here, since the error holds on to all that was computed before it.
            release(self.device)
            text = parted_text(self.settings, move.parts, step, self.device)
            yield self._emit("warning", step=step, about="memory", parts=move.parts, text=text)
            # Once: what does not fit now either would cost a training many times its time in ever smaller parts.
            stepped = move.gradients(batch, step)
        rate = learning_rate(step, self.settings)
        norm = move.move(rate)
        yield self._emit(
            "step",
            step=step + 1,
            losses={name: _json_number(value) for name, value in stepped.losses.items()},
            metrics={name: _json_number(value) for name, value in stepped.metrics.items()},
            learning_rate=rate,
            gradient_norm=_json_number(norm),
        )

    def _look(self, step: int) -> Iterator[dict[str, Any]]:
        """Measure and picture the network as it is; the first rank alone does, and the others wait at the next step."""
        if not self.ranks.is_first:
            return
        for module in self.trainee.modules.values():
            module.eval()
        with torch.no_grad():
            metrics = self.trainee.validate()
            pictures = self.trainee.pictures(step)
        for picture in pictures:
            self.run.save_picture(picture)
        if metrics:
            self._keep_best(metrics, step)
            yield self._emit(
                "validation", step=step, metrics={name: _json_number(value) for name, value in metrics.items()}
            )
            yield from self._warn(metrics, step)

    def _warn(self, metrics: dict[str, float], step: int) -> Iterator[dict[str, Any]]:
        """Tell what the trainee worries about, each kind once."""
        if self._first is None:
            before = (event["metrics"] for event in self.run.events()[0] if event["kind"] == "validation")
            self._first = {name: value for name, value in next(before, metrics).items() if value is not None}
        for kind, text in self.trainee.warnings(self._first, metrics).items():
            if kind not in self._warned:
                self._warned.add(kind)
                yield self._emit("warning", step=step, about=kind, text=text)

    def _keep_best(self, metrics: dict[str, float], step: int) -> None:
        value = metrics.get(self.trainee.best_metric, math.nan)
        if step == 0 or math.isnan(value):
            return
        better = self._best is None or (value > self._best) == self.trainee.higher_is_better
        if better and value != self._best:
            self._best = value
            save_checkpoint(self._file("best"), self.trainee, None, step, best=value)

    def _checkpoint(self, optimiser: torch.optim.Optimizer, step: int) -> dict[str, Any]:
        if self.ranks.is_first:
            save_checkpoint(self._file("last"), self.trainee, optimiser, step, best=self._best)
        return self._emit("checkpoint", step=step)

    def _restore(self, optimiser: torch.optim.Optimizer) -> int:
        if not self._file("last").is_file():
            self.run.cut_events_after(-1)
            return 0
        step, self._best = load_checkpoint(self._file("last"), self.trainee, optimiser)
        self.run.cut_events_after(step)
        return step

    def _end(
        self, optimiser: torch.optim.Optimizer, step: int, state: State, request: Request | None, clock: "_Clock"
    ) -> Iterator[dict[str, Any]]:
        if not self.ranks.is_first:
            return
        if state == "cancelled":
            self.run.discard()
        else:
            yield self._checkpoint(optimiser, step)
            if state != "paused":
                if self.trainee.keeps_best and self._file("best").is_file():
                    load_checkpoint(self._file("best"), self.trainee, None)
                make_folder(self.run.path / "weights", parents=False)
                self.trainee.export(self.run.path / "weights")
        if request is not None:
            self.run.answer(request, step=step)
        self.run.set_status(state, step=step, total=self.settings.optimisation.steps, eta_s=None, **clock.told())
        yield self._emit("ended", step=step, state=state)

    def _failed(self, reason: str) -> RunFailed:
        try:
            self.run.set_status("failed", reason=reason, eta_s=None)
            self._emit("ended", state="failed", reason=reason)
        except (WriteError, OSError) as error:
            # A full disk, or one that is gone, cannot say why; the sentence still reaches whoever started the run.
            logger.error("%s", error)
        self._track(last=True)
        return RunFailed(reason)

    def _track(self, *, last: bool = False) -> None:
        if self._tracking is not None:
            (self._tracking.close if last else self._tracking.catch_up)()

    def _order(self) -> Request | None:
        pending = self.run.pending()
        for superseded in pending[:-1]:
            self.run.answer(superseded, superseded=True)
        return pending[-1] if pending else None

    def _file(self, name: str) -> Any:
        folder = self.run.path / "checkpoints"
        make_folder(folder, parents=False)
        return folder / f"{name}.safetensors"

    def _emit(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.run.emit(kind, **fields)
        return {"kind": kind, **fields}


def learning_rate(step: int, settings: RunSettings) -> float:
    """Return the rate of one step: a linear rise over the warm-up, then half a cosine down to 0."""
    how = settings.optimisation
    rising = max(1, round(how.warmup * how.steps))
    if step < rising:
        return how.learning_rate * (step + 1) / rising
    done = (step - rising) / max(1, how.steps - rising)
    return how.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _too_many_parts(settings: RunSettings, smallest: int) -> str:
    how = settings.optimisation
    if not smallest:
        return "this training compares all samples of a batch at once; set optimisation.accumulate to 1"
    return (
        f"optimisation.accumulate={how.accumulate} leaves fewer than {smallest} of {how.batch_size} samples a part, "
        f"and the losses need {smallest}; set --batch-size to {smallest * how.accumulate} or more"
    )


def _json_number(value: float) -> float | None:
    """Return ``value``, or ``None`` where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None


class _Clock:
    """Time left, from the mean of the steps done since the start, and how much of it batches were waited for."""

    def __init__(self, start: int, total: int) -> None:
        self._start, self._total, self._step = start, total, start
        self._began = self._last = time.monotonic()
        self._first_batch: float | None = None
        self._waited_s = 0.0

    def waiting_for(self, batches: Iterable[PatchBatch]) -> Iterator[PatchBatch]:
        """Yield ``batches``. The wait for the first one, in which loader processes start, does not count."""
        began = time.monotonic()
        for batch in batches:
            now = time.monotonic()
            if self._first_batch is None:
                self._first_batch = now
            else:
                self._waited_s += now - began
            yield batch
            began = time.monotonic()

    def tick(self, step: int) -> None:
        self._step = step

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < _STATUS_EVERY_S:
            return False
        self._last = now
        return True

    def told(self) -> dict[str, float]:
        """Return what the status says of speed: seconds a step, and the share of the time that batches took."""
        told = {"step_s": round(self._step_s(), 4)} if self._step > self._start else {}
        since = time.monotonic() - (self._first_batch or self._began)
        return told | {"feed_wait": round(self._waited_s / since, 4) if since > 0 else 0.0}

    def eta_s(self) -> float:
        return self._step_s() * (self._total - self._step)

    def _step_s(self) -> float:
        return (time.monotonic() - self._began) / max(1, self._step - self._start)
