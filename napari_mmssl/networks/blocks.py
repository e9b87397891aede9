"""Building blocks shared by encoders and decoders."""

from torch import Tensor, nn
from torch.nn import functional

_GROUP_SIZE = 4


def group_norm(channels: int) -> nn.GroupNorm:
    """Return group normalisation: no batch statistics, and defined down to a single voxel."""
    return nn.GroupNorm(max(1, channels // _GROUP_SIZE), channels)


def convolution(
    in_channels: int, out_channels: int, *, stride: tuple[int, int, int] | int = 1, bias: bool = True
) -> nn.Conv3d:
    """Return a 3x3x3 convolution that is padded by the values at the border.

    Zeros round a patch would tell the network where in the patch it is, and objectives that compare places would
    be satisfied by that alone (measured in ``docs/concepts/topology.md``). The weights are those of any other
    convolution.
    """
    return nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias, padding_mode="replicate")


class ResidualBlock(nn.Module):
    """Two pre-activated 3x3x3 convolutions beside an identity; ``(B, C, D, H, W)`` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            group_norm(channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels, bias=False),
            group_norm(channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` plus what the two convolutions add."""
        refined: Tensor = features + self.body(features)
        return refined


class PatchEmbedding(nn.Module):
    """A convolution whose kernel is its stride, so that each voxel is looked at once; then normalised.

    Where ``step`` does not divide the map, it is filled up at the far end by the values at the border.
    """

    def __init__(self, fine: int, coarse: int, step: tuple[int, int, int]) -> None:
        super().__init__()
        self.step = step
        self.reduce = nn.Conv3d(fine, coarse, step, stride=step)
        self.norm = group_norm(coarse)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, coarse, ceil(D / z), ceil(H / y), ceil(W / x))`` from ``(B, fine, D, H, W)``."""
        embedded: Tensor = self.norm(self.reduce(pad_far_end(features, self.step)))
        return embedded


def pad_far_end(features: Tensor, step: tuple[int, int, int]) -> Tensor:
    """Return ``(B, C, D, H, W)`` filled up by its border values until ``step`` divides it."""
    missing = [-size % edge for size, edge in zip(features.shape[2:], step, strict=True)]
    if not any(missing):
        return features
    return functional.pad(features, [n for more in reversed(missing) for n in (0, more)], mode="replicate")
