"""Intensity-and-shuffle restoration: undo four kinds of distortion at once, after Models Genesis."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from napari_mmssl.config import Settings
from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.reconstruction import ERROR, draw_target, image_items, take_targets
from napari_mmssl.ops.distortions import (
    bend_intensities,
    draw_intensity_curve,
    draw_local_shuffle,
    draw_painting,
    move_voxels,
)
from napari_mmssl.ops.masking import masked_mean
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

_VIEW = "genesis/distorted"


class GenesisRestorationSettings(Settings):
    """Settings of the restoration of distorted patches."""

    intensity: float = Field(0.9, ge=0, le=1, title="Intensity", description="Probability of bent intensities")
    shuffle: float = Field(0.5, ge=0, le=1, title="Shuffling", description="Probability of voxels changing places")
    window: int = Field(5, ge=2, le=16, title="Shuffling window", description="Voxels within which they change places")
    paint: float = Field(0.9, ge=0, le=1, title="Painting", description="Probability of boxes that are painted over")
    inner: float = Field(
        0.2, ge=0, le=1, title="Inner boxes", description="Of the painted patches; the others keep boxes only"
    )
    painted_share: float = Field(0.25, gt=0, le=0.9, title="Painted share", description="Most of a patch painted over")
    placement: Literal["random", "whole"] = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )


@dataclass(frozen=True, eq=False)
class _Distorted:
    """Patches of one modality each, as they are and distorted; both ``(B, 1, D, H, W)``."""

    channel: list[int]
    target: Tensor
    given: Tensor
    done: list[str]  # what was done to each sample, in words


@objectives.register(
    "genesis_restoration",
    summary="Undo bent intensities, shuffled voxels and painted boxes in one modality",
    source="Zhou et al., Models Genesis, arXiv:1908.06912 and arXiv:2004.07882",
)
class GenesisRestoration(Objective[GenesisRestorationSettings]):
    """Mean squared error between a patch and what a U-Net makes of its distorted self.

    The decoder has skips, as in the paper: every level of the encoder learns, and fine detail, which shuffling asks
    for, has a way out. Departures: intensities are bent inside the body alone (outside it is 0 by convention and not
    an intensity), and voxels change places in windows that do not overlap.
    """

    settings_class = GenesisRestorationSettings

    def __init__(
        self,
        settings: GenesisRestorationSettings,
        encoder: Encoder,
        vocabulary: tuple[str, ...],
        patch: tuple[int, int, int],
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.decoder = UNetDecoder(encoder, 1)
        nn.init.zeros_(self.decoder.output.bias)  # type: ignore[arg-type]

    @classmethod
    def needs(cls, settings: GenesisRestorationSettings) -> Needs:
        """One modality is enough to take part."""
        return Needs(placement=settings.placement)

    def carried_decoder(self) -> UNetDecoder:
        """Return the decoder: the paper fine-tunes segmentations from both halves (arXiv:2004.07882, section 3)."""
        return self.decoder

    def views(self, batch: PatchBatch) -> Views:
        """Return one modality of every sample, distorted, ``(B, 1, D, H, W)``."""
        channel = [draw_target(batch, sample) for sample in range(len(batch))]
        target = take_targets(batch, channel)
        given, done = [], []
        for sample, seed in enumerate(batch.seed.tolist()):
            patch, words = self._distort(counted_rng(seed, purpose="genesis"), target[sample, 0], batch, sample)
            given.append(patch.unsqueeze(0))
            done.append(words)
        distorted = _Distorted(channel, target, torch.stack(given), done)
        return Views({_VIEW: distorted.given}, distorted)

    def _distort(self, rng: np.random.Generator, patch: Tensor, batch: PatchBatch, sample: int) -> tuple[Tensor, str]:
        settings, body = self.settings, batch.foreground[sample]
        shape: tuple[int, int, int] = tuple(patch.shape)  # type: ignore[assignment]
        bent, moved, painted, inner = rng.random(4) < (
            settings.intensity,
            settings.shuffle,
            settings.paint,
            settings.inner,
        )
        done = []
        if moved:
            patch = move_voxels(patch, draw_local_shuffle(rng, shape, settings.window))
            done.append("voxels shuffled")
        if bent:
            patch = bend_intensities(patch, draw_intensity_curve(rng), body)
            done.append("intensities bent")
        if painted:
            boxes = draw_painting(rng, shape, inner=bool(inner), most=settings.painted_share)
            low, high = (patch[body].min(), patch[body].max()) if bool(body.any()) else (0.0, 0.0)
            paint = low + float(rng.random()) * (high - low)
            patch = torch.where(torch.from_numpy(boxes).to(patch.device), paint, patch)
            done.append("boxes painted" if inner else "surroundings painted")
        return patch, ", ".join(done) or "nothing done"

    def restore(self, features: Features) -> Tensor:
        """Return the decoder's picture of the whole patch, ``(B, 1, D, H, W)``."""
        restored: Tensor = self.decoder(features[_VIEW]).float()
        return restored

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the mean squared error over all voxels; reported is the gain over leaving the distortion."""
        distorted: _Distorted = views.memory
        squared = (self.restore(features) - distorted.target).square()
        body = batch.foreground.unsqueeze(1)
        error = float(masked_mean(squared.detach(), body))
        before = float(masked_mean((distorted.given - distorted.target).square(), body))
        return Losses(
            {"error": squared.mean()}, {"genesis_error": error, "genesis_gain": 1 - error / max(before, 1e-6)}
        )

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first sample's patch, its distorted self, what became of it, and the error."""
        distorted: _Distorted = views.memory
        name, affine = batch.vocabulary[distorted.channel[0]], batch.patch_to_world[0].cpu().numpy()
        target, answer = distorted.target[0, 0], self.restore(features)[0, 0]
        shown = [
            ("target", target, f"The patch as it is, in {name}"),
            ("distorted", distorted.given[0, 0], f"What the network is given: {distorted.done[0]}"),
            ("restored", answer, "The network's answer"),
            ("error", (answer - target).abs(), ERROR),
        ]
        return image_items(shown, affine), {"modality": name, "done": distorted.done[0]}
