"""Features of a frozen encoder: of whole cases, and at single voxels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.inference.case_prediction import whole_case
from napari_mmssl.networks.case_head import pooled
from napari_mmssl.networks.encoders import Encoder, build_encoder
from napari_mmssl.networks.transfer import transfer_encoder
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch

Shape = tuple[int, int, int]


def frozen_encoder(
    card: Mapping[str, Any], weights: dict[str, Tensor] | None, device: torch.device, seed: int = 0
) -> Encoder:
    """Return the single-channel encoder of a pretraining's card, with its weights or, of ``None``, random ones."""
    torch.manual_seed(counted_seed(seed, purpose="probe"))
    how = card["encoder"]
    encoder = build_encoder(how["name"], how["size"], 1, how["thick_slices"] or 0)
    if weights is not None:
        transfer_encoder(encoder, weights)
    return encoder.to(device).eval()


@torch.no_grad()
def case_features(
    encoder: Encoder, case: PreparedCase, modalities: tuple[str, ...], patch: Shape, device: torch.device
) -> np.ndarray:
    """Return pooled features of each modality alone ``(K, F)`` float64; NaN for one that the case lacks."""
    batch = whole_case(case, modalities, patch).to(device)
    there = batch.channels(0)
    features = pooled(encoder(batch.volumes[0, there].unsqueeze(1)), batch.foreground.expand(len(there), -1, -1, -1))
    found = np.full((len(modalities), features.shape[1]), np.nan)
    found[there] = features.double().cpu().numpy()
    return found


@torch.no_grad()
def voxel_pyramid(encoder: Encoder, batch: PatchBatch) -> list[Tensor]:
    """Return the pyramid of a batch of one, averaged over the modalities there are; levels are ``(1, C, d, h, w)``."""
    pyramid = encoder(batch.volumes[0, batch.channels(0)].unsqueeze(1))
    return [level.float().mean(dim=0, keepdim=True) for level in pyramid]


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
    found: np.ndarray = torch.cat(rows, dim=1).double().cpu().numpy()
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
