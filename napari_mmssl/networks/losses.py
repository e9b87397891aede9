"""What downstream tasks minimise."""

import torch
from torch import Tensor
from torch.nn import functional

from napari_mmssl.tasks.partial_labels import SOME_CLASS, UNKNOWN


def dice_loss(logits: Tensor, label: Tensor, smooth: float = 1.0) -> Tensor:
    """Return 1 - soft Dice, averaged over the foreground classes; sums run over the whole batch.

    Summing over the batch keeps patches without a class from pulling it to nothing. Voxels that are ``UNKNOWN``
    count nowhere. Where it is known only that there is ``SOME_CLASS``, they count in the union of all classes, which
    is then one more term of the mean.

    Parameters
    ----------
    logits
        ``(B, C, D, H, W)``.
    label
        Class indices ``(B, D, H, W)``, ``SOME_CLASS`` or ``UNKNOWN``.
    smooth
        Added above and below the line, so that a class absent from the batch counts as right.

    References
    ----------
    Milletari et al. 2016, arXiv:1606.04797, section 3; without the squares in the denominator. Learning from a union:
    Shi et al. 2021, arXiv:2007.03868 (marginal loss).
    """
    probability = logits.float().softmax(dim=1)[:, 1:]
    exact = (label < SOME_CLASS).unsqueeze(1)
    truth = functional.one_hot(torch.where(exact[:, 0], label, 0), logits.shape[1]).movedim(-1, 1)[:, 1:].float()
    per_class = _soft_dice(probability * exact, truth, smooth)
    if exact.all():
        return 1 - per_class.mean()
    known = (label != UNKNOWN).unsqueeze(1)
    any_class = (known & (label > 0).unsqueeze(1)).float()
    union = _soft_dice(probability.sum(dim=1, keepdim=True) * known, any_class, smooth)
    return 1 - torch.cat([per_class, union]).mean()


def _soft_dice(probability: Tensor, truth: Tensor, smooth: float) -> Tensor:
    over = (0, 2, 3, 4)
    shared = (probability * truth).sum(dim=over)
    size = probability.sum(dim=over) + truth.sum(dim=over)
    return (2 * shared + smooth) / (size + smooth)


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy over known voxels; that of ``SOME_CLASS`` is of the classes' sum.

    Arguments as in :func:`dice_loss`; 0 if no voxel is known.
    """
    if bool((label < SOME_CLASS).all()):
        return functional.cross_entropy(logits.float(), label)
    log_probability = logits.float().log_softmax(dim=1)
    chosen = log_probability.gather(1, torch.where(label < SOME_CLASS, label, 0).unsqueeze(1)).squeeze(1)
    any_class = log_probability[:, 1:].logsumexp(dim=1)
    known = label != UNKNOWN
    total = -(torch.where(label == SOME_CLASS, any_class, chosen) * known).sum()
    return total / known.sum().clamp(min=1)


def segmentation_losses(maps: list[Tensor], label: Tensor) -> dict[str, Tensor]:
    """Return soft Dice and cross-entropy, the usual pair, as two terms over maps of all levels.

    Parameters
    ----------
    maps
        Logits at full size and, with deep supervision, at coarser levels, finest first. Each level counts half of
        the one before; the weights add up to 1.
    label
        As in :func:`dice_loss`, at full size; coarser ones take the nearest voxel.

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (nnU-Net), on the sum and the weights.
    """
    weights = [0.5**level for level in range(len(maps))]
    terms = {"dice": _zero(maps[0]), "cross_entropy": _zero(maps[0])}
    for weight, logits in zip(weights, maps, strict=True):
        here = label if logits.shape[2:] == label.shape[1:] else _nearest(label, logits.shape[2:])
        terms["dice"] = terms["dice"] + weight / sum(weights) * dice_loss(logits, here)
        terms["cross_entropy"] = terms["cross_entropy"] + weight / sum(weights) * cross_entropy(logits, here)
    return terms


def _zero(logits: Tensor) -> Tensor:
    """Return a single-precision 0 on the device of ``logits``."""
    return torch.zeros((), device=logits.device)


def _nearest(label: Tensor, shape: torch.Size) -> Tensor:
    # Labels are below 256, which single precision holds exactly.
    return functional.interpolate(label.unsqueeze(1).float(), size=shape, mode="nearest-exact").squeeze(1).long()


def hazard_loss(logits: Tensor, interval: Tensor, observed: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of discrete-time survival.

    Parameters
    ----------
    logits
        Of the hazard in each interval ``(B, n)``: the probability of dying in it, given that it was reached.
    interval
        Where the event lies ``(B,)``; for a censored person, how many intervals are known to be survived (0 to n).
        An event beyond the last interval is a person who survived all n.
    observed
        Whether the event was seen ``(B,)``.

    References
    ----------
    Gensheimer and Narasimhan 2019, PeerJ 7:e6257, equation 3 (nnet-survival).
    """
    numbers = torch.arange(logits.shape[1], device=logits.device)
    survived = numbers < interval.unsqueeze(1)
    died = (numbers == interval.unsqueeze(1)) & observed.unsqueeze(1)
    logits = logits.float()
    # log(1 - sigmoid(x)) = logsigmoid(-x)
    likelihood = functional.logsigmoid(-logits) * survived + functional.logsigmoid(logits) * died
    return -likelihood.sum(dim=1).mean()
