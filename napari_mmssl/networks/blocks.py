"""Building blocks shared by encoders and decoders."""

from torch import Tensor, nn

_GROUP_SIZE = 4


def group_norm(channels: int) -> nn.GroupNorm:
    """Return group normalisation: no batch statistics, and defined down to a single voxel."""
    return nn.GroupNorm(max(1, channels // _GROUP_SIZE), channels)


class ResidualBlock(nn.Module):
    """Two pre-activated 3x3x3 convolutions beside an identity; ``(B, C, D, H, W)`` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            group_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            group_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` plus what the two convolutions add."""
        refined: Tensor = features + self.body(features)
        return refined
