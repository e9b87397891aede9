"""Plain masked reconstruction of one modality, the baseline of every other way of hiding."""

from typing import Literal

import torch
from pydantic import Field

from napari_mmssl.objectives import objectives
from napari_mmssl.objectives.reconstruction import (
    Filled,
    Reconstruction,
    ReconstructionSettings,
    draw_kept,
    draw_target,
    take_targets,
)
from napari_mmssl.sampling.batch import PatchBatch


class MaskedReconstructionSettings(ReconstructionSettings):
    """Settings of masked reconstruction."""

    hidden_share: float = Field(0.75, gt=0, lt=1, title="Hidden share", description="Of the blocks of a patch")
    region: Literal["all", "hidden", "body"] = Field(
        "hidden", title="Loss over", description="all voxels, the hidden ones, or those of the body"
    )
    mask_value: float = Field(0.0, title="Mask value", description="Intensity of hidden voxels; 0 is the body's mean")


@objectives.register(
    "masked_reconstruction",
    summary="Restore hidden blocks of one modality from the blocks that are left",
    source="He et al., arXiv:2111.06377; with masked voxels left in place as in SimMIM, arXiv:2111.09886",
)
class MaskedReconstruction(Reconstruction[MaskedReconstructionSettings]):
    """Hidden blocks hold one value and stay in place, since a convolution cannot leave them out as MAE does.

    The loss covers the hidden voxels (arXiv:2111.06377, section 3; arXiv:2111.09886, section 3.4; there the
    absolute error, here the squared one as in the objectives it is compared with).
    """

    settings_class = MaskedReconstructionSettings
    view = "masked/blocks"
    metric = "masked"

    def hide(self, batch: PatchBatch) -> Filled:
        """Return one modality of each sample with its hidden blocks blank."""
        channel = [draw_target(batch, sample) for sample in range(len(batch))]
        target = take_targets(batch, channel)
        blank = torch.full_like(target, self.settings.mask_value)
        return Filled(channel, target, draw_kept(batch, self.settings, "masked blocks"), blank)
