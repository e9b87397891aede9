"""The network of tasks that give values for a whole case: pooled features and a small perceptron."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.networks.fusion import encode


def pooled_width(encoder: Encoder) -> int:
    """Return how many features :func:`pooled` gives."""
    return sum(encoder.channels) + encoder.channels[-1]


def pooled(pyramid: list[Tensor], inside: Tensor | None = None) -> Tensor:
    """Return the mean of every level, and the maximum of the coarsest, as ``(B, F)`` float32.

    Means say how much there is of something and the maximum that it is there at all.

    Parameters
    ----------
    pyramid
        Features, finest level first.
    inside
        Where the body is ``(B, D, H, W)``; means are taken there only, so that the air around it does not count.
    """
    means = []
    for features in pyramid:
        flat = features.float().flatten(2)
        if inside is None:
            means.append(flat.mean(dim=2))
            continue
        depth, height, width = features.shape[2:]
        share = functional.adaptive_avg_pool3d(inside.unsqueeze(1).float(), (depth, height, width)).flatten(2)
        means.append((flat * share).sum(dim=2) / share.sum(dim=2).clamp(min=1e-6))
    return torch.cat([*means, pyramid[-1].float().flatten(2).amax(dim=2)], dim=1)


#: How much faster than the rest the direct way of covariates learns. An optimiser of Adam's kind moves every weight by
#: about the learning rate in a step, whatever there is to learn; in a few hundred steps age would not get far.
_SPEED = 10.0


class CaseNetwork(nn.Module):
    """From the modalities of a whole case, and what is known beside them, to ``n_out`` numbers.

    Parameters
    ----------
    encoder
        Takes all modalities, in any way of :mod:`napari_mmssl.networks.fusion`.
    n_covariates
        Values beside the image, such as age; 0 for none.
    n_out
        Numbers given.
    hidden
        Width of the perceptron.
    dropout
        Share of the pooled features and of the hidden values withheld in training.
    """

    def __init__(self, encoder: Encoder, n_covariates: int, n_out: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        width = pooled_width(encoder)
        self.norm = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout))
        self.head = nn.Sequential(
            nn.Linear(width + n_covariates, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, n_out)
        )
        # Beside hundreds of features, one number such as age would hardly be heard without a way of its own.
        self.direct = nn.Linear(n_covariates, n_out, bias=False) if n_covariates else None
        if self.direct is not None:
            nn.init.zeros_(self.direct.weight)

    def encode(self, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Return the pyramid of ``volumes`` ``(B, K, D, H, W)``; ``present`` ``(B, K)`` says which are there."""
        return encode(self.encoder, volumes, present)

    def numbers(self, pyramid: list[Tensor], covariates: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return ``(B, n_out)``, given features and ``covariates`` ``(B, n)``; see :func:`pooled` for ``inside``."""
        image = self.norm(pooled(pyramid, inside))
        covariates = covariates.to(image)
        given: Tensor = self.head(torch.cat([image, covariates], dim=1))
        return given if self.direct is None else given + _SPEED * self.direct(covariates)
