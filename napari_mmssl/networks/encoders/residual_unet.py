"""The contracting half of a 3-D residual U-Net."""

from torch import Tensor, nn

from napari_mmssl.networks.blocks import ResidualBlock, convolution
from napari_mmssl.networks.encoders import Encoder, accumulate_strides, encoders

_CHANNELS = {
    "tiny": (8, 16, 32, 64),
    "small": (16, 32, 64, 128),
    "paper": (32, 64, 128, 256, 320),
}


@encoders.register(
    "residual_unet",
    summary="3-D residual U-Net encoder, group normalisation, strided convolutions",
    source="Cicek et al. 2016, arXiv:1606.06650; residual blocks as in Myronenko 2018, arXiv:1810.11654",
)
class ResidualUNetEncoder(Encoder):
    """Residual blocks with a strided convolution between levels.

    Parameters
    ----------
    in_channels
        Channels of the patch.
    size
        ``tiny`` (4 levels of 8 to 64 channels), ``small`` (16 to 128) or ``paper`` (5 levels of 32 to 320).
    thick_slices
        How many of the first reductions leave the slice axis alone.
    """

    def __init__(self, in_channels: int, size: str, thick_slices: int = 0) -> None:
        super().__init__()
        self.channels = _CHANNELS[size]
        steps, self.strides = accumulate_strides(len(self.channels) - 1, thick_slices)
        self._stem = convolution(in_channels, self.channels[0])
        self.levels = nn.ModuleList([ResidualBlock(self.channels[0])])
        self.reductions = nn.ModuleList()
        for fine, coarse, step in zip(self.channels, self.channels[1:], steps, strict=False):
            self.reductions.append(convolution(fine, coarse, stride=step))
            self.levels.append(ResidualBlock(coarse))

    @property
    def stem(self) -> nn.Conv3d:
        """The first convolution."""
        return self._stem

    def forward(self, patch: Tensor) -> list[Tensor]:
        """Return the feature pyramid, finest level first."""
        features = [self.levels[0](self._stem(patch))]
        for reduce, level in zip(self.reductions, list(self.levels)[1:], strict=True):
            features.append(level(reduce(features[-1])))
        return features
