"""UniFormer: convolutions that gather locally in fine maps, attention that gathers from everywhere in coarse ones."""

from dataclasses import dataclass

from torch import Tensor, nn

from napari_mmssl.networks.attention import SelfAttention
from napari_mmssl.networks.blocks import PatchEmbedding, ResidualBlock, convolution, group_norm
from napari_mmssl.networks.encoders import Encoder, accumulate_strides, encoders


@dataclass(frozen=True)
class _Size:
    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    head: int  # features of one head
    n_local: int = 2  # stages that gather locally


_SIZES = {
    "tiny": _Size(8, (16, 32, 64), (1, 2, 2), 16),
    "small": _Size(16, (32, 64, 128, 192), (2, 2, 4, 2), 32),
    "paper": _Size(32, (64, 128, 320, 512), (3, 4, 8, 3), 64),
}


@encoders.register(
    "uniformer",
    summary="3-D UniFormer encoder: local convolutions in fine levels, global attention in coarse ones",
    source="Li et al., arXiv:2201.09450; the backbone of BrainMVP, arXiv:2410.10604",
)
class UniFormerEncoder(Encoder):
    """UniFormer with a convolutional stem at full resolution as finest level.

    Two stages of local blocks, then stages of global ones. Departures from the paper: group instead of batch
    normalisation, since encoders here use no statistics of the batch; border values instead of zeros round every
    convolution, so that the dynamic position encoding tells how places lie to each other but not where in the patch
    they are; every stage halves the map, as in BrainMVP (video models keep more in plane); no stochastic depth.

    Parameters
    ----------
    in_channels
        Channels of the patch.
    size
        ``tiny`` (3 stages of 16 to 64 features), ``small`` (4 stages of 32 to 192) or ``paper`` (UniFormer-S: stages of
        3, 4, 8 and 3 blocks with 64, 128, 320 and 512 features).
    thick_slices
        How many of the first reductions leave the slice axis alone.
    """

    def __init__(self, in_channels: int, size: str, thick_slices: int = 0) -> None:
        super().__init__()
        how = _SIZES[size]
        self.channels = (how.stem, *how.widths)
        steps, self.strides = accumulate_strides(len(how.widths), thick_slices)
        self._stem = convolution(in_channels, how.stem)
        self.finest = ResidualBlock(how.stem)
        self.reductions = nn.ModuleList()
        self.stages = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(how.widths, how.depths, strict=True)):
            self.reductions.append(PatchEmbedding(self.channels[stage], width, steps[stage]))
            blocks = (
                LocalBlock(width) if stage < how.n_local else GlobalBlock(width, width // how.head)
                for _ in range(depth)
            )
            self.stages.append(nn.Sequential(*blocks))

    @property
    def stem(self) -> nn.Conv3d:
        """The first convolution."""
        return self._stem

    def forward(self, patch: Tensor) -> list[Tensor]:
        """Return the feature pyramid, finest level first."""
        features = [self.finest(self._stem(patch))]
        for reduce, stage in zip(self.reductions, self.stages, strict=True):
            features.append(stage(reduce(features[-1])))
        return features


def depthwise(channels: int, edge: int) -> nn.Conv3d:
    """Return a convolution that treats every feature by itself, padded by border values."""
    return nn.Conv3d(channels, channels, edge, padding=edge // 2, groups=channels, padding_mode="replicate")


class LocalBlock(nn.Module):
    """Position encoding, local relation aggregation and perceptron, all convolutions; ``(B, C, D, H, W)``.

    The aggregator's affinity is a learned number for each displacement within 5 x 5 x 5 voxels, which makes it a
    depthwise convolution between two pointwise ones (arXiv:2201.09450, equations 4 and 5).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = depthwise(channels, 3)
        self.relations = nn.Sequential(
            group_norm(channels),
            nn.Conv3d(channels, channels, 1),
            depthwise(channels, 5),
            nn.Conv3d(channels, channels, 1),
        )
        self.mlp = nn.Sequential(
            group_norm(channels), nn.Conv3d(channels, 4 * channels, 1), nn.GELU(), nn.Conv3d(4 * channels, channels, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` plus what the three parts add."""
        features = features + self.position(features)
        features = features + self.relations(features)
        refined: Tensor = features + self.mlp(features)
        return refined


class GlobalBlock(nn.Module):
    """Position encoding, attention among all places and perceptron; ``(B, C, D, H, W)`` (equations 6 and 7)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.position = depthwise(channels, 3)
        self.norm1 = nn.LayerNorm(channels)
        self.attention = SelfAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``features`` plus what the three parts add."""
        features = features + self.position(features)
        rows = features.flatten(2).transpose(1, 2)  # (B, T, C)
        rows = rows + self.attention(self.norm1(rows))
        rows = rows + self.mlp(self.norm2(rows))
        refined: Tensor = rows.transpose(1, 2).reshape(features.shape)
        return refined
