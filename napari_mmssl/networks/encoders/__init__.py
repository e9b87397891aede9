"""Encoders, one file each; every one gives the same kind of feature pyramid."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_mmssl.registry import Registry

Stride = tuple[int, int, int]


class Encoder(nn.Module, ABC):
    """From a patch to a pyramid of features.

    Subclasses take ``(in_channels, size, thick_slices)``: number of input channels, one of
    :attr:`sizes`, and how many of the first reductions leave the slice axis alone. They use no batch
    statistics: views of several modalities share a pass, and ranks must agree.

    Attributes
    ----------
    channels
        Features per level, finest first.
    strides
        Reduction of each level against the input, along ``(z, y, x)``.
    """

    sizes: ClassVar[tuple[str, ...]] = ("tiny", "small", "paper")
    channels: tuple[int, ...]
    strides: tuple[Stride, ...]

    @property
    def smallest_input(self) -> Stride:
        """Least number of voxels along each axis."""
        return self.strides[-1]

    @property
    @abstractmethod
    def stem(self) -> nn.Conv3d:
        """The first convolution, the one layer that knows how many channels come in."""

    @abstractmethod
    def forward(self, patch: Tensor) -> list[Tensor]:
        """Return the features of ``patch`` ``(B, C, D, H, W)``, finest level first.

        With ``strides[l] = (z, y, x)``, level ``l`` has ``channels[l]`` channels on
        ``(ceil(D / z), ceil(H / y), ceil(W / x))`` voxels.
        """


def accumulate_strides(n_reductions: int, thick_slices: int) -> tuple[list[Stride], tuple[Stride, ...]]:
    """Return the step of each reduction along ``(z, y, x)``, and the stride of each level, the finest first."""
    steps: list[Stride] = [(1 if level < thick_slices else 2, 2, 2) for level in range(n_reductions)]
    strides: list[Stride] = [(1, 1, 1)]
    for step in steps:
        z, y, x = (have * more for have, more in zip(strides[-1], step, strict=True))
        strides.append((z, y, x))
    return steps, tuple(strides)


encoders: Registry[type[Encoder]] = Registry("encoder", "napari_mmssl.networks.encoders")


def build_encoder(name: str, size: str, in_channels: int, thick_slices: int = 0) -> Encoder:
    """Return a new encoder with random weights, in channels-last memory order.

    That order halves the time of a training step on a CPU (``benchmarks/memory_order.py``).

    Raises
    ------
    ConfigError
        If there is no encoder called ``name``.
    """
    encoder = encoders.get(name)(in_channels, size, thick_slices)
    return encoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]
