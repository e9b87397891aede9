"""A Swin transformer in three dimensions, behind a convolutional stem."""

from dataclasses import dataclass

from torch import Tensor, nn

from napari_mmssl.networks.attention import WindowAttention
from napari_mmssl.networks.blocks import PatchEmbedding, ResidualBlock, convolution
from napari_mmssl.networks.encoders import Encoder, accumulate_strides, encoders


@dataclass(frozen=True)
class _Size:
    stem: int
    width: int  # of the first stage; doubled from stage to stage
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


_SIZES = {
    "tiny": _Size(8, 16, (2, 2, 2), (1, 2, 4), 4),
    "small": _Size(16, 24, (2, 2, 2, 2), (2, 4, 8, 16), 4),
    "paper": _Size(24, 48, (2, 2, 2, 2), (3, 6, 12, 24), 7),
}


@encoders.register(
    "swin",
    summary="3-D Swin transformer encoder: attention in shifted windows",
    source="Liu et al., arXiv:2103.14030; as an encoder of volumes Hatamizadeh et al., arXiv:2201.01266",
)
class SwinEncoder(Encoder):
    """Stages of window attention, halving the map and doubling the features between them.

    The finest level is a convolution at full resolution with a residual block, and the first stage embeds *its*
    output: so one layer only knows how many channels come in, and a decoder has something at full resolution
    (a convolutional stem also steadies training, Xiao et al., arXiv:2106.14881). Written here and not taken from
    MONAI (``docs/concepts/encoders.md`` says why); a test holds its blocks equal to MONAI's.

    Parameters
    ----------
    in_channels
        Channels of the patch.
    size
        ``tiny`` (3 stages of 16 to 64 features, windows of 4), ``small`` (4 stages of 24 to 192) or ``paper``
        (4 stages of 48 to 384, windows of 7, the numbers of SwinUNETR).
    thick_slices
        How many of the first reductions leave the slice axis alone.
    """

    def __init__(self, in_channels: int, size: str, thick_slices: int = 0) -> None:
        super().__init__()
        how = _SIZES[size]
        widths = [how.width * 2**stage for stage in range(len(how.depths))]
        self.channels = (how.stem, *widths)
        steps, self.strides = accumulate_strides(len(widths), thick_slices)
        self._stem = convolution(in_channels, how.stem)
        self.finest = ResidualBlock(how.stem)
        self.reductions = nn.ModuleList()
        self.stages = nn.ModuleList()
        window = (how.window,) * 3
        for fine, coarse, step, depth, heads in zip(self.channels, widths, steps, how.depths, how.heads, strict=False):
            self.reductions.append(PatchEmbedding(fine, coarse, step))
            self.stages.append(
                nn.Sequential(*(SwinBlock(coarse, heads, window, shifted=n % 2 == 1) for n in range(depth)))
            )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    @property
    def stem(self) -> nn.Conv3d:
        """The first convolution."""
        return self._stem

    def forward(self, patch: Tensor) -> list[Tensor]:
        """Return the feature pyramid, finest level first."""
        features = [self.finest(self._stem(patch))]
        current = features[0]
        for reduce, stage, norm in zip(self.reductions, self.stages, self.norms, strict=True):
            # Channels last: what attention and layer normalisation work on.
            places = stage(reduce(current).permute(0, 2, 3, 4, 1))
            current = places.permute(0, 4, 1, 2, 3)
            features.append(norm(places).permute(0, 4, 1, 2, 3))
        return features


class SwinBlock(nn.Module):
    """Window attention and a two-layer perceptron, each normalised first and beside an identity; ``(B, D, H, W, C)``.

    Parameters
    ----------
    channels, heads, window, shifted
        As in :class:`~napari_mmssl.networks.attention.WindowAttention`.
    """

    def __init__(self, channels: int, heads: int, window: tuple[int, int, int], *, shifted: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window, shifted=shifted)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, places: Tensor) -> Tensor:
        """Return ``places`` plus what attention and perceptron add."""
        places = places + self.attention(self.norm1(places))
        refined: Tensor = places + self.mlp(self.norm2(places))
        return refined
