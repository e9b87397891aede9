"""Generators and discriminators for turning one modality into another."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Stride = tuple[int, int, int]
Dimensions = Literal["2.5d", "3d"]
#: Width of the first layer and number of residual blocks by size; *paper* has CycleGAN's numbers.
_SIZES = {"tiny": (8, 2), "small": (16, 4), "paper": (64, 9)}
#: Intensities are z-scores, cut at 5 when cases are prepared.
_LIMIT = 5.0


def generator_strides(dimensions: Dimensions, thick_slices: int) -> tuple[Stride, Stride]:
    """Return the two reductions of a generator or discriminator along ``(z, y, x)``.

    In ``2.5d`` neither touches the slice axis; in ``3d`` the first ``thick_slices`` leave it alone.
    """
    flat = 2 if dimensions == "2.5d" else min(2, thick_slices)
    first, second = ((1, 2, 2) if level < flat else (2, 2, 2) for level in range(2))
    return first, second


def generator_name(source: str, target: str) -> str:
    """Return what the weights of the generator from ``source`` to ``target`` are called."""
    return f"generator_{source}_to_{target}"


class Generator(nn.Module):
    """From a patch of one modality to the same patch of another, ``(B, 1, D, H, W)`` to the same shape.

    CycleGAN's residual generator (Zhu et al., arXiv:1703.10593, appendix 7.2: a stem, two reductions, residual
    blocks, two enlargements) with three departures. It has no normalisation layers: instance statistics of a patch
    differ from those of the volume, so windows would not fit together and a uniform patch would lose its intensity
    (that residual networks restore images better without, Lim et al., arXiv:1707.02921, found as well). The features
    of the stem are handed to the last layer, so that fine detail need not go through the reductions. Enlargements
    interpolate before they convolve, which leaves no checkerboard.

    In ``2.5d`` the inner layers see single slices and the outermost three: slabs of a few slices do.

    Parameters
    ----------
    size
        ``tiny``, ``small`` or ``paper``.
    dimensions
        ``2.5d`` or ``3d``.
    thick_slices
        How many reductions leave the slice axis alone.
    """

    def __init__(self, size: str, dimensions: Dimensions = "3d", thick_slices: int = 0) -> None:
        super().__init__()
        width, n_blocks = _SIZES[size]
        kernel = (1, 3, 3) if dimensions == "2.5d" else (3, 3, 3)
        first, second = generator_strides(dimensions, thick_slices)
        self.stem = _convolution(1, width, (3, 3, 3))
        self.shrink_1 = _convolution(width, 2 * width, kernel, first)
        self.shrink_2 = _convolution(2 * width, 4 * width, kernel, second)
        self.blocks = nn.ModuleList(_Block(4 * width, kernel) for _ in range(n_blocks))
        self.grow_1 = _convolution(4 * width, 2 * width, kernel)
        self.grow_2 = _convolution(2 * width, width, kernel)
        self.output = _convolution(2 * width, 1, (3, 3, 3))

    def forward(self, patch: Tensor) -> Tensor:
        """Return z-scores within -5 and 5."""
        fine = functional.relu(self.stem(patch))
        middle = functional.relu(self.shrink_1(fine))
        coarse = functional.relu(self.shrink_2(middle))
        for block in self.blocks:
            coarse = block(coarse)
        grown = functional.relu(self.grow_1(_resized(coarse, middle)))
        grown = functional.relu(self.grow_2(_resized(grown, fine)))
        scores: Tensor = self.output(torch.cat([grown, fine], dim=1))
        return _LIMIT * torch.tanh(scores / _LIMIT)


class PatchDiscriminator(nn.Module):
    """Says of each place of a patch how real it looks, ``(B, 1, D, H, W)`` to ``(B, 1, d, h, w)``.

    The PatchGAN of Isola et al. (arXiv:1611.07004, appendix 6.1.2) with two reductions instead of three, for patches
    of tens of voxels, and without normalisation, so that it sees absolute intensities.

    Parameters
    ----------
    size, dimensions, thick_slices
        As in :class:`Generator`.
    """

    def __init__(self, size: str, dimensions: Dimensions = "3d", thick_slices: int = 0) -> None:
        super().__init__()
        width, _ = _SIZES[size]
        kernel = (1, 4, 4) if dimensions == "2.5d" else (4, 4, 4)
        layers: list[nn.Module] = []
        channels = 1
        for level, stride in enumerate(generator_strides(dimensions, thick_slices)):
            grown = width * 2**level
            padding = _half(kernel)
            layers += [nn.Conv3d(channels, grown, kernel, stride, padding), nn.LeakyReLU(0.2)]
            channels = grown
        layers += [nn.Conv3d(channels, 2 * channels, 3, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv3d(2 * channels, 1, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, patch: Tensor) -> Tensor:
        """Return scores; near 1 is real, near 0 made."""
        scores: Tensor = self.layers(patch)
        return scores


class _Block(nn.Module):
    def __init__(self, channels: int, kernel: Stride) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, kernel)
        self.second = _convolution(channels, channels, kernel)
        # Blocks start as nothing, so that depth does not make the untrained output larger.
        nn.init.zeros_(self.second.weight)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = self.second(functional.relu(self.first(features)))
        return features + added


def _convolution(channels: int, out: int, kernel: Stride, stride: Stride = (1, 1, 1)) -> nn.Conv3d:
    return nn.Conv3d(channels, out, kernel, stride, _half(kernel), padding_mode="replicate")


def _half(kernel: Stride) -> Stride:
    z, y, x = (size // 2 for size in kernel)
    return z, y, x


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[2:], mode="trilinear", align_corners=False)
