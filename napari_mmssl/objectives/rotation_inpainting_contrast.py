"""The three proxy tasks that SwinUNETR is pretrained with: rotation, inpainting and contrast."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.config import Settings
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.ranks import gathered
from napari_mmssl.networks.reconstruction import ReconstructionDecoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.reconstruction import draw_target, image_items, take_targets
from napari_mmssl.ops.contrast import cosine_similarities, nt_xent
from napari_mmssl.ops.masking import block_grid, draw_blocks, masked_mean, spread_blocks
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

_VIEWS = ("rotated/first", "rotated/second")
_PROJECTION = 128


class RotationInpaintingContrastSettings(Settings):
    """Settings of the three tasks."""

    rotation_weight: float = Field(1.0, ge=0, title="Weight of the rotation", description="0 leaves the task out")
    inpainting_weight: float = Field(1.0, ge=0, title="Weight of the inpainting", description="0 leaves the task out")
    contrast_weight: float = Field(1.0, ge=0, title="Weight of the contrast", description="0 leaves the task out")
    hidden_share: float = Field(0.3, gt=0, lt=1, title="Hidden share", description="Of the blocks of a view")
    block: tuple[int, int, int] = Field((8, 8, 8), title="Block", description="Voxels along (z, y, x)")
    temperature: float = Field(0.5, gt=0, le=10, title="Temperature", description="Of the contrast")
    placement: Literal["random", "whole"] = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )

    @model_validator(mode="after")
    def _has_a_task(self) -> "RotationInpaintingContrastSettings":
        if not (self.rotation_weight or self.inpainting_weight or self.contrast_weight):
            raise ValueError("all three tasks have weight 0; give one of them more")
        return self


@dataclass(frozen=True, eq=False)
class _Rotated:
    """Both views of every sample; tensors are ``(2, B, 1, D, s, s)``."""

    channel: list[int]
    turns: Tensor  # (2, B), quarter turns
    target: Tensor
    kept: Tensor
    body: Tensor

    @property
    def given(self) -> Tensor:
        """What the network sees: hidden blocks are 0, the body's mean."""
        return self.target * self.kept


