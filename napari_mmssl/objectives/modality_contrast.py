"""Modality-aware contrast: the two fillings of a patch are told from those of other samples."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_mmssl.config import Settings
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.ranks import gathered
from napari_mmssl.networks.templates import ModalityTemplates
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.cross_modal_reconstruction import CrossModalReconstruction, fill_from_other
from napari_mmssl.objectives.reconstruction import BlockSettings, Filled, Placement, Shape
from napari_mmssl.objectives.template_distillation import (
    ShowTemplates,
    TemplateDistillation,
    fill_from_template,
    show_templates,
)
from napari_mmssl.ops.contrast import cosine_similarities, info_nce
from napari_mmssl.pictures import PictureItem
from napari_mmssl.sampling.batch import PatchBatch

MODAL, TEMPLATE = CrossModalReconstruction.view, TemplateDistillation.view


class ContrastSettings(Settings):
    """Settings of modality-aware contrast."""

    temperature: float = Field(0.1, gt=0, le=10, title="Temperature", description="Divides the cosines")
    pooling: Literal["mean", "flatten"] = Field(
        "mean", title="Pooling", description="mean over the deepest features, or all of them as one vector"
    )
    projector: int = Field(0, ge=0, le=4096, title="Projector", description="Width of a two-layer head; 0: none")
    placement: Placement = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )


@objectives.register(
    "modality_contrast",
    summary="Match each patch filled from another modality with the same patch filled from its template",
    source="BrainMVP, arXiv:2410.10604, modality-aware contrastive learning",
)
class ModalityContrast(Objective[ContrastSettings]):
    """Symmetric InfoNCE between the modal and the template view of a sample; other samples are the negatives.

    Both views are those of cross-modal reconstruction and of template distillation, so beside these two it
    adds no pass through the encoder. The views hide different blocks, or the pattern of the blocks
    would give the answer away. Without them in the recipe it makes both views itself, from templates of its own.
    """

    settings_class = ContrastSettings

    def __init__(self, settings: ContrastSettings, encoder: Encoder, vocabulary: tuple[str, ...], patch: Shape) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.templates: ModalityTemplates | None = ModalityTemplates(len(vocabulary), (24, 28, 24), speed=10.0)
        # Methods, not modules: what belongs to another objective is neither saved nor optimised twice.
        self._show: ShowTemplates = self._show_own
        self._hide_modal: Callable[[PatchBatch], Filled] = self._hide_modal_myself
        self._hide_template: Callable[[PatchBatch], Filled] = self._hide_template_myself
        width = encoder.channels[-1]
        if settings.pooling == "flatten":
            width *= math.prod(math.ceil(n / stride) for n, stride in zip(patch, encoder.strides[-1], strict=True))
        hidden = settings.projector
        self.project: nn.Module = nn.Identity()
        if hidden:
            self.project = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    @classmethod
    def needs(cls, settings: ContrastSettings) -> Needs:
        """Two subjects, since one has nobody to be told from."""
        return Needs(subjects=2, placement=settings.placement)

    def join(self, others: Mapping[str, Objective[Any]]) -> None:
        """Use the views of the two reconstructions, as far as they are in the recipe."""
        modal, template = others.get("cross_modal_reconstruction"), others.get("template_distillation")
        if isinstance(modal, CrossModalReconstruction):
            self._hide_modal = modal.hide
        if isinstance(template, TemplateDistillation):
            self.templates = None
            self._show, self._hide_template = template.show, template.hide

    def _show_own(self, batch: PatchBatch, channel: list[int]) -> Tensor:
        assert self.templates is not None
        return show_templates(self.templates, batch, channel)

    def _hide_modal_myself(self, batch: PatchBatch) -> Filled:
        return fill_from_other(batch, BlockSettings(), self._show)

    def _hide_template_myself(self, batch: PatchBatch) -> Filled:
        return fill_from_template(batch, BlockSettings(), self._show)

    def views(self, batch: PatchBatch) -> Views:
        """Return the modal and the template view."""
        modal, template = self._hide_modal(batch), self._hide_template(batch)
        return Views({MODAL: modal.input, TEMPLATE: template.input}, modal)

    def similarities(self, features: Features) -> Tensor:
        """Return the cosine of each modal view (row) with each template view (column), ``(B, B)``.

        In a training of several processes ``B`` counts the samples of all of them.
        """
        modal, template = (self._vectors(features[name][-1]) for name in (MODAL, TEMPLATE))
        if self.training:
            modal, template = gathered(modal), gathered(template)
        # Divided by a temperature next, which bfloat16 is too coarse for.
        with torch.autocast(modal.device.type, enabled=False):
            cosines: Tensor = cosine_similarities(modal, template)
        return cosines

    def _vectors(self, deepest: Tensor) -> Tensor:
        pooled = deepest.mean(dim=(2, 3, 4)) if self.settings.pooling == "mean" else deepest.flatten(1)
        vectors: Tensor = self.project(pooled)
        return vectors.float()

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return InfoNCE; as metrics, how many pairs are found and by how much pairs are more alike than others."""
        cosines = self.similarities(features)
        loss: Tensor = info_nce(cosines, self.settings.temperature)
        known = cosines.detach()
        size = len(known)
        alike = float(known.diagonal().mean())
        apart = (float(known.sum()) - size * alike) / max(1, size * (size - 1))
        found = (known.argmax(dim=1) == torch.arange(size, device=known.device)).float().mean()
        return Losses({"pairs": loss}, {"contrast_accuracy": float(found), "contrast_margin": alike - apart})

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first sample's two views, and how alike the views of all samples are."""
        affine = batch.patch_to_world[0].cpu().numpy()
        cosines = self.similarities(features).detach().cpu().numpy()
        said = {MODAL: "Filled from another modality", TEMPLATE: "The same patch filled from its template"}
        items = [
            PictureItem(name, "image", views.inputs[name][0, 0].detach().float().cpu().numpy(), affine, shows)
            for name, shows in said.items()
        ]
        items.append(
            PictureItem(
                "similarity", "matrix", cosines, None, "Row: modal view; column: template view; pairs on the diagonal"
            )
        )
        filled: Filled = views.memory
        return items, {"modality": batch.vocabulary[filled.channel[0]], "cases": list(batch.case)}
