"""Plain auto-encoding of two modalities, the reconstruction branch of TACO."""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.config import Settings
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.reconstruction import ReconstructionDecoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.reconstruction import image_items
from napari_mmssl.objectives.topology_tokens import FIRST, SECOND, DrawnModalities, two_views
from napari_mmssl.pictures import PictureItem
from napari_mmssl.sampling.batch import PatchBatch


class AutoEncodingSettings(Settings):
    """Settings of auto-encoding."""

    placement: Literal["random", "whole"] = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )


@objectives.register(
    "auto_encoding",
    summary="Give two modalities of a person back from the encoder's deepest features; nothing is hidden",
    source="Pan et al., ICML 2026, arXiv:2605.14654 (reconstruction)",
)
class AutoEncoding(Objective[AutoEncodingSettings]):
    """Mean squared error over all voxels between a patch and what a decoder without skips makes of it.

    It takes the views of the two topology objectives, so beside them it costs one decoder and no pass of the
    encoder. It keeps their features bound to the picture, which is what stands against collapse in TACO.
    """

    settings_class = AutoEncodingSettings

    def __init__(
        self, settings: AutoEncodingSettings, encoder: Encoder, vocabulary: tuple[str, ...], patch: tuple[int, int, int]
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.decoder = ReconstructionDecoder(encoder)

    @classmethod
    def needs(cls, settings: AutoEncodingSettings) -> Needs:
        """One modality is enough to take part."""
        return Needs(placement=settings.placement)

    def views(self, batch: PatchBatch) -> Views:
        """Return two views ``(B, 1, D, H, W)``: of every person two different modalities, where there are two."""
        return two_views(batch)

    def reconstruct(self, features: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the picture ``(B, 1, D, H, W)`` of ``shape`` in the deepest features."""
        z, y, x = shape
        picture: Tensor = self.decoder(features, (z, y, x)).float()
        return picture

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the mean squared error of both views, with the share of variance explained as metric."""
        shape = batch.volumes.shape[2:]
        targets = torch.stack([views.inputs[name] for name in (FIRST, SECOND)])
        answers = torch.stack([self.reconstruct(features[name][-1], shape) for name in (FIRST, SECOND)])
        error = (answers - targets).square().mean()
        spread = float(targets.var(dim=(3, 4, 5), correction=0).mean())
        return Losses({"error": error}, {"auto_encoding_explained": 1 - float(error.detach()) / max(spread, 1e-6)})

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return both modalities of the first person and what the decoder makes of them."""
        drawn: DrawnModalities = views.memory
        affine = batch.patch_to_world[0].cpu().numpy()
        items = []
        for name, channel in ((FIRST, drawn.first[0]), (SECOND, drawn.second[0])):
            answer = self.reconstruct(features[name][-1][:1], batch.volumes.shape[2:])
            which, modality = name.rpartition("/")[2], batch.vocabulary[channel]
            shown = [
                (which, views.inputs[name][0, 0], f"The patch in {modality}"),
                (f"{which}_again", answer[0, 0], "The network's answer, from its deepest features alone"),
            ]
            items += image_items(shown, affine)
        return items, {"modalities": [batch.vocabulary[drawn.first[0]], batch.vocabulary[drawn.second[0]]]}
