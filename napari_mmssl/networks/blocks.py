"""Building blocks shared by encoders and decoders."""

from torch import Tensor, nn

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
