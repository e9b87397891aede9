"""What the two topology objectives share: two modalities of each person, and tokens with places.

Pan et al. 2026, arXiv:2605.14654. A feature map ``(B, C, D, H, W)`` becomes tokens ``(B, T, C)`` by moving
the channels last, so that one token is one place; a plain reshape would mix places.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, normalize

from napari_mmssl.config import Settings
from napari_mmssl.networks.encoders import Encoder, Stride
from napari_mmssl.objectives import Features, Objective, Views
from napari_mmssl.ops.neighbours import Neighbourhood, distances_between, neighbourhoods
from napari_mmssl.ops.topology import collapse_monitors
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

#: Views by these names are encoded once for both objectives.
FIRST, SECOND = "topology/first", "topology/second"
#: By default tokens come from the coarsest level that has this many of them.
_FEWEST_TOKENS = 64
_PROJECTOR = (256, 128)
#: Tokens that differ less (1 is evenly spread) are as good as equal.
_LEAST_SPREAD = 0.05


class TopologySettings(Settings):
    """Settings of tokens and of neighbourhoods among them."""

    level: int | None = Field(
        None, ge=0, le=8, title="Level", description="Of the pyramid, 0 is finest; unset: coarsest with 64 tokens"
    )
    placement: Literal["random", "whole"] = Field(
        "random", title="Placement", description="random: crops inside the body; whole: the body in one patch"
    )
    projector: bool = Field(False, title="Projector", description="Two layers between features and tokens")
    body_share: float = Field(
        0.05, ge=0, le=1, title="Least body", description="Tokens whose cell shows less of it are left out"
    )
    neighbourhood: Neighbourhood = Field(
        "hybrid",
        title="Neighbourhood",
        description="feature: most alike (the paper's); spatial: nearest; hybrid: most alike within the radius",
    )
    neighbours: int = Field(5, ge=1, le=32, title="Neighbours", description="Of each token")
    radius: float = Field(2.5, gt=0, le=100, title="Radius", description="Of hybrid neighbourhoods, in token cells")
    variance_weight: float = Field(
        0.0, ge=0, title="Weight of the guard against collapse", description="Hinge on the tokens' spread; 0 is off"
    )


S = TypeVar("S", bound=TopologySettings)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Unit tokens of two modalities of every person in a batch.

    Parameters
    ----------
    first, second
        ``(B, T, C)`` float32, of length 1.
    usable
        Whether the cell of a token shows enough body ``(B, T)``.
    places_mm
        Centres of the cells in world RAS ``(B, T, 3)``.
    body_places
        The same in shares of the body's box, 0 to 1 from left, back and below ``(B, T, 3)``.
    cell_mm
        Edge of a cube with a cell's volume ``(B,)``.
    centres
        Centres of the cells in voxels of the patch ``(T, 3)``.
    """

    first: Tensor
    second: Tensor
    usable: Tensor
    places_mm: Tensor
    body_places: Tensor
    cell_mm: Tensor
    centres: Tensor

    def neighbourhoods(self, tokens: Tensor, settings: TopologySettings, who: list[int]) -> tuple[Tensor, Tensor]:
        """Return indices and validity ``(n, T, k)`` of the neighbourhoods in ``tokens`` ``(n, T, C)`` of ``who``."""
        tokens = tokens.detach()
        similarity = tokens @ tokens.transpose(-1, -2)
        places = self.places_mm[who]
        distances = distances_between(places, places) / self.cell_mm[who, None, None]
        found: tuple[Tensor, Tensor] = neighbourhoods(
            similarity, distances, self.usable[who], settings.neighbours, settings.neighbourhood, settings.radius
        )
        return found


@dataclass(frozen=True)
class DrawnModalities:
    """Channel of each person's first and second view; equal where a person has one modality only."""

    first: tuple[int, ...]
    second: tuple[int, ...]


