"""From the deepest features of any encoder back to a patch, with no way round them."""

import math

from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.networks.blocks import group_norm
from napari_mmssl.networks.encoders import Encoder

Shape = tuple[int, int, int]


class ReconstructionDecoder(nn.Module):
    """A decoder without skips.

    What is hidden cannot be copied past the encoder's deepest features, so these must hold what they
    know of the anatomy (BrainMVP, arXiv:2410.10604, section 3; MAE, arXiv:2111.06377, likewise gives the
    decoder nothing but the encoder's output). It is thrown away after pretraining and therefore light: one
    3x3x3 convolution a level, and the one at full resolution gives the picture itself.

    Parameters
    ----------
    encoder
        Only its declared ``channels`` and ``strides`` are used.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._strides = encoder.strides
        levels = list(zip(encoder.channels, encoder.channels[1:], strict=False))
        self.steps = nn.ModuleList(_Step(coarse, fine) for fine, coarse in reversed(levels[1:]))
        self.shrink = nn.Conv3d(encoder.channels[1], encoder.channels[0], 1)
        self.output = nn.Conv3d(encoder.channels[0], 1, 3, padding=1)

    def forward(self, deepest: Tensor, shape: Shape) -> Tensor:
        """Return the patch ``(B, 1, D, H, W)`` of ``shape`` from features ``(B, C, d, h, w)``."""
        current = deepest
        for step, stride in zip(self.steps, reversed(self._strides[1:-1]), strict=True):
            current = step(current, _reduced(shape, stride))
        # Shrinking before upsampling spares most of the work at full resolution.
        grown = functional.interpolate(self.shrink(current), size=shape, mode="trilinear", align_corners=False)
        patch: Tensor = self.output(functional.relu(grown))
        return patch


class _Step(nn.Module):
    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.shrink = nn.Conv3d(coarse, fine, 1)
        self.refine = nn.Sequential(
            nn.Conv3d(fine, fine, 3, padding=1, bias=False), group_norm(fine), nn.ReLU(inplace=True)
        )

    def forward(self, current: Tensor, shape: Shape) -> Tensor:
        grown = functional.interpolate(self.shrink(current), size=shape, mode="trilinear", align_corners=False)
        return self.refine(grown)  # type: ignore[no-any-return]


def _reduced(shape: Shape, stride: Shape) -> Shape:
    z, y, x = (math.ceil(size / step) for size, step in zip(shape, stride, strict=True))
    return z, y, x
