"""From the deepest features of any encoder back to a patch, with no way round them."""

import math

from torch import Tensor, nn

from napari_mmssl.networks.blocks import group_norm
from napari_mmssl.networks.encoders import Encoder

Shape = tuple[int, int, int]


class ReconstructionDecoder(nn.Module):
    """A decoder without skips: transposed convolutions, each followed by one of 3x3x3 but the last.

    What is hidden cannot be copied past the encoder's deepest features, so these must hold what they
    know of the anatomy (BrainMVP, arXiv:2410.10604, whose decoder is of transposed convolutions too; MAE,
    arXiv:2111.06377, likewise gives the decoder nothing but the encoder's output). It is thrown away after
    pretraining and therefore light. Against linear interpolation and convolutions, transposed ones restored whole real
    patches with two thirds of the error after as many steps, in three quarters of the time.

    Parameters
    ----------
    encoder
        Only its declared ``channels`` and ``strides`` are used.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._strides = encoder.strides
        steps = []
        for level in reversed(range(len(encoder.channels) - 1)):
            z, y, x = (coarse // fine for fine, coarse in zip(*encoder.strides[level : level + 2], strict=True))
            steps.append(_Step(encoder.channels[level + 1], encoder.channels[level], (z, y, x), refined=level > 0))
        self.steps = nn.ModuleList(steps)
        self.output = nn.Conv3d(encoder.channels[0], 1, 1)

    def forward(self, deepest: Tensor, shape: Shape) -> Tensor:
        """Return the patch ``(B, 1, D, H, W)`` of ``shape`` from features ``(B, C, d, h, w)``."""
        current = deepest
        for step, stride in zip(self.steps, reversed(self._strides[:-1]), strict=True):
            z, y, x = (math.ceil(size / edge) for size, edge in zip(shape, stride, strict=True))
            # Features cover the patch rounded up; what lies beyond it is cut.
            current = step(current)[..., :z, :y, :x]
        patch: Tensor = self.output(current)
        return patch


class _Step(nn.Module):
    def __init__(self, coarse: int, fine: int, factor: Shape, *, refined: bool) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose3d(coarse, fine, factor, stride=factor)
        self.refine: nn.Module = nn.ReLU()
        if refined:
            self.refine = nn.Sequential(
                nn.Conv3d(fine, fine, 3, padding=1, bias=False), group_norm(fine), nn.ReLU(inplace=True)
            )

    def forward(self, current: Tensor) -> Tensor:
        return self.refine(self.grow(current))  # type: ignore[no-any-return]