class TopologyObjective(Objective[S]):
    """Base of the objectives on neighbourhoods of tokens."""

    #: What it is registered as, and what its monitors are called.
    name: ClassVar[str]
    monitored: ClassVar[str]

    def __init__(self, settings: S, encoder: Encoder, vocabulary: tuple[str, ...], patch: tuple[int, int, int]) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.level = choose_level(encoder.strides, patch) if settings.level is None else settings.level
        self.level = min(self.level, len(encoder.strides) - 1)
        self.stride = encoder.strides[self.level]
        width = encoder.channels[self.level]
        self.projector: nn.Module = nn.Identity()
        if settings.projector:
            hidden, out = _PROJECTOR
            self.projector = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))

    def views(self, batch: PatchBatch) -> Views:
        """Return two views ``(B, 1, D, H, W)``: of every person two different modalities, where there are two."""
        return two_views(batch)

    def tokens(self, batch: PatchBatch, features: Features) -> Tokens:
        """Return the tokens of the chosen level with their places."""
        first, second = features[FIRST][self.level], features[SECOND][self.level]
        device = first.device
        # Places are computed on the CPU in float64, where the affines are; no autocast rounds them.
        centres = cell_centres(first.shape[2:], self.stride)
        affine = batch.patch_to_world.cpu()
        linear, shift = affine[:, :3, :3], affine[:, :3, 3]
        places = centres @ linear.transpose(1, 2) + shift[:, None]
        low, high = batch.body_box_mm.cpu().unbind(1)
        body_places = (places - low[:, None]) / (high - low).clamp(min=1e-3)[:, None]
        volume = torch.linalg.det(linear).abs() * math.prod(self.stride)
        with torch.autocast(device.type, enabled=False):
            units = [normalize(self.projector(to_tokens(one.float())), dim=-1) for one in (first, second)]
        return Tokens(
            first=units[0],
            second=units[1],
            usable=body_shares(batch.foreground, self.stride).flatten(1).to(device) >= self.settings.body_share,
            places_mm=places.to(device, torch.float32),
            body_places=body_places.to(device, torch.float32),
            cell_mm=(volume ** (1 / 3)).to(device, torch.float32),
            centres=centres,
        )

    def warning(self, first: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """Return a sentence if the tokens of unseen people collapse.

        They do if their effective rank is less than half of what it was before the first step, or if they hardly
        differ at all.
        """
        rank, spread = f"{self.monitored}_effective_rank", f"{self.monitored}_token_std"
        if rank not in now or (now[rank] >= first.get(rank, 0.0) / 2 and now[spread] >= _LEAST_SPREAD):
            return None
        return (
            f"the tokens of '{self.name}' are collapsing: on unseen subjects their effective rank is {now[rank]:.1f} "
            f"and was {first.get(rank, now[rank]):.1f} at the start; try variance_weight = 1"
        )

    def guard(self, tokens: Tokens) -> dict[str, Tensor]:
        """Return the weighted hinge on the spread of the tokens, if it is on."""
        weight = self.settings.variance_weight
        if not weight:
            return {}
        used = torch.cat([tokens.first[tokens.usable], tokens.second[tokens.usable]])
        return {"variance": weight * variance_hinge(used)}


def draw_modalities(batch: PatchBatch) -> DrawnModalities:
    """Draw an ordered pair of modalities for every person; both objectives draw the same."""
    pairs = []
    for sample, seed in enumerate(batch.seed.tolist()):
        channels = batch.channels(sample)
        order = counted_rng(seed, purpose="topology/modalities").permutation(channels).tolist()
        pairs.append((order[0], order[min(1, len(order) - 1)]))
    first, second = zip(*pairs, strict=True)
    return DrawnModalities(first, second)


def two_views(batch: PatchBatch) -> Views:
    """Return two modalities of every person, each ``(B, 1, D, H, W)``, and in memory which ones they are."""
    drawn = draw_modalities(batch)
    inputs = {
        name: torch.stack([batch.volumes[sample, channel] for sample, channel in enumerate(channels)]).unsqueeze(1)
        for name, channels in ((FIRST, drawn.first), (SECOND, drawn.second))
    }
    return Views(inputs, drawn)


def choose_level(strides: tuple[Stride, ...], patch: tuple[int, int, int]) -> int:
    """Return the coarsest level that has enough tokens on ``patch``; the finest if none has."""
    counts = [math.prod(-(-size // step) for size, step in zip(patch, stride, strict=True)) for stride in strides]
    return max((level for level, count in enumerate(counts) if count >= _FEWEST_TOKENS), default=0)


def to_tokens(features: Tensor) -> Tensor:
    """Return ``(B, C, D, H, W)`` as ``(B, T, C)``: token ``t`` is the features of place ``t``, x fastest."""
    return features.flatten(2).transpose(1, 2)


def cell_centres(grid: tuple[int, ...], stride: Stride) -> Tensor:
    """Return the centres of the cells of a level in voxels ``(z, y, x)`` of the patch; shape ``(T, 3)``."""
    axes = [
        (torch.arange(cells, dtype=torch.float64) + 0.5) * step - 0.5 for cells, step in zip(grid, stride, strict=True)
    ]
    return torch.cartesian_prod(*axes)


def body_shares(foreground: Tensor, stride: Stride) -> Tensor:
    """Return the share of body in each cell: ``(B, D, H, W)`` boolean to ``(B, d, h, w)``, as large as the level."""
    return avg_pool3d(foreground.float().unsqueeze(1), stride, stride, ceil_mode=True, count_include_pad=False)[:, 0]


def variance_hinge(tokens: Tensor) -> Tensor:
    """Return how much the spread of each feature of unit tokens ``(n, C)`` falls short of an even one, averaged.

    References
    ----------
    Bardes et al. 2022, arXiv:2105.04906, equation 1, for unit vectors: the target deviation is ``1 / sqrt(C)``.
    """
    if len(tokens) < 2:
        return tokens.sum() * 0
    deviation = (tokens.var(dim=0) + 1e-6).sqrt() * tokens.shape[1] ** 0.5
    return torch.relu(1 - deviation).mean()


def monitors(tokens: Tokens, prefix: str) -> dict[str, float]:
    """Return the collapse monitors over all usable tokens of both views, by ``<prefix>_<name>``."""
    used = torch.cat([tokens.first[tokens.usable], tokens.second[tokens.usable]])
    found = collapse_monitors(used.detach().cpu().double().numpy())
    return {f"{prefix}_{name}": value for name, value in found.items()}


def draws(shape: tuple[int, ...], *seeds: int, purpose: str, like: Tensor) -> Tensor:
    """Return counted uniform numbers in [0, 1) of ``shape`` on the device of ``like``."""
    first, *rest = seeds
    return torch.from_numpy(counted_rng(first, *rest, purpose=purpose).random(shape)).to(like.device, torch.float32)
