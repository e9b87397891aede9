"""The network of tasks that give values for a whole case from the volumes of what a segmentation draws."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_mmssl.networks.segmentation import SegmentationNetwork

#: How much faster than a step of Adam says the weights move. A few numbers, all of spread 1, need no care, and a few
#: hundred steps at the learning rate of whole networks would not get far.
_SPEED = 10.0


class VolumeNetwork(nn.Module):
    """A segmentation that stays as it is, and a straight line from the logarithms of volumes to ``n_out`` numbers.

    Parameters
    ----------
    segmentation
        Draws the classes; its weights take no gradient.
    regions
        Class indices that are measured together, such as ``(1, 3)`` for a tumour's core.
    n_covariates
        Values beside the image, such as age; 0 for none.
    n_out
        Numbers given.

    Notes
    -----
    Volumes of the sub-regions and the age, in a regression of few weights, are what the best entries to the survival
    task of BraTS used (Bakas et al. 2018, arXiv:1811.02629). They are soft: the sum of the probabilities
    of a region within the body, in voxels.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, segmentation: SegmentationNetwork, regions: Sequence[tuple[int, ...]], n_covariates: int, n_out: int
    ) -> None:
        super().__init__()
        self.segmentation = segmentation.requires_grad_(False)
        self.regions = tuple(regions)
        self.register_buffer("mean", torch.zeros(len(self.regions)))
        self.register_buffer("spread", torch.ones(len(self.regions)))
        self.line = nn.Linear(len(self.regions) + n_covariates, n_out)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)

    def train(self, mode: bool = True) -> "VolumeNetwork":
        """Switch all but the segmentation, which measures alike whether the line is learned or used."""
        super().train(mode)
        self.segmentation.eval()
        return self

    @torch.no_grad()
    def encode(self, volumes: Tensor, present: Tensor) -> list[Tensor]:
        """Return the class probabilities ``(B, C, D, H, W)`` as the one level of a pyramid; see the segmentation."""
        return [torch.softmax(self.segmentation(volumes, present).float(), dim=1)]

    def log_volumes(self, probabilities: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return ``ln(1 + voxels)`` of each region within the body ``inside`` ``(B, D, H, W)``, as ``(B, R)``."""
        if inside is not None:
            probabilities = probabilities * inside.unsqueeze(1)
        voxels = probabilities.flatten(2).sum(dim=2)  # (B, C)
        return torch.stack([voxels[:, list(classes)].sum(dim=1) for classes in self.regions], dim=1).log1p()

    def standardise(self, log_volumes: Tensor) -> None:
        """Take the mean and spread of ``log_volumes`` ``(cases, R)`` for the usual ones."""
        self.mean.copy_(log_volumes.mean(dim=0))
        self.spread.copy_(log_volumes.std(dim=0, correction=0).clamp(min=0.1))

    def numbers(self, pyramid: list[Tensor], covariates: Tensor, inside: Tensor | None = None) -> Tensor:
        """Return ``(B, n_out)``, given what :meth:`encode` gave and ``covariates`` ``(B, n)``."""
        known = (self.log_volumes(pyramid[0], inside) - self.mean) / self.spread
        given: Tensor = _SPEED * self.line(torch.cat([known, covariates.to(known)], dim=1))
        return given
