"""Masked reconstruction of all modalities at once: whole modalities and blocks of the others are hidden."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.fusion import network_input
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.reconstruction import ERROR, BlockSettings, draw_kept, explained, image_items
from napari_mmssl.ops.masking import fill, masked_mean
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

Shape = tuple[int, int, int]
_VIEW = "multimodal/blocks"


class MultimodalReconstructionSettings(BlockSettings):
    """Settings of multimodal reconstruction."""

    most_hidden_modalities: int | None = Field(
        None, ge=0, title="Hidden modalities", description="At most so many at a time; unset: all but one"
    )
    region: Literal["all", "hidden", "body"] = Field(
        "hidden", title="Loss over", description="all voxels, the hidden ones, or those of the body"
    )


@dataclass(frozen=True, eq=False)
class _Hidden:
    """What is there, what is shown of it and what is not; volumes are ``(B, K, D, H, W)``, flags ``(B, K)``."""

    target: Tensor
    kept: Tensor
    there: Tensor
    shown: Tensor

    @property
    def filled(self) -> Tensor:
        """The volumes with 0, the body's mean, wherever they are hidden."""
        filled: Tensor = fill(self.target, self.kept, torch.zeros_like(self.target))
        return filled


@objectives.register(
    "multimodal_reconstruction",
    summary="Restore hidden modalities and hidden blocks from all that is left, modalities as channels",
    source="Liu et al. 2023, M3AE, arXiv:2303.05302, section 3.1",
)
class MultimodalReconstruction(Objective[MultimodalReconstructionSettings]):
    """Each sample loses some modalities and blocks of the others; a U-Net gives all that it has back.

    The loss is the mean squared error over ``settings.region`` of the modalities that the person has. How many
    modalities are hidden is drawn uniformly, blocks are drawn for each modality alone, and what is absent enters the
    network as it does in fine-tuning with modality dropout. So pretrained and fine-tuned network differ by their last
    convolution only: the stem has met every modality, and the decoder is carried over.

    Notes
    -----
    Reported over the hidden voxels of the body: the error, the gain over showing the body's mean there, and the share
    explained of what the mean of each patch leaves; 1 perfect, 0 no better, below 0 worse. M3AE's substitute for absent
    modalities, found by inverting the model, and its self-distillation are left out.
    """

    settings_class = MultimodalReconstructionSettings

    def __init__(
        self,
        settings: MultimodalReconstructionSettings,
        encoder: Encoder,
        vocabulary: tuple[str, ...],
        patch: Shape,
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.decoder = UNetDecoder(encoder, len(vocabulary))
        nn.init.zeros_(self.decoder.output.bias)  # type: ignore[arg-type]

    @classmethod
    def needs(cls, settings: MultimodalReconstructionSettings) -> Needs:
        """All modalities are channels; a person with one of them takes part, by its blocks."""
        return Needs(placement=settings.placement, channels="all")

    def carried_decoder(self) -> UNetDecoder:
        """Return the decoder, whose last convolution alone is of no use to a segmentation."""
        return self.decoder

    def views(self, batch: PatchBatch) -> Views:
        """Return all modalities as channels, as far as they are shown."""
        there = batch.modality >= 0
        shown = there & ~self._draw_hidden(batch)
        kept = torch.cat([draw_kept(batch, self.settings, f"blocks of {name}") for name in batch.vocabulary], dim=1)
        kept &= shown[:, :, None, None, None].to(kept.device)
        hidden = _Hidden(batch.volumes, kept, there, shown)
        return Views({_VIEW: network_input(hidden.filled, shown)}, hidden)

    def _draw_hidden(self, batch: PatchBatch) -> Tensor:
        """Return which modalities of each sample are hidden as a whole, ``(B, K)``; at least one is left."""
        hidden = torch.zeros_like(batch.modality, dtype=torch.bool)
        for sample, seed in enumerate(batch.seed):
            rng = counted_rng(int(seed), purpose="hidden modalities")
            channels = batch.channels(sample)
            most = len(channels) - 1
            if self.settings.most_hidden_modalities is not None:
                most = min(most, self.settings.most_hidden_modalities)
            hidden[sample, rng.permutation(channels)[: rng.integers(0, most + 1)].tolist()] = True
        return hidden

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the reconstruction error, with the gains over two means as metrics."""
        hidden: _Hidden = views.memory
        squared = (self.decoder(features[_VIEW]).float() - hidden.target).square()
        there = _spread(hidden.there, squared)
        body = batch.foreground.unsqueeze(1) & there
        regions = {"all": there, "hidden": ~hidden.kept & there, "body": body}
        loss = masked_mean(squared, regions[self.settings.region])
        judged = body & ~hidden.kept
        error = float(masked_mean(squared.detach(), judged))
        before = float(masked_mean(hidden.target.square(), judged))
        gain = 1 - error / max(before, 1e-6) if judged.any() else 0.0
        metrics = {
            "multimodal_error": error,
            "multimodal_gain": gain,
            "multimodal_explained": explained(error, hidden.target, judged),
        }
        return Losses({"error": loss}, metrics)

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return one modality of the first sample, a hidden one if there is, and all that the network is given."""
        hidden: _Hidden = views.memory
        there, shown = hidden.there[0], hidden.shown[0]
        channel = int(torch.argmax((there & ~shown).int() if (there & ~shown).any() else there.int()))
        name, target = batch.vocabulary[channel], hidden.target[0, channel]
        answer = self.decoder(features[_VIEW]).float()[0, channel]
        given = [
            (
                f"given {batch.vocabulary[one]}",
                hidden.filled[0, one],
                f"What the network sees in {batch.vocabulary[one]}",
            )
            for one in torch.nonzero(shown).flatten().tolist()
        ]
        items = [
            ("target", target, f"The patch as it is, in {name}"),
            *given,
            ("reconstruction", answer, f"The network's answer in {name}, from all that it sees"),
            ("error", (answer - target).abs(), ERROR),
        ]
        details = {
            "modality": name,
            "shown": [batch.vocabulary[one] for one in torch.nonzero(shown).flatten().tolist()],
        }
        return image_items(items, batch.patch_to_world[0].cpu().numpy()), details


def _spread(flags: Tensor, like: Tensor) -> Tensor:
    """Return flags ``(B, K)`` at every voxel of ``like`` ``(B, K, D, H, W)``."""
    return flags[:, :, None, None, None].to(like.device).expand_as(like)
