"""Time of a training step of the puzzle by grid, from 4 to 125 tiles.

    python benchmarks/puzzle_complexity.py

Two patches of 48 x 48 x 48, the tiny residual U-Net, one thread. Prints JSON: processor seconds of one step (cutting,
encoding, both losses, gradients), as a ratio to 27 tiles, and the share of it that is not the encoder's. Grids run in
turn; the least of several rounds counts.
"""

import json
import time

import torch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives.puzzle import Puzzle, PuzzleSettings
from napari_mmssl.sampling.batch import PatchBatch

_GRIDS = [(1, 2, 2), (2, 2, 2), (1, 3, 3), (1, 5, 5), (3, 3, 3), (4, 4, 4), (5, 5, 5)]
_ROUNDS = 4


def main() -> None:
    """Time all grids."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", "tiny", 1)
    puzzles = {grid: Puzzle(PuzzleSettings(grid=grid), encoder, ("t1", "t2"), (48, 48, 48)) for grid in _GRIDS}
    batch = _batch()
    times: dict[tuple[int, int, int], list[tuple[float, float]]] = {grid: [] for grid in _GRIDS}
    for _ in range(_ROUNDS + 1):
        for grid, puzzle in puzzles.items():
            times[grid].append(_step(puzzle, encoder, batch))
    best = {grid: min(measured[1:]) for grid, measured in times.items()}
    table = [
        {
            "grid": list(grid),
            "tiles": grid[0] * grid[1] * grid[2],
            "step_s": round(whole, 3),
            "ratio": round(whole / best[3, 3, 3][0], 2),
            "beside_encoder": round(1 - encoding / whole, 2),
        }
        for grid, (whole, encoding) in best.items()
    ]
    print(json.dumps({"name": "puzzle_complexity", "table": table}, indent=1))


def _step(puzzle: Puzzle, encoder: torch.nn.Module, batch: PatchBatch) -> tuple[float, float]:
    """Return the seconds of a step, and of the encoder's two passes in it, measured by themselves afterwards."""
    began = time.process_time()
    views = puzzle.views(batch)
    features = {name: encoder(tensor) for name, tensor in views.inputs.items()}
    torch.stack(list(puzzle.losses(batch, views, features).terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    whole = time.process_time() - began
    began = time.process_time()
    encoder(views.inputs["puzzle/tiles"])[-1].mean().backward()
    return whole, time.process_time() - began


def _batch() -> PatchBatch:
    chance = torch.Generator().manual_seed(0)
    return PatchBatch(
        volumes=torch.randn(2, 2, 48, 48, 48, generator=chance),
        modality=torch.arange(2).repeat(2, 1),
        vocabulary=("t1", "t2"),
        synthetic=torch.zeros(2, 2, dtype=torch.bool),
        foreground=torch.ones(2, 48, 48, 48, dtype=torch.bool),
        patch_to_world=torch.eye(4, dtype=torch.float64).repeat(2, 1, 1),
        body_box_mm=torch.tensor([[[0.0, 0, 0], [48, 48, 48]]], dtype=torch.float64).repeat(2, 1, 1),
        subject=("one", "other"),
        case=("one", "other"),
        seed=torch.tensor([1, 2]),
    )


if __name__ == "__main__":
    main()
