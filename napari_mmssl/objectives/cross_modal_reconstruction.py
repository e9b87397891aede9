"""Cross-modal reconstruction: hidden blocks are filled from another modality of the same subject."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.errors import ConfigError
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.reconstruction import (
    BlockSettings,
    Filled,
    Reconstruction,
    ReconstructionSettings,
    Shape,
    draw_kept,
    draw_target,
    take_targets,
)
from napari_mmssl.objectives.template_distillation import ShowTemplates, TemplateDistillation
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch


class CrossModalSettings(ReconstructionSettings):
    """Settings of cross-modal reconstruction."""

    template_until: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Template until",
        description="Share of the budget in which blocks are filled from the template instead",
    )


@objectives.register(
    "cross_modal_reconstruction",
    summary="Restore hidden blocks of one modality that show another modality of the same subject",
    source="BrainMVP, arXiv:2410.10604, cross-modal reconstruction",
)
class CrossModalReconstruction(Reconstruction[CrossModalSettings]):
    """Restore a modality from an eighth of itself and the rest of another one.

    A subject with one modality is filled from that modality's template if the recipe learns templates, and with 0,
    the body's mean, if not; the share of such samples is the metric ``cross_modal_fallbacks``. With
    ``template_until`` every sample is filled from the template at first, as the authors' release does for a
    fifth of its budget (the paper does not say so).
    """

    settings_class = CrossModalSettings
    view = "cross_modal/filled"
    metric = "cross_modal"

    @classmethod
    def needs(cls, settings: CrossModalSettings) -> Needs:
        """Two modalities of a person; those who have one take part as masked or template reconstruction."""
        return Needs(placement=settings.placement, partners=True)

    def __init__(
        self, settings: CrossModalSettings, encoder: Encoder, vocabulary: tuple[str, ...], patch: Shape
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self._show: ShowTemplates | None = None

    def join(self, others: Mapping[str, Objective[Any]]) -> None:
        """Take templates from template distillation, if there is one.

        Raises
        ------
        ConfigError
            If templates are asked for and there are none.
        """
        templates = others.get("template_distillation")
        if isinstance(templates, TemplateDistillation):
            self._show = templates.show
        elif self.settings.template_until > 0:
            raise ConfigError(
                "setting 'objectives.cross_modal_reconstruction.template_until' needs templates; add the objective "
                "template_distillation to the recipe, or set it to 0"
            )

    def hide(self, batch: PatchBatch) -> Filled:
        """Return one modality of each sample with its hidden blocks filled from another."""
        return fill_from_other(batch, self.settings, self._show, self.settings.template_until)

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the reconstruction error, with the gain over copying the other modality as metric."""
        losses = super().losses(batch, views, features)
        share = views.memory.fallbacks / len(batch)
        return replace(losses, metrics={**losses.metrics, "cross_modal_fallbacks": share})


def fill_from_other(
    batch: PatchBatch, settings: BlockSettings, show: ShowTemplates | None, template_until: float = 0.0
) -> Filled:
    """Return one modality of each sample, its hidden blocks filled from another one of the same subject.

    Parameters
    ----------
    batch
        Aligned modalities.
    settings
        How much is hidden.
    show
        Templates for samples with one modality; ``None``: those are filled with 0.
    template_until
        Share of the budget before which all samples are filled from templates.
    """
    samples = range(len(batch))
    channel = [draw_target(batch, sample) for sample in samples]
    early = batch.progress < template_until
    other = [None if early else _draw_other(batch, sample, channel[sample]) for sample in samples]
    fallback = torch.zeros_like(batch.volumes[:, :1])
    if None in other and show is not None:
        fallback = show(batch, channel)
    filler: Tensor = torch.stack(
        [
            fallback[sample] if one is None else batch.volumes[sample, one].unsqueeze(0)
            for sample, one in enumerate(other)
        ]
    )
    kept = draw_kept(batch, settings, "cross-modal blocks")
    return Filled(channel, take_targets(batch, channel), kept, filler, other.count(None))


def _draw_other(batch: PatchBatch, sample: int, target: int) -> int | None:
    others = [channel for channel in batch.channels(sample) if channel != target]
    if not others:
        return None
    return int(counted_rng(int(batch.seed[sample]), purpose="other modality").choice(others))
