"""Multimodal jigsaw puzzles, solved with the Sinkhorn operator."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.puzzle_tiles import Puzzles, TileSettings, cut_puzzles, exhausted, tile_accuracy
from napari_mmssl.ops.permutations import as_matrix, kendall_tau
from napari_mmssl.ops.puzzle_pictures import picture_puzzle
from napari_mmssl.ops.puzzles import PuzzleDraw
from napari_mmssl.ops.sinkhorn import doubly_stochastic_error, match_tiles, soft_permutation
from napari_mmssl.pictures import PictureItem
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch


class PuzzleSettings(TileSettings):
    """Settings of the multimodal puzzle."""

    temperature: float = Field(0.5, gt=0, le=10, title="Temperature", description="Towards 0: a hard permutation")
    rounds: int = Field(
        20, ge=0, le=1000, title="Sinkhorn rounds", description="Row and column normalisations; 0 goes on to the limit"
    )
    gumbel_noise: float = Field(0.0, ge=0, le=5, title="Gumbel noise", description="Noise on the scores; 0 is off")
    reconstruction_weight: float = Field(1.0, ge=0, title="Weight of the picture error (the paper's loss)")
    matching_weight: float = Field(
        1.0, ge=0, title="Weight of the cross-entropy on the permutation", description="0 is the paper's loss alone"
    )
    context_layers: int = Field(
        2, ge=0, le=8, title="Context layers", description="Attention among the tiles; 0 scores each tile alone"
    )


@objectives.register(
    "puzzle",
    summary="Restore shuffled tiles of mixed modalities; the permutation is inferred with the Sinkhorn operator",
    source="Taleb et al., arXiv:1912.05396, section 3",
)
class Puzzle(Objective[PuzzleSettings]):
    """Multimodal jigsaw puzzles.

    Each tile is encoded alone with shared weights and pooled to a vector; the vectors look at each other
    through a few attention layers without positions (so the answer does not depend on the order in which
    tiles are given), and a linear layer scores every tile at every place. The loss is the mean squared
    error between the restored and the ordered tiles, ``|| S^T P - P* ||^2`` (the paper's), and the
    cross-entropy of the scores after Sinkhorn against the true permutation, which has the better gradients.
    Attention among tiles and the cross-entropy are ours; set ``context_layers`` and ``matching_weight`` to
    0 for the paper's own. Places that show no body are interchangeable and carry no weight.
    """

    settings_class = PuzzleSettings

    def __init__(
        self, settings: PuzzleSettings, encoder: Encoder, vocabulary: tuple[str, ...], patch: tuple[int, int, int]
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        width = encoder.channels[-1]
        self.normalise = nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.context = nn.TransformerEncoder(layer, settings.context_layers, enable_nested_tensor=False)
        self.score = nn.Linear(width, settings.n_tiles, bias=False)

    @classmethod
    def needs(cls, settings: PuzzleSettings) -> Needs:
        """Two modalities for a mixed puzzle; one is enough to play, and is shown as such."""
        return Needs(placement=settings.placement, partners=settings.mode != "single")

    def views(self, batch: PatchBatch) -> Views:
        """Return one view with all tiles of all puzzles, ``(B * N, 1, d, h, w)``."""
        puzzles = cut_puzzles(batch, self.settings, purpose="puzzle", centred=not self.training)
        return Views({"puzzle/tiles": puzzles.shuffled.flatten(0, 1).unsqueeze(1)}, puzzles)

    def scores(self, puzzles: Puzzles, features: Features) -> Tensor:
        """Return the scores ``(B, N, N)`` float32 of each shuffled tile (row) at each place (column)."""
        deepest = features["puzzle/tiles"][-1]
        vectors = deepest.mean(dim=(2, 3, 4)).reshape(*puzzles.shuffled.shape[:2], -1)  # (B, N, width)
        scores: Tensor = self.score(self.context(self.normalise(vectors)))
        return scores.float()  # divided by a temperature and exponentiated next, which bfloat16 is too coarse for

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the picture error and the matching loss, with tile accuracy and friends as metrics."""
        puzzles: Puzzles = views.memory
        scores = self.scores(puzzles, features)
        soft = soft_permutation(
            self._with_noise(scores, batch), self.settings.temperature, self.settings.rounds or None
        )
        truth = _true_matrices(puzzles.draws, scores)
        weight = puzzles.counted.float()
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)  # (B, N) over places
        restored = torch.einsum("bnj,bnv->bjv", soft, puzzles.shuffled.flatten(2))
        error = (restored - puzzles.ordered.flatten(2)).square().mean(dim=2)  # (B, N) per place
        log_soft = torch.log(soft.clamp(min=1e-9))
        # Weight by the body at the tile's true place.
        entropy = -(truth * log_soft * weight.unsqueeze(1)).sum(dim=(1, 2))
        terms = {
            "reconstruction": self.settings.reconstruction_weight * (error * weight).sum(dim=1).mean(),
            "matching": self.settings.matching_weight * entropy.mean(),
        }
        metrics = _puzzle_metrics(scores, puzzles) | {"doubly_stochastic_error": doubly_stochastic_error(soft.detach())}
        return Losses({name: term for name, term in terms.items() if getattr(self.settings, f"{name}_weight")}, metrics)

    def warning(self, first: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """Return a sentence once the puzzles teach little more."""
        return exhausted("puzzle", now.get("tile_accuracy", 0.0))

    def _with_noise(self, scores: Tensor, batch: PatchBatch) -> Tensor:
        if not self.training or self.settings.gumbel_noise == 0:
            return scores
        generator = torch.Generator().manual_seed(counted_seed(int(batch.seed[0]), purpose="gumbel"))
        uniform = torch.rand(scores.shape, generator=generator).clamp(1e-9, 1 - 1e-7).to(scores.device)
        return scores - self.settings.gumbel_noise * torch.log(-torch.log(uniform))

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first sample's puzzle as source, mixed, shuffled and solved, with its matrices."""
        puzzles: Puzzles = views.memory
        scores = self.scores(puzzles, features)[0].detach().cpu().numpy()
        settings = self.settings
        return picture_puzzle(
            volumes=batch.volumes[0].cpu().numpy(),
            names=batch.vocabulary,
            draw=puzzles.draws[0],
            scores=scores,
            body=puzzles.counted[0].cpu().numpy(),
            grid=settings.grid,
            jitter=settings.jitter,
            temperature=settings.temperature,
            rounds=settings.rounds,
            affine=batch.patch_to_world[0].cpu().numpy(),
        )


def _true_matrices(draws: list[PuzzleDraw], like: Tensor) -> Tensor:
    matrices: Tensor = torch.from_numpy(np.stack([as_matrix(draw.perm) for draw in draws])).to(like)
    return matrices


def _puzzle_metrics(scores: Tensor, puzzles: Puzzles) -> dict[str, float]:
    """Return accuracy over places with body, share of puzzles solved there, and Kendall's tau over all tiles."""
    matched = match_tiles(scores)
    truth = puzzles.perm
    counts = np.take_along_axis(puzzles.counted.cpu().numpy(), truth, axis=1)  # by shuffled tile
    solved = ((matched == truth) | ~counts).all(axis=1)
    return {
        "tile_accuracy": tile_accuracy(matched, puzzles),
        "solved": float(solved.mean()),
        "kendall_tau": float(np.mean([kendall_tau(m, t) for m, t in zip(matched, truth, strict=True)])),
    }
