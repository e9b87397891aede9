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

    @abstractmethod
    def step(self, batch: PatchBatch) -> StepResult:
        """Return the loss terms of one batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Return metrics on the subjects that are not learned from; empty if there are none."""

    @abstractmethod
    def pictures(self, step: int) -> list[Picture]:
        """Return what a person should see of the network as it is now."""

    @abstractmethod
    def card(self) -> dict[str, Any]:
        """Return what whoever loads the weights must know."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the weights that others load, and their card, into ``folder``."""
