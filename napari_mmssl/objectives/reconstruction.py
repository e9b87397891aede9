"""What the objectives share that hide blocks of a patch and ask for them back."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.config import Settings
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.reconstruction import ReconstructionDecoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views
from napari_mmssl.ops.masking import block_grid, draw_blocks, fill, masked_mean, spread_blocks
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

Shape = tuple[int, int, int]
Placement = Literal["random", "whole"]
#: What an image of errors shows.
ERROR = "How far off the answer is, in units of the body's standard deviation"


class BlockSettings(Settings):
    """How a patch is hidden."""

    hidden_share: float = Field(0.875, gt=0, lt=1, title="Hidden share", description="Of the blocks of a patch")
    block: Shape = Field((8, 8, 8), title="Block", description="Voxels along (z, y, x)")
    placement: Placement = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )


class ReconstructionSettings(BlockSettings):
    """How a patch is hidden, and where its reconstruction is judged."""

    region: Literal["all", "hidden", "body"] = Field(
        "all", title="Loss over", description="all voxels, the hidden ones, or those of the body"
    )


@dataclass(frozen=True, eq=False)
class Filled:
    """Patches of one modality each, whose hidden blocks show something else.

    All tensors are ``(B, 1, D, H, W)``.
    """

    channel: list[int]
    target: Tensor
    kept: Tensor
    filler: Tensor
    #: Samples whose filler is not what was wanted, such as the template where there is no second modality.
    fallbacks: int = 0

    @property
    def input(self) -> Tensor:
        """What the network is given."""
        filled: Tensor = fill(self.target, self.kept, self.filler)
        return filled


def draw_target(batch: PatchBatch, sample: int) -> int:
    """Return the channel that is hidden and asked for; the same for every objective that hides a channel."""
    rng = counted_rng(int(batch.seed[sample]), purpose="target modality")
    return int(rng.choice(batch.channels(sample)))


def take_targets(batch: PatchBatch, channel: list[int]) -> Tensor:
    """Return one channel of every sample, ``(B, 1, D, H, W)``."""
    return torch.stack([batch.volumes[sample, one] for sample, one in enumerate(channel)]).unsqueeze(1)


def draw_kept(batch: PatchBatch, settings: BlockSettings, purpose: str) -> Tensor:
    """Return which voxels stay, ``(B, 1, D, H, W)``; views with purposes of their own hide other blocks."""
    z, y, x = batch.volumes.shape[2:]
    grid = block_grid((z, y, x), settings.block)
    kept = [
        spread_blocks(
            draw_blocks(counted_rng(int(seed), purpose=purpose), grid, settings.hidden_share), (z, y, x), settings.block
        )
        for seed in batch.seed
    ]
    return torch.stack([torch.from_numpy(one) for one in kept]).unsqueeze(1).to(batch.volumes.device)


def explained(error: float, target: Tensor, judged: Tensor) -> float:
    """Return the share that a squared ``error`` leaves out of what the mean of each patch leaves; 0 where none is.

    ``target`` and ``judged`` are ``(B, K, D, H, W)``. The mean is that of a patch's own judged voxels in one modality,
    which no network is told.
    """
    weight = judged.to(target.dtype)
    axes = (2, 3, 4)
    mean = (target * weight).sum(axes, keepdim=True) / weight.sum(axes, keepdim=True).clamp(min=1)
    spread = float(masked_mean((target - mean).square(), judged))
    return 1 - error / spread if spread > 0 else 0.0


R = TypeVar("R", bound=ReconstructionSettings)


class Reconstruction(Objective[R]):
    """A patch with hidden blocks goes through the encoder; a decoder without skips gives it back.

    The loss is the mean squared error between reconstruction and hidden modality over
    ``settings.region``. Reported beside it, over the hidden voxels of the body: the error, the gain
    over showing what the blocks were filled with, and the share explained of what the mean of each patch
    leaves (both 1 perfect, 0 no better, below 0 worse).

    Subclasses say how the blocks are filled.
    """

    #: Name of the view, and in metrics.
    view: ClassVar[str]
    metric: ClassVar[str]

    def __init__(self, settings: R, encoder: Encoder, vocabulary: tuple[str, ...], patch: Shape) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.decoder: ReconstructionDecoder | None = ReconstructionDecoder(encoder)
        self._decode: Callable[[Tensor, Shape], Tensor] = self.decoder.forward

    @classmethod
    def needs(cls, settings: R) -> Needs:
        """One modality is enough to take part."""
        return Needs(placement=settings.placement)

    def borrow_decoder(self, lender: "Reconstruction[Any]") -> None:
        """Use the decoder of another objective and have none of one's own."""
        self.decoder = None
        self._decode = lender._decode

    @abstractmethod
    def hide(self, batch: PatchBatch) -> Filled:
        """Return the patches with their blocks filled; a pure function of ``batch`` and the weights."""

    def views(self, batch: PatchBatch) -> Views:
        """Return the filled patches as the one view."""
        filled = self.hide(batch)
        return Views({self.view: filled.input}, filled)

    def reconstruct(self, filled: Filled, features: Features) -> Tensor:
        """Return the decoder's picture of the whole patch, ``(B, 1, D, H, W)``."""
        z, y, x = filled.target.shape[2:]
        return self._decode(features[self.view][-1], (z, y, x)).float()

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the reconstruction error; as metrics, how much better it is than the filler and than a mean."""
        filled: Filled = views.memory
        squared = (self.reconstruct(filled, features) - filled.target).square()
        body = batch.foreground.unsqueeze(1)
        regions = {"all": torch.ones_like(filled.kept), "hidden": ~filled.kept, "body": body}
        loss = masked_mean(squared, regions[self.settings.region])
        judged = ~filled.kept & body
        error = float(masked_mean(squared.detach(), judged))
        before = float(masked_mean((filled.filler.detach() - filled.target).square(), judged))
        metrics = {
            f"{self.metric}_error": error,
            f"{self.metric}_gain": 1 - error / max(before, 1e-6) if judged.any() else 0.0,
            f"{self.metric}_explained": explained(error, filled.target, judged),
        }
        return Losses({"error": loss}, metrics)

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first sample's target, what was kept, what the network saw, its answer, and the error."""
        filled: Filled = views.memory
        name = batch.vocabulary[filled.channel[0]]
        affine = batch.patch_to_world[0].cpu().numpy()
        answer = self.reconstruct(filled, features)[0, 0]
        target, kept = filled.target[0, 0], filled.kept[0, 0]
        shown = [
            ("target", target, f"The patch as it is, in {name}"),
            ("masked", target * kept, f"What is kept of it: {float(kept.float().mean()):.1%} of the voxels"),
            ("filled", filled.input[0, 0], "What the network is given"),
            ("reconstruction", answer, "The network's answer, from its deepest features alone"),
            ("error", (answer - target).abs(), ERROR),
        ]
        return image_items(shown, affine), {"modality": name, "hidden_share": self.settings.hidden_share}


def image_items(shown: Iterable[tuple[str, Tensor, str]], affine: np.ndarray) -> list[PictureItem]:
    """Return images, each from its name, its voxels ``(D, H, W)`` and a sentence on what it shows."""
    return [
        PictureItem(name, "image", array.detach().float().cpu().numpy(), affine, said) for name, array, said in shown
    ]
