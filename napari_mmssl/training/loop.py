"""The training loop: steps, orders, checkpoints, events; it knows nothing of what is trained."""

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from napari_mmssl.errors import MmsslError, RunFailed, WriteError
from napari_mmssl.randomness import counted_seed
from napari_mmssl.training.checkpoints import load_checkpoint, save_checkpoint
from napari_mmssl.training.run_folder import Request, RunFolder, State
from napari_mmssl.training.settings import RunSettings
from napari_mmssl.training.trainee import StepResult, Trainee

logger = logging.getLogger(__name__)

_STATUS_EVERY_S = 1.0
#: How an order ends a run.
_STATE_AFTER: dict[str, State] = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}


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
    """

    run: RunFolder
    trainee: Trainee
    settings: RunSettings
    device: torch.device
    interrupted: Callable[[], bool] = lambda: False
    _best: float | None = field(default=None, init=False)
    _first: dict[str, float] | None = field(default=None, init=False)
    _warned: set[str] = field(default_factory=set, init=False)

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
        except torch.cuda.OutOfMemoryError as error:
            optimisation, data = self.settings.optimisation, self.settings.data
            raise self._failed(
                f"the GPU has too little memory for {optimisation.batch_size} patches of {data.patch} voxels at once; "
                "try --set optimisation.batch_size=1, a smaller data.patch, or --device cpu"
            ) from error
        except MmsslError as error:
            raise self._failed(str(error)) from error
        except Exception as error:
            logger.error("%s", traceback.format_exc())
            raise self._failed(f"{type(error).__name__}: {error} (details in {self.run.path / 'log.txt'})") from error

    def _train(self, resume: bool) -> Iterator[dict[str, Any]]:
        how = self.settings.optimisation
        optimiser = self._optimiser()
        start = self._restore(optimiser) if resume else 0
        self.run.set_status("running", step=start, total=how.steps, eta_s=None, reason=None)
        loader = DataLoader(
            self.trainee.batches,
            batch_size=None,
            sampler=range(start, how.steps),
            num_workers=self.settings.data.workers,
            pin_memory=self.device.type == "cuda",
        )
        if start == 0:
            yield from self._look(0)
        clock = _Clock(start, how.steps)
        state: State = "done"
        step = start
        for batch in loader:
            request = self._order()
            if request is not None or self.interrupted():
                state = _STATE_AFTER[request.order] if request else "stopped"
                break
            yield self._step(optimiser, batch.to(self.device), step)
            step += 1
            clock.tick(step)
            if step % self.settings.validate_every == 0 or step == how.steps:
                yield from self._look(step)
            if step % self.settings.checkpoint_every == 0:
                yield self._checkpoint(optimiser, step)
            if clock.due():
                self.run.set_status("running", step=step, total=how.steps, eta_s=clock.eta_s())
        else:
            request = None
        yield from self._end(optimiser, step, state, request)

    def _step(self, optimiser: torch.optim.Optimizer, batch: Any, step: int) -> dict[str, Any]:
        torch.manual_seed(counted_seed(self.settings.seed, step, purpose="torch"))
        rate = learning_rate(step, self.settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        for module in self.trainee.modules.values():
            module.train()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            result: StepResult = self.trainee.step(batch)
        total = torch.stack(list(result.terms.values())).sum()
        if not torch.isfinite(total):
            raise RunFailed(
                f"the loss is not finite at step {step}; the last checkpoint is kept; "
                "try a smaller optimisation.learning_rate"
            )
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        clip = self.settings.optimisation.gradient_clip
        norms = [torch.nn.utils.clip_grad_norm_(group["params"], clip) for group in optimiser.param_groups]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        optimiser.step()
        losses = {name: float(term.detach()) for name, term in result.terms.items()} | {"total": float(total.detach())}
        metrics = {name: _json_number(value) for name, value in result.metrics.items()}
        return self._emit(
            "step",
            step=step + 1,
            losses=losses,
            metrics=metrics,
            learning_rate=rate,
            gradient_norm=_json_number(float(norm)),
        )

    def _look(self, step: int) -> Iterator[dict[str, Any]]:
        """Measure and picture the network as it is."""
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
        self, optimiser: torch.optim.Optimizer, step: int, state: State, request: Request | None
    ) -> Iterator[dict[str, Any]]:
        if state == "cancelled":
            for file in (*self.run.path.glob("checkpoints/*"), *self.run.path.glob("weights/*")):
                file.unlink()
        else:
            yield self._checkpoint(optimiser, step)
            if state != "paused":
                if self.trainee.keeps_best and self._file("best").is_file():
                    load_checkpoint(self._file("best"), self.trainee, None)
                (self.run.path / "weights").mkdir(exist_ok=True)
                self.trainee.export(self.run.path / "weights")
        if request is not None:
            self.run.answer(request, step=step)
        self.run.set_status(state, step=step, total=self.settings.optimisation.steps, eta_s=None)
        yield self._emit("ended", step=step, state=state)

    def _failed(self, reason: str) -> RunFailed:
        try:
            self.run.set_status("failed", reason=reason, eta_s=None)
            self._emit("ended", state="failed", reason=reason)
        except WriteError as error:
            # On a full disk the folder cannot say why; the sentence still reaches whoever started the run.
            logger.error("%s", error)
        return RunFailed(reason)

    def _order(self) -> Request | None:
        pending = self.run.pending()
        for superseded in pending[:-1]:
            self.run.answer(superseded, superseded=True)
        return pending[-1] if pending else None

    def _optimiser(self) -> torch.optim.Optimizer:
        """Return Adam with one group of weights for each player."""
        how = self.settings.optimisation
        groups = []
        for player in self.trainee.players():
            weights = [weight for name in player.modules for weight in self.trainee.modules[name].parameters()]
            decay = how.weight_decay if player.weight_decay is None else player.weight_decay
            groups.append({"params": weights, "betas": player.betas, "weight_decay": decay})
        return torch.optim.AdamW(groups, lr=how.learning_rate)

    def _file(self, name: str) -> Any:
        folder = self.run.path / "checkpoints"
        folder.mkdir(exist_ok=True)
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


def _json_number(value: float) -> float | None:
    """Return ``value``, or ``None`` where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None


class _Clock:
    """Time left, from the mean of the steps done since the start."""

    def __init__(self, start: int, total: int) -> None:
        self._start, self._total, self._step = start, total, start
        self._began = self._last = time.monotonic()

    def tick(self, step: int) -> None:
        self._step = step

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < _STATUS_EVERY_S:
            return False
        self._last = now
        return True

    def eta_s(self) -> float:
        done = max(1, self._step - self._start)
        return (time.monotonic() - self._began) / done * (self._total - self._step)
