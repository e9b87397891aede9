"""The comparison arm of the puzzle: say which of a fixed set of permutations shuffled the tiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from napari_mmssl.networks.encoders import Encoder
from napari_mmssl.objectives import Features, Losses, Needs, Objective, Views, objectives
from napari_mmssl.objectives.puzzle_tiles import Puzzles, TileSettings, cut_puzzles, exhausted, tile_accuracy
from napari_mmssl.ops.permutations import Permutation, as_matrix, most_permutations, spread_permutations
from napari_mmssl.ops.puzzle_pictures import picture_puzzle
from napari_mmssl.pictures import PictureItem
from napari_mmssl.sampling.batch import PatchBatch

#: Features of the head's hidden layer.
_HIDDEN = 128
#: Score of a tile at its answered place in the picture, where nothing is left soft.
_CERTAIN = 9.0


class PermutationClassificationSettings(TileSettings):
    """Settings of the classification of permutations."""

    permutations: int = Field(
        100, ge=2, le=1000, title="Permutations", description="Size of the fixed set, spread as far apart as they go"
    )

    @model_validator(mode="after")
    def _are_there(self) -> "PermutationClassificationSettings":
        if self.permutations > most_permutations(self.n_tiles):
            raise ValueError(f"a grid of {self.n_tiles} tiles has fewer than {self.permutations} permutations")
        return self


@objectives.register(
    "permutation_classification",
    summary="Say which of 100 fixed permutations shuffled the tiles of mixed modalities",
    source="Noroozi and Favaro, arXiv:1603.09246; in 3-D Taleb et al., arXiv:2006.03829; baseline of arXiv:1912.05396",
)
class PermutationClassification(Objective[PermutationClassificationSettings]):
    """Jigsaw puzzles by classification.

    Tiles are cut, mixed and encoded as in the multimodal puzzle. Their vectors, in the order in which they lie, go
    through one hidden layer to a score for each permutation of a set that never changes; the loss is the
    cross-entropy. What it cannot do is what the Sinkhorn operator is for: another grid needs another head, and
    permutations outside the set are never asked for. No dropout and no batch statistics in the head, unlike the
    published ones.
    """

    settings_class = PermutationClassificationSettings

    def __init__(
        self,
        settings: PermutationClassificationSettings,
        encoder: Encoder,
        vocabulary: tuple[str, ...],
        patch: tuple[int, int, int],
    ) -> None:
        super().__init__(settings, encoder, vocabulary, patch)
        self.permutations = spread_permutations(settings.n_tiles, settings.permutations)
        width = encoder.channels[-1]
        self.normalise = nn.LayerNorm(width)
        self.head = nn.Sequential(
            nn.Linear(settings.n_tiles * width, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, settings.permutations)
        )

    @classmethod
    def needs(cls, settings: PermutationClassificationSettings) -> Needs:
        """One modality is enough to play."""
        return Needs(placement=settings.placement, partners=settings.mode != "single")

    def views(self, batch: PatchBatch) -> Views:
        """Return one view with all tiles of all puzzles, ``(B * N, 1, d, h, w)``."""
        puzzles = cut_puzzles(
            batch, self.settings, purpose="fixed set", centred=not self.training, draw_perm=self._draw
        )
        return Views({"fixed_set/tiles": puzzles.shuffled.flatten(0, 1).unsqueeze(1)}, puzzles)

    def _draw(self, rng: np.random.Generator) -> Permutation:
        perm: Permutation = self.permutations[rng.integers(len(self.permutations))]
        return perm

    def scores(self, puzzles: Puzzles, features: Features) -> Tensor:
        """Return the scores ``(B, permutations)``."""
        vectors = features["fixed_set/tiles"][-1].mean(dim=(2, 3, 4))
        rows = self.normalise(vectors).reshape(len(puzzles.draws), -1)  # (B, N * width)
        scores: Tensor = self.head(rows)
        return scores

    def losses(self, batch: PatchBatch, views: Views, features: Features) -> Losses:
        """Return the cross-entropy; reported are the share of permutations and of tiles that are right."""
        puzzles: Puzzles = views.memory
        scores = self.scores(puzzles, features)
        matches = (puzzles.perm[:, None] == self.permutations).all(axis=2)
        truth = torch.from_numpy(matches.argmax(axis=1)).to(scores.device)
        answer = scores.detach().argmax(dim=1)
        metrics = {
            "permutation_accuracy": float((answer == truth).float().mean()),
            "fixed_set_tile_accuracy": tile_accuracy(self.permutations[answer.cpu().numpy()], puzzles),
        }
        return Losses({"classification": functional.cross_entropy(scores.float(), truth)}, metrics)

    def warning(self, first: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """Return a sentence once the puzzles teach little more."""
        return exhausted("permutation_classification", now.get("fixed_set_tile_accuracy", 0.0))

    def picture(self, batch: PatchBatch, views: Views, features: Features) -> tuple[list[PictureItem], dict[str, Any]]:
        """Return the first sample's puzzle as source, mixed, shuffled and as the likeliest permutation restores it."""
        puzzles: Puzzles = views.memory
        answer = int(self.scores(puzzles, features)[0].argmax())
        return picture_puzzle(
            volumes=batch.volumes[0].cpu().numpy(),
            names=batch.vocabulary,
            draw=puzzles.draws[0],
            scores=as_matrix(self.permutations[answer]) * _CERTAIN,
            body=puzzles.counted[0].cpu().numpy(),
            grid=self.settings.grid,
            jitter=self.settings.jitter,
            temperature=1.0,
            rounds=20,
            affine=batch.patch_to_world[0].cpu().numpy(),
        )
