"""Modality-wise template distillation: hidden blocks are filled from a learned volume of the modality."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.templates import ModalityTemplates
from napari_mmssl.objectives import Features, Objective, Views, objectives
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
from napari_mmssl.pictures import PictureItem
from napari_mmssl.sampling.batch import PatchBatch

#: From a batch and a channel for each sample to what templates show there, ``(B, 1, D, H, W)``.
ShowTemplates = Callable[[PatchBatch, list[int]], Tensor]


class TemplateSettings(ReconstructionSettings):
    """Settings of template distillation."""

    template: Shape = Field((48, 56, 48), title="Template", description="Voxels along (S, A, R) over the whole body")
    margin: float = Field(0.1, ge=0, le=1, title="Margin", description="By how much a template exceeds the body")
    speed: float = Field(
        10.0, gt=0, le=1000, title="Speed", description="How much faster than the network templates learn"
    )


@objectives.register(
    "template_distillation",
    summary="Restore hidden blocks that show a learned template of the modality, placed by world position",
    source="BrainMVP, arXiv:2410.10604, modality-wise data distillation",
)
class TemplateDistillation(Reconstruction[TemplateSettings]):
    """Learn one template for each modality by what helps to restore patches whose blocks it fills.

    Gradients reach a template through the hidden voxels alone. Templates start at 0, the body's mean,
    and are in the units of the volumes, so the release's rescaling of a template to [0, 1] is not needed. In a
    recipe with cross-modal reconstruction one decoder serves both, as in the paper.
    """

    settings_class = TemplateSettings
    view = "template/filled"
    metric = "template"

    def __init__(self, settings: TemplateSettings, encoder: Encoder, vocabulary: tuple[str, ...], patch: Shape) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.templates = ModalityTemplates(
            len(vocabulary), settings.template, margin=settings.margin, speed=settings.speed
        )

    def join(self, others: Mapping[str, Objective[Any]]) -> None:
        """Share the decoder of cross-modal reconstruction, if there is one."""
        lender = others.get("cross_modal_reconstruction")
        if isinstance(lender, Reconstruction):
            self.borrow_decoder(lender)

    def show(self, batch: PatchBatch, channel: list[int]) -> Tensor:
        """Return what the templates of ``channel`` show where the patches lie, ``(B, 1, D, H, W)``."""
        return show_templates(self.templates, batch, channel)

    def hide(self, batch: PatchBatch) -> Filled:
        """Return one modality of each sample with its hidden blocks filled from its template."""
        return fill_from_template(batch, self.settings, self.show)

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the reconstruction, and each modality's template laid over the first sample's body."""
        items, details = super().picture(batch, views, features)
        affine = self.templates.affine(batch.body_box_mm[0].cpu().numpy())
        volumes = self.templates.volumes().detach().cpu().numpy()
        items += [
            PictureItem(f"template {name}", "image", volume, affine, f"What has been learned of {name} in everybody")
            for name, volume in zip(batch.vocabulary, volumes, strict=True)
        ]
        return items, details


def show_templates(templates: ModalityTemplates, batch: PatchBatch, channel: list[int]) -> Tensor:
    """Return what the templates of ``channel`` show where the patches lie, ``(B, 1, D, H, W)``."""
    z, y, x = batch.volumes.shape[2:]
    shown: Tensor = templates(torch.tensor(channel), batch.patch_to_world, batch.body_box_mm, (z, y, x))
    return shown


def fill_from_template(batch: PatchBatch, settings: BlockSettings, show: ShowTemplates) -> Filled:
    """Return one modality of each sample, its hidden blocks filled from that modality's template."""
    channel = [draw_target(batch, sample) for sample in range(len(batch))]
    kept = draw_kept(batch, settings, "template blocks")
    return Filled(channel, take_targets(batch, channel), kept, show(batch, channel))
