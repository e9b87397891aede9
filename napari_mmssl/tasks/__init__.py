"""Downstream tasks, one file each: what is learned after pretraining, and how good it is.

Task files import torch inside functions only, so that forms, the command line and ``run.toml`` can read their
settings at once. Networks and losses are in :mod:`napari_mmssl.networks`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import Field

from napari_mmssl.config import Settings, resolve
from napari_mmssl.registry import Registry

if TYPE_CHECKING:  # modules of cohorts/ read label conventions from this package
    from torch import Tensor, nn

    from napari_mmssl.cohorts.case import Case, Cohort
    from napari_mmssl.cohorts.prepare import PreparedCase
    from napari_mmssl.networks.encoders import Encoder
    from napari_mmssl.pictures import Picture
    from napari_mmssl.sampling.batch import PatchBatch
    from napari_mmssl.tasks.label_convention import LabelConvention

Shape = tuple[int, int, int]
#: A case's row of the cohort's clinical table.
Clinical = Mapping[str, Any]


class TaskSettings(Settings):
    """What every task can be told."""

    name: str
    drop_modality: float = Field(0.1, ge=0, lt=1, title="Modality dropout", description="Probability for each")


@dataclass(frozen=True)
class Sampling:
    """What a task asks of the sampler; see :class:`napari_mmssl.sampling.sampler.PatchSampler`."""

    patch: Shape
    placement: Literal["random", "whole"] = "random"
    convention: "LabelConvention | None" = None
    label_share: float = 0.0


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network said of one case.

    Parameters
    ----------
    case
        As the network saw it.
    output
        Class probabilities ``(C, D, H, W)`` of a label map, or the head's numbers ``(n,)``.
    clinical
        The case's own row, which holds the truth of tasks that need no label map.
    """

    case: "PreparedCase"
    output: np.ndarray
    clinical: Clinical


S = TypeVar("S", bound=TaskSettings)


class Task(ABC, Generic[S]):
    """One downstream task.

    Parameters
    ----------
    settings
        Of the class given by :attr:`settings_class`.
    facts
        What :meth:`fit` found in the cohort: plain values, kept on the card of the weights.
    """

    settings_class: ClassVar[type[TaskSettings]]
    #: What a prediction is, and so what the task is learned from.
    gives: ClassVar[Literal["label map", "values"]]
    #: Which of :meth:`measure` chooses the best weights.
    best_metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    #: Which of a task's metrics stands for all in a comparison; more is better.
    headline: ClassVar[str]

    def __init__(self, settings: S, facts: Mapping[str, Any]) -> None:
        self.settings = settings
        self.facts = dict(facts)

    @classmethod
    @abstractmethod
    def lacks(cls, settings: S, case: "Case") -> str | None:
        """Return what ``case`` lacks to be learned from, such as ``"a label map"``; ``None`` if it serves."""

    @classmethod
    @abstractmethod
    def fit(
        cls, settings: S, cohort: "Cohort", cases: Sequence["Case"], label_values: Mapping[str, set[int]]
    ) -> tuple[dict[str, Any], str]:
        """Return what must be known of the cohort before the first step, and a sentence on it.

        Parameters
        ----------
        settings
            Of this task.
        cohort
            Where the cases come from.
        cases
            Those that are learned from.
        label_values
            Case id to the values in its label map, of watched cases too, if the task gives label maps.

        Raises
        ------
        ConfigError
            If nothing can be learned from these cases.
        """

    @abstractmethod
    def sampling(self, patch: Shape, cases: Sequence["PreparedCase"]) -> Sampling:
        """Return what the sampler must provide; ``patch`` is what ``data.patch`` says."""

    def prepare(self, cases: Sequence["PreparedCase"]) -> list["PreparedCase"]:
        """Return ``cases`` with whatever the task changes in them."""
        return list(cases)

    @abstractmethod
    def network(self, encoder: "Encoder", *, learning: bool) -> "nn.Module":
        """Return the network; without ``learning``, without the parts that only serve to learn."""

    @abstractmethod
    def losses(
        self, network: "nn.Module", pyramid: list["Tensor"], batch: "PatchBatch", clinical: Sequence[Clinical]
    ) -> dict[str, "Tensor"]:
        """Return the terms to minimise, given the features of the batch."""

    @abstractmethod
    def measure(self, answers: Sequence[Answer]) -> dict[str, float]:
        """Return metrics of what the network said of cases it did not learn from."""

    @abstractmethod
    def picture(self, answer: Answer, step: int) -> "Picture":
        """Return what a person should see of one answer."""


tasks: Registry[type[Task[Any]]] = Registry("task", __name__)


def task_from_card(card: Mapping[str, Any]) -> Task[Any]:
    """Return the task of weights by their card; cards of the time when there was one task are read too.

    Raises
    ------
    ConfigError
        If this version knows no such task or setting.
    """
    kind = tasks.get(str(card["task"]))
    settings = resolve(kind.settings_class, {"name": card["task"], **card.get("task_settings", {})}, prefix="task")
    return kind(settings, card)
