"""Self-supervised objectives (pretext tasks), one file each, and the recipes that mix them.

An objective never calls the encoder. It says which views of a batch it wants encoded; the step
encodes each distinct view once and hands the features to every objective that asked, so that a
mix costs what its distinct views cost.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from torch import Tensor, nn

from napari_mmssl.config import Settings
from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.pictures import PictureItem
from napari_mmssl.registry import Registry
from napari_mmssl.sampling.batch import PatchBatch

C = TypeVar("C", bound=Settings)


@dataclass(frozen=True)
class Needs:
    """What an objective asks of the sampler.

    Parameters
    ----------
    modalities
        Least number of modalities a subject must have.
    subjects
        Least number of distinct subjects in a batch.
    placement
        ``random`` patches inside the body, or the ``whole`` body in one patch.
    channels
        What the encoder takes: ``one`` modality, whichever it is, or ``all`` of the vocabulary as channels.
    partners
        Whether it loses what it is for where nobody has two modalities; it still runs, and the run warns.
    """

    modalities: int = 1
    subjects: int = 1
    placement: Literal["random", "whole"] = "random"
    channels: Literal["one", "all"] = "one"
    partners: bool = False


@dataclass(frozen=True)
class Views:
    """Network inputs by name, and whatever the objective must remember until the losses.

    Equal names mean equal inputs: such a view is encoded once for all objectives.
    """

    inputs: Mapping[str, Tensor]
    memory: Any = None


@dataclass(frozen=True)
class Losses:
    """Named terms to minimise (scalars with a gradient) and numbers to report."""

    terms: Mapping[str, Tensor]
    metrics: Mapping[str, float] = field(default_factory=dict)


#: Features of one view: the encoder's pyramid, finest level first.
Features = Mapping[str, list[Tensor]]


class Objective(nn.Module, ABC, Generic[C]):
    """A self-supervised objective: a module in four parts.

    Heads, decoders and learned templates belong to the objective and are saved with it.

    Parameters
    ----------
    settings
        Of the class given by :attr:`settings_class`.
    encoder
        Only what it declares may be used (channels, strides); never its ``forward``.
    vocabulary
        Names of the modalities in every batch.
    patch
        Shape of the patches, for heads that depend on it.
    """

    settings_class: ClassVar[type[Settings]]

    def __init__(self, settings: C, encoder: Encoder, vocabulary: tuple[str, ...], patch: tuple[int, int, int]) -> None:
        super().__init__()
        self.settings = settings

    def join(self, others: Mapping[str, "Objective[Any]"]) -> None:
        """Get to know the other objectives of the recipe, by name, before training.

        An objective may use what another one makes or has learned (its views, its templates, its decoder). It
        keeps that as a method, not as a module, so that nothing is saved or optimised twice.

        Raises
        ------
        ConfigError
            If the recipe lacks an objective that this one's settings ask for.
        """

    @classmethod
    @abstractmethod
    def needs(cls, settings: C) -> Needs:
        """Return what the sampler must provide."""

    @abstractmethod
    def views(self, batch: PatchBatch) -> Views:
        """Return the network inputs this objective wants encoded, ``(n, 1, d, h, w)``.

        With all modalities as channels they are ``(n, K, d, h, w)``, absent ones as fine-tuning leaves them out.
        All chance comes from ``batch.seed``; in evaluation mode (``self.training`` false) nothing
        but the task itself is left to chance.
        """

    @abstractmethod
    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the loss terms and metrics, given the features of every view asked for."""

    def carried_decoder(self) -> UNetDecoder | None:
        """Return the U-Net decoder that fine-tuning of a segmentation goes on with, if this objective has one."""
        return None

    def warning(self, first: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """Return a sentence if something goes wrong that a loss does not show, such as a collapse.

        Parameters
        ----------
        first, now
            Metrics on unseen subjects before the first step, and now.
        """
        return None

    @abstractmethod
    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return what a person should see of the first sample, and plain details to go with it."""


objectives: Registry[type[Objective[Any]]] = Registry("objective", "napari_mmssl.objectives")
