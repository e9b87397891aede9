"""Segmentation: an encoder, a decoder, and soft Dice with cross-entropy."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import Encoder


class SegmentationNetwork(nn.Module):
    """From the channels of a patch to logits of the classes; class 0 is background.

    Parameters
    ----------
    encoder
        Takes one channel a modality; absent ones are 0.
    n_classes
        Background included.
    """

    def __init__(self, encoder: Encoder, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = UNetDecoder(encoder, n_classes)
        self.decoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, volumes: Tensor) -> Tensor:
        """Return logits ``(B, n_classes, D, H, W)`` of ``volumes`` ``(B, K, D, H, W)``."""
        logits: Tensor = self.decoder(self.encoder(volumes))
        return logits


def dice_loss(logits: Tensor, label: Tensor, smooth: float = 1.0) -> Tensor:
    """Return 1 - soft Dice, averaged over the foreground classes; sums run over the whole batch.

    Summing over the batch keeps patches without a class from pulling it to nothing.

    Parameters
    ----------
    logits
        ``(B, C, D, H, W)``.
    label
        Class indices ``(B, D, H, W)``.
    smooth
        Added above and below the line, so that a class absent from the batch counts as right.

    References
    ----------
    Milletari et al. 2016, arXiv:1606.04797, section 3; without the squares in the denominator.
    """
    probability = logits.float().softmax(dim=1)[:, 1:]
    truth = functional.one_hot(label, logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    over = (0, 2, 3, 4)
    shared = (probability * truth).sum(dim=over)
    size = probability.sum(dim=over) + truth.sum(dim=over)
    return 1 - ((2 * shared + smooth) / (size + smooth)).mean()


def segmentation_losses(logits: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Return soft Dice and cross-entropy, the usual pair, as two terms."""
    return {"dice": dice_loss(logits, label), "cross_entropy": functional.cross_entropy(logits.float(), label)}


def hard_dice(predicted: Tensor, label: Tensor, n_classes: int) -> list[tuple[float, float]]:
    """Return, for each foreground class, twice the shared voxels and the sum of both sizes."""
    counts = []
    for index in range(1, n_classes):
        mine, theirs = predicted == index, label == index
        counts.append((2 * float((mine & theirs).sum()), float(mine.sum() + theirs.sum())))
    return counts


def network_input(volumes: Tensor, present: Tensor) -> Tensor:
    """Return ``volumes`` scaled up by the share of channels that are absent, so that the stem sees its usual strength.

    Parameters
    ----------
    volumes
        ``(B, K, D, H, W)``, absent channels 0.
    present
        Whether each channel is there, ``(B, K)``; at least one a sample.
    """
    share = present.float().mean(dim=1).clamp(min=1 / present.shape[1])
    scaled: Tensor = volumes / share[:, None, None, None, None].to(volumes)
    return torch.where(present[:, :, None, None, None].to(volumes.device), scaled, torch.zeros_like(volumes))
