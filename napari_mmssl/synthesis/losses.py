"""Losses of cycle-consistent and of paired translation (CycleGAN, arXiv:1703.10593; pix2pix, arXiv:1611.07004)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

#: Points at which the distributions of two sets of patches are compared.
_QUANTILES = 64


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Return ``mean (D(x) - target)^2``: least-squares adversarial loss (arXiv:1611.04076, equation 2 with 0 and 1)."""
    return (scores.float() - target).square().mean()


def discriminator_loss(of_real: Tensor, of_made: Tensor) -> Tensor:
    """Return half the sum of both errors of a discriminator: halved, it learns at half the generator's pace.

    Parameters
    ----------
    of_real, of_made
        Its scores of real patches, wanted at 1, and of made ones, wanted at 0.
    """
    return 0.5 * (least_squares(of_real, 1.0) + least_squares(of_made, 0.0))


def l1_in_body(one: Tensor, other: Tensor, body: Tensor) -> Tensor:
    """Return the mean absolute difference over the body; 0 where there is none.

    Parameters
    ----------
    one, other, body
        ``(B, 1, D, H, W)``; ``body`` is 0 or 1.
    """
    difference = (one.float() - other.float()).abs() * body
    return difference.sum() / body.sum().clamp(min=1)


def distribution_loss(made: Tensor, body_made: Tensor, real: Tensor, body_real: Tensor) -> Tensor:
    """Return how far intensities must be moved, on average, to be as often met in ``made`` as in ``real``; a scalar.

    The 1-Wasserstein distance of the intensities within the bodies, as the mean difference of evenly spaced quantiles;
    0 where there is no body. The gradient moves each quantile towards its real counterpart.

    Parameters
    ----------
    made, body_made, real, body_real
        ``(B, 1, D, H, W)``, all patches of a side together; bodies are 0 or 1.
    """
    inside = [values.float()[body > 0] for values, body in ((made, body_made), (real, body_real))]
    if not all(len(values) for values in inside):
        return made.sum() * 0
    shares = (torch.arange(_QUANTILES, device=made.device) + 0.5) / _QUANTILES
    first, second = (values.sort().values[(shares * len(values)).long()] for values in inside)
    return (first - second.detach()).abs().mean()


@contextmanager
def as_judge(*modules: nn.Module) -> Iterator[None]:
    """Let gradients pass through ``modules`` and leave none in their weights while the block builds its graph.

    A generator is judged by the discriminator without teaching it to give way. With this, the losses of all
    players can be summed and differentiated once: the gradients that reach each player are those that CycleGAN's
    two alternating passes give it, as the discriminator's pass uses images that were made before the generator moved.
    """
    weights = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)
