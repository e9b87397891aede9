"""The network of a segmentation: an encoder, a decoder, and maps at coarser levels to learn from."""

import torch
from torch import Tensor, nn

from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.fusion import encode

#: Coarser maps at most; the coarsest level never has one.
_MOST_SIDES = 3


class SegmentationNetwork(nn.Module):
    """From the modalities of a patch to logits of the classes; class 0 is background.

    Parameters
    ----------
    encoder
        Takes all modalities, in any way of :mod:`napari_mmssl.networks.fusion`.
    n_classes
        Background included.
    deep_supervision
        Whether there are maps at coarser levels, to learn from. Predictions need none, so their weights are not
        exported.
    """

    def __init__(self, encoder: Encoder, n_classes: int, *, deep_supervision: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = UNetDecoder(encoder, n_classes)
        self.decoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        inner = encoder.channels[1:-1][:_MOST_SIDES] if deep_supervision else ()
        self.sides = nn.ModuleList(nn.Conv3d(channels, n_classes, 1) for channels in inner)

    def encode(self, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Return the pyramid of ``volumes`` ``(B, K, D, H, W)``; ``present`` ``(B, K)`` says which are there."""
        return encode(self.encoder, volumes, present)

    def forward(self, volumes: Tensor, present: Tensor) -> Tensor:
        """Return logits ``(B, n_classes, D, H, W)``; arguments as in :meth:`encode`."""
        logits: Tensor = self.decoder(self.encode(volumes, present))
        return logits

    def maps(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Return logits at full size and at each coarser level that has a map, finest first."""
        steps = self.decoder.expand(pyramid)
        sides = [side(steps[-2 - level]) for level, side in enumerate(self.sides)]
        return [self.decoder.finish(steps[-1]), *sides]
