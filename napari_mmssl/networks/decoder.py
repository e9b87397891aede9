"""The expanding half of a U-Net, on the pyramid of any encoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.networks.blocks import ResidualBlock, convolution, group_norm
from napari_mmssl.networks.encoders import Encoder

#: About 95 % background at the start with two classes, 85 % with four.
_BACKGROUND_LOGIT = 3.0


class UNetDecoder(nn.Module):
    """From a feature pyramid to one map per class at the size of the patch.

    Parameters
    ----------
    encoder
        Only its declared ``channels`` are used.
    out_channels
        Number of maps; the first is background and starts out likely, as it is in any scan, so that the
        first steps are not spent on learning that.
    """

    def __init__(self, encoder: Encoder, out_channels: int) -> None:
        super().__init__()
        fine_to_coarse = list(zip(encoder.channels, encoder.channels[1:], strict=False))
        self.steps = nn.ModuleList(_Step(coarse, fine) for fine, coarse in reversed(fine_to_coarse))
        self.norm = group_norm(encoder.channels[0])
        self.output = nn.Conv3d(encoder.channels[0], out_channels, 1)
        with torch.no_grad():
            self.output.bias.zero_()  # type: ignore[union-attr]
            self.output.bias[0] = _BACKGROUND_LOGIT  # type: ignore[index]

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return logits ``(B, out_channels, D, H, W)`` from a pyramid, finest level first."""
        return self.finish(self.expand(features)[-1])

    def expand(self, features: list[Tensor]) -> list[Tensor]:
        """Return what every step upwards gives, coarsest first; the last one is at the size of the patch."""
        *skips, current = features
        grown = []
        for step, skip in zip(self.steps, reversed(skips), strict=True):
            current = step(current, skip)
            grown.append(current)
        return grown

    def finish(self, finest: Tensor) -> Tensor:
        """Return logits from what the last step of :meth:`expand` gives."""
        logits: Tensor = self.output(functional.relu(self.norm(finest)))
        return logits


class _Step(nn.Module):
    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.shrink = nn.Conv3d(coarse, fine, 1)
        self.join = convolution(2 * fine, fine)
        self.refine = ResidualBlock(fine)

    def forward(self, current: Tensor, skip: Tensor) -> Tensor:
        # Upsampling to the skip's own size serves odd shapes; shrinking first keeps it cheap.
        grown = functional.interpolate(self.shrink(current), size=skip.shape[2:], mode="trilinear", align_corners=False)
        both = torch.cat([grown, skip], dim=1)
        del grown  # as large as the skip, and the convolutions to come are where memory peaks
        joined = self.join(both)
        del both
        return self.refine(joined)  # type: ignore[no-any-return]
