"""Features of a frozen encoder: of whole cases, and at single voxels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.errors import ConfigError
from napari_mmssl.inference.case_prediction import whole_case
from napari_mmssl.networks.case_head import pooled
from napari_mmssl.networks.encoders import Encoder, build_encoder
from napari_mmssl.networks.fusion import network_input
from napari_mmssl.networks.transfer import transfer_encoder
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class FrozenEncoder:
    """An encoder that is looked at and not trained.

    Parameters
    ----------
    encoder
        In evaluation mode.
    channels
        Modality of each of its channels; empty if it takes one channel, whichever modality that is.
    """

    encoder: Encoder
    channels: tuple[str, ...] = ()

    def known(self, batch: PatchBatch) -> list[int]:
        """Return the channels of the first sample that the encoder can look at.

        Raises
        ------
        ConfigError
            If there are none.
        """
        known = [one for one in batch.channels(0) if not self.channels or batch.vocabulary[one] in self.channels]
        if not known:
            raise ConfigError(
                f"'{batch.case[0]}' has none of the modalities that the encoder was pretrained on "
                f"({', '.join(self.channels)})"
            )
        return known

    @torch.no_grad()
    def alone(self, batch: PatchBatch) -> list[Tensor]:
        """Return the pyramid of each of :meth:`known`, as if there were no other; levels are ``(n, C, d, h, w)``."""
        known = self.known(batch)
        volumes = batch.volumes[0, known].unsqueeze(1)
        if not self.channels:
            return self.encoder(volumes)  # type: ignore[no-any-return]
        place = [self.channels.index(batch.vocabulary[one]) for one in known]
        there = functional.one_hot(torch.tensor(place), len(self.channels)).bool()
        spread = volumes * there[:, :, None, None, None].to(volumes)
        return self.encoder(network_input(spread, there))  # type: ignore[no-any-return]

    @torch.no_grad()
    def together(self, batch: PatchBatch) -> list[Tensor]:
        """Return the pyramid of all of :meth:`known`, levels ``(1, C, d, h, w)``: seen at once, or the mean."""
        if not self.channels:
            return [level.float().mean(dim=0, keepdim=True) for level in self.alone(batch)]
        known = {batch.vocabulary[one]: batch.volumes[0, one] for one in self.known(batch)}
        empty = torch.zeros_like(batch.volumes[0, 0])
        volumes = torch.stack([known.get(name, empty) for name in self.channels])[None]
        there = torch.tensor([[name in known for name in self.channels]])
        return [level.float() for level in self.encoder(network_input(volumes, there))]


def frozen_encoder(
    how: Mapping[str, Any],
    channels: tuple[str, ...],
    weights: dict[str, Tensor] | None,
    device: torch.device,
    seed: int = 0,
) -> FrozenEncoder:
    """Return the encoder of a pretraining, with its weights or, of ``None``, random ones.

    Parameters
    ----------
    how
        Its ``name``, ``size`` and ``thick_slices``.
    channels
        See :class:`FrozenEncoder`.
    weights
        State of the encoder.
    device
        Where it goes.
    seed
        Decides random weights.
    """
    torch.manual_seed(counted_seed(seed, purpose="probe"))
    encoder = build_encoder(how["name"], how["size"], len(channels) or 1, how["thick_slices"] or 0)
    if weights is not None:
        transfer_encoder(encoder, weights, channels, channels)
    return FrozenEncoder(encoder.to(device).eval(), channels)


def case_features(
    encoder: FrozenEncoder, case: PreparedCase, modalities: tuple[str, ...], patch: Shape, device: torch.device
) -> np.ndarray:
    """Return pooled features of each modality alone ``(K, F)`` float64; NaN for one that is not there or not known."""
    batch = whole_case(case, modalities, patch).to(device)
    known = encoder.known(batch)
    features = pooled(encoder.alone(batch), batch.foreground.expand(len(known), -1, -1, -1))
    found = np.full((len(modalities), features.shape[1]), np.nan)
    found[known] = features.cpu().double().numpy()
    return found


def features_at(pyramid: list[Tensor], voxels: np.ndarray, shape: Shape) -> np.ndarray:
    """Return features at ``voxels`` ``(n, 3)`` of a patch of ``shape``, all levels beside each other ``(n, F)``.

    Interpolated linearly, just as :func:`linear_map` does it for every voxel.
    """
    places = torch.from_numpy((2 * voxels + 1) / np.array(shape) - 1).float().flip(1)  # (z, y, x) to (x, y, z)
    grid = places[None, :, None, None, :].to(pyramid[0].device)
    rows = [
        functional.grid_sample(level, grid, padding_mode="border", align_corners=False)[0, :, :, 0, 0].T
        for level in pyramid
    ]
    found: np.ndarray = torch.cat(rows, dim=1).cpu().double().numpy()
    return found


def linear_map(pyramid: list[Tensor], weights: np.ndarray, bias: np.ndarray, shape: Shape) -> Tensor:
    """Return the logits ``(C, D, H, W)`` that ``weights`` ``(F, C)`` give every voxel.

    A linear map may be taken before interpolating, so that no voxel ever has all its features in memory.
    """
    total = torch.zeros(1, weights.shape[1], *shape, device=pyramid[0].device)
    first = 0
    for level in pyramid:
        part = torch.from_numpy(weights[first : first + level.shape[1]]).to(level)
        first += level.shape[1]
        coarse = torch.einsum("bcdhw,ck->bkdhw", level, part)
        total += functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=False)
    return total[0] + torch.from_numpy(bias).to(total)[:, None, None, None]
