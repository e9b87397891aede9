"""Segmentation: soft Dice with cross-entropy."""

from torch import Tensor
from torch.nn import functional


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