@objectives.register(
    "rotation_inpainting_contrast",
    summary="SwinUNETR's three: tell the rotation, restore hidden blocks, tell views of one patch from others",
    source="Tang et al., arXiv:2111.14791; Hatamizadeh et al., arXiv:2201.01266",
)
class RotationInpaintingContrast(Objective[RotationInpaintingContrastSettings]):
    """Two views of a patch, each rotated by quarter turns in the plane of the slices, with blocks hidden.

    Three heads on the deepest features: which of four rotations (cross-entropy), the rotated patch without the hiding
    (mean absolute error), and which view shows the same patch (contrast among all views of the batch). One modality is
    drawn for each sample. Views are square in the plane, cut from the middle, since another shape would tell the
    rotation. Hidden are blocks, as in the other objectives, where the paper hides boxes of any size.
    """

    settings_class = RotationInpaintingContrastSettings

    def __init__(
        self,
        settings: RotationInpaintingContrastSettings,
        encoder: Encoder,
        vocabulary: tuple[str, ...],
        patch: tuple[int, int, int],
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        width = encoder.channels[-1]
        self.rotation = nn.Linear(width, 4) if settings.rotation_weight else None
        self.decoder = ReconstructionDecoder(encoder) if settings.inpainting_weight else None
        self.projection = nn.Linear(width, _PROJECTION) if settings.contrast_weight else None

    @classmethod
    def needs(cls, settings: RotationInpaintingContrastSettings) -> Needs:
        """One modality is enough; other samples of the batch are what a view is told from."""
        return Needs(placement=settings.placement)

    def views(self, batch: PatchBatch) -> Views:
        """Return two views of one modality of every sample, ``(B, 1, D, s, s)`` each."""
        channel = [draw_target(batch, sample) for sample in range(len(batch))]
        both = torch.cat([take_targets(batch, channel), batch.foreground.unsqueeze(1)], dim=1)
        both = _square(both)  # (B, 2, D, s, s): the patch and where its body is
        shape = tuple(both.shape[2:])
        grid = block_grid(shape, self.settings.block)  # type: ignore[arg-type]
        turned, kept, turns = [], [], []
        for view in _VIEWS:
            for sample, seed in enumerate(batch.seed.tolist()):
                rng = counted_rng(seed, purpose=view)
                turns.append(int(rng.integers(4)))
                turned.append(torch.rot90(both[sample], turns[-1], (2, 3)))
                blocks = draw_blocks(rng, grid, self.settings.hidden_share)
                kept.append(torch.from_numpy(spread_blocks(blocks, shape, self.settings.block)))  # type: ignore[arg-type]
        pairs = torch.stack(turned).reshape(2, len(batch), 2, *shape)
        rotated = _Rotated(
            channel,
            torch.tensor(turns).reshape(2, -1).to(both.device),
            pairs[:, :, :1],
            torch.stack(kept).reshape(2, len(batch), 1, *shape).to(both.device),
            pairs[:, :, 1:] > 0,
        )
        return Views(dict(zip(_VIEWS, rotated.given, strict=True)), rotated)

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return one term for each task that has a weight, and how well each is solved."""
        rotated: _Rotated = views.memory
        deepest = torch.stack([features[view][-1] for view in _VIEWS])  # (2, B, C, d, h, w)
        pooled = deepest.float().mean(dim=(3, 4, 5))
        terms: dict[str, Tensor] = {}
        metrics: dict[str, float] = {}
        if self.rotation is not None:
            scores = self.rotation(pooled).flatten(0, 1)
            turns = rotated.turns.flatten()
            terms["rotation"] = self.settings.rotation_weight * functional.cross_entropy(scores, turns)
            metrics["rotation_accuracy"] = float((scores.argmax(dim=1) == turns).float().mean())
        if self.decoder is not None:
            error = (_inpaint(self.decoder, features) - rotated.target).abs()
            terms["inpainting"] = self.settings.inpainting_weight * error.mean()
            judged = ~rotated.kept & rotated.body
            metrics["inpainting_error"] = float(masked_mean(error.detach(), judged))
            before = float(masked_mean(rotated.target.abs(), judged))
            metrics["inpainting_gain"] = 1 - metrics["inpainting_error"] / before if before > 0 else 0.0
        if self.projection is not None:
            first, second = self.projection(pooled).float()
            if self.training:  # the samples of all processes
                first, second = gathered(first), gathered(second)
            # Cosines are divided by a temperature, which bfloat16 is too coarse for.
            with torch.autocast(first.device.type, enabled=False):
                loss = nt_xent(first, second, self.settings.temperature)
                metrics["view_accuracy"] = _told_apart(first.detach(), second.detach())
            terms["contrast"] = self.settings.contrast_weight * loss
        return Losses(terms, metrics)

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return both views of the first sample: as they are, with blocks hidden, and inpainted."""
        rotated: _Rotated = views.memory
        affine = _square_affine(batch.patch_to_world[0].cpu().numpy(), tuple(batch.volumes.shape[2:]))
        name = batch.vocabulary[rotated.channel[0]]
        painted = _inpaint(self.decoder, features) if self.decoder is not None else None
        items = []
        for view, which in enumerate(("first", "second")):
            turns = int(rotated.turns[view, 0])
            shown = [
                (which, rotated.target[view, 0, 0], f"{name}, rotated by {turns} quarter turns"),
                (f"{which}_given", rotated.given[view, 0, 0], "What the network is given"),
            ]
            if painted is not None:
                shown.append((f"{which}_inpainted", painted[view, 0, 0], "The network's answer"))
            items += image_items(shown, affine)
        return items, {"modality": name, "quarter_turns": rotated.turns[:, 0].tolist()}


def _inpaint(decoder: ReconstructionDecoder, features: Features) -> Tensor:
    """Return both views as the decoder paints them, ``(2, B, 1, D, s, s)``."""
    z, y, x = features[_VIEWS[0]][0].shape[2:]  # the finest level is at the size of the patch
    return torch.stack([decoder(features[view][-1], (z, y, x)).float() for view in _VIEWS])


def _square(volumes: Tensor) -> Tensor:
    """Return the middle of ``(..., H, W)`` that is as wide as high."""
    height, width = volumes.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return volumes[..., top : top + side, left : left + side]


def _square_affine(affine: Any, shape: tuple[int, ...]) -> Any:
    """Return the affine of the middle that :func:`_square` cuts out."""
    side = min(shape[1:])
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [0, (shape[1] - side) // 2, (shape[2] - side) // 2]
    return moved


def _told_apart(first: Tensor, second: Tensor) -> float:
    """Return the share of views whose most alike other view shows the same patch."""
    views = torch.cat([first, second])
    alike = cosine_similarities(views, views).fill_diagonal_(-2)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return float((alike.argmax(dim=1) == partner).float().mean())
