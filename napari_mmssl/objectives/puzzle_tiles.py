"""What the objectives share that shuffle the tiles of a patch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from napari_mmssl.config import Settings
from napari_mmssl.ops.permutations import Permutation, shuffle
from napari_mmssl.ops.puzzles import Mode, PuzzleDraw, cut_puzzle, draw_puzzle
from napari_mmssl.ops.tiles import Grid
from napari_mmssl.randomness import counted_rng
from napari_mmssl.sampling.batch import PatchBatch

#: Tiles with less body than this are interchangeable and are not scored.
FOREGROUND_SHARE = 0.05
#: Share of tiles in place from which on there is little left to learn.
_ALL_BUT_SOLVED = 0.9


class TileSettings(Settings):
    """How a patch is cut into a puzzle."""

    grid: Grid = Field((3, 3, 3), title="Grid", description="Tiles along (z, y, x); 1 leaves an axis uncut")
    placement: Literal["random", "whole"] = Field(
        "random",
        title="Placement",
        description="random: crops inside the body; whole: the body in one patch, which is solved in seconds",
    )
    mode: Mode = Field(
        "mixed", title="Modalities", description="mixed: any at each tile; single: one throughout; pair: two"
    )
    jitter: int = Field(2, ge=0, le=16, title="Gap", description="Voxels by which a tile is smaller than its cell")
    intensity_jitter: float = Field(0.1, ge=0, le=1, title="Intensity jitter", description="Relative, for each tile")

    @property
    def n_tiles(self) -> int:
        """Number of tiles in a puzzle."""
        return int(np.prod(self.grid))


@dataclass(frozen=True, eq=False)
class Puzzles:
    """The puzzles of one batch: what was drawn, the tiles, and how much body each place shows."""

    draws: list[PuzzleDraw]
    ordered: Tensor  # (B, N, d, h, w)
    shuffled: Tensor  # (B, N, d, h, w)
    body: Tensor  # (B, N), share of body at each place

    @property
    def counted(self) -> Tensor:
        """Which places have enough body to be scored, ``(B, N)``."""
        return self.body >= FOREGROUND_SHARE

    @property
    def perm(self) -> Permutation:
        """The true place of every shuffled tile, ``(B, N)``."""
        return np.stack([draw.perm for draw in self.draws])


def cut_puzzles(
    batch: PatchBatch,
    settings: TileSettings,
    *,
    purpose: str,
    centred: bool,
    draw_perm: Callable[[np.random.Generator], Permutation] | None = None,
) -> Puzzles:
    """Return one puzzle of each sample.

    Parameters
    ----------
    batch
        Aligned modalities.
    settings
        How they are cut.
    purpose
        Parts the draws of one objective from those of another.
    centred
        Tiles in the middle of their cells and intensities as they are, as for evaluation.
    draw_perm
        Draws the permutation of a sample; by default any is as likely as any other.
    """
    draws, ordered, body = [], [], []
    for sample in range(len(batch)):
        rng = counted_rng(int(batch.seed[sample]), purpose=purpose)
        draw = draw_puzzle(
            rng,
            settings.n_tiles,
            batch.channels(sample),
            mode=settings.mode,
            jitter=settings.jitter,
            intensity_jitter=settings.intensity_jitter,
            centred=centred,
        )
        if draw_perm is not None:
            draw = replace(draw, perm=draw_perm(rng))
        draws.append(draw)
        ordered.append(cut_puzzle(batch.volumes[sample], settings.grid, draw, settings.jitter))
        body.append(_body_share(batch.foreground[sample], settings, draw))
    shuffled = [shuffle(tiles, draw.perm) for tiles, draw in zip(ordered, draws, strict=True)]
    return Puzzles(draws, torch.stack(ordered), torch.stack(shuffled), torch.stack(body))


def tile_accuracy(answered: Permutation, puzzles: Puzzles) -> float:
    """Return the share of tiles that were put in their true place ``(B, N)``, of those whose place shows body."""
    counts = np.take_along_axis(puzzles.counted.cpu().numpy(), puzzles.perm, axis=1)  # by shuffled tile
    return float(((answered == puzzles.perm) & counts).sum() / max(1, counts.sum()))


def exhausted(objective: str, accuracy: float) -> str | None:
    """Return a sentence if the puzzles of unseen people are so well solved that they hardly teach any more."""
    if accuracy < _ALL_BUT_SOLVED:
        return None
    return (
        f"the puzzles of '{objective}' are all but solved on unseen subjects ({accuracy:.0%} of the tiles in place) "
        "and teach little more; harder ones have placement=random, a finer grid or a wider jitter"
    )


def _body_share(foreground: Tensor, settings: TileSettings, draw: PuzzleDraw) -> Tensor:
    plain = PuzzleDraw(
        draw.perm, np.zeros_like(draw.modality), draw.offset, np.ones_like(draw.gain), np.zeros_like(draw.shift)
    )
    cut: Tensor = cut_puzzle(foreground.float().unsqueeze(0), settings.grid, plain, settings.jitter)
    return cut.mean(dim=(1, 2, 3))
