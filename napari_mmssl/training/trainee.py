"""All that the training loop knows of what it trains."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from napari_mmssl.pictures import Picture
from napari_mmssl.sampling.batch import PatchBatch


@dataclass(frozen=True)
class StepResult:
    """Loss terms with their gradients still attached, and numbers to report."""

    terms: Mapping[str, Tensor]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Player:
    """Modules that are optimised together, apart from those of other players.

    Adam keeps its moments for each weight alone, so one optimiser with a group for each player takes the very steps
    of an optimiser for each; gradients are clipped player by player. Losses of one player must not reach the weights
    of another: see :mod:`napari_mmssl.synthesis.losses`.

    Parameters
    ----------
    modules
        Names among :attr:`Trainee.modules`.
    betas
        Decay of Adam's two moments.
    weight_decay
        ``None``: as the settings say.
    """

    modules: tuple[str, ...]
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float | None = None


class Trainee(ABC):
    """Something that can be trained: a pretraining, a fine-tuning, a pair of generators.

    Pause, resume, faults and the run folder are written once, in the loop, for all of them.
    """

    #: Every module with weights, by the name its tensors have in checkpoints.
    modules: Mapping[str, nn.Module]
    #: The batch of every step.
    batches: Dataset[PatchBatch]
    #: Which validation metric is best, and whether more of it is better.
    best_metric: str
    higher_is_better: bool = True
    #: Whether the weights of the best validation are exported rather than the last.
    keeps_best: bool = False
    #: Fewest samples that a part of a batch must have so that its losses are still those of the trainee; 0: a batch
    #: cannot be parted (unpaired streams, risk sets over all samples).
    smallest_part: int = 0

    def players(self) -> tuple[Player, ...]:
        """Return who is optimised apart from whom; one player with all modules unless there are adversaries."""
        return (Player(tuple(self.modules)),)

    @abstractmethod
    def step(self, batch: PatchBatch) -> StepResult:
        """Return the loss terms of one batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return metrics on the subjects that are not learned from; empty if there are none."""

    def warnings(self, first: Mapping[str, float], now: Mapping[str, float]) -> dict[str, str]:
        """Return what a person should be warned of, by a name for each kind; each kind is told once.

        Parameters
        ----------
        first, now
            What :meth:`validate` gave before the first step, and what it gives now.
        """
        return {}

    @abstractmethod
    def pictures(self, step: int) -> list[Picture]:
        """Return what a person should see of the network as it is now."""

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """Return what whoever loads the weights must know."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the weights that others load, and their card, into ``folder``."""
