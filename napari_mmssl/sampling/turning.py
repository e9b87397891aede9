"""Patches that lie askew in their volumes.

How often and how far they are turned and scaled is nnU-Net's (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z,
supplementary note 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

Shape = tuple[int, int, int]
#: Slices so much thicker than their pixels are turned in their plane only, as nnU-Net does.
_THICK = 3.0


def draw_turn(rng: np.random.Generator, spacing_mm: tuple[float, float, float]) -> np.ndarray | None:
    """Return a matrix ``(3, 3)`` from steps in a patch to steps in its volume, in voxels; ``None`` changes nothing.

    Turned about each axis by up to 30 degrees and scaled by 0.7 to 1.4, each with probability 0.2; in millimetres, so
    that nothing is sheared.
    """
    turns, scales = rng.random(2) < 0.2
    angles, scale = rng.uniform(-np.pi / 6, np.pi / 6, 3), rng.uniform(0.7, 1.4)
    if not turns and not scales:
        return None
    matrix = np.eye(3)
    if turns:
        thick = np.array(spacing_mm) > _THICK * min(spacing_mm)
        for axis, angle in enumerate(angles):
            if thick.any() and not thick[axis]:
                continue
            matrix = matrix @ _rotation(axis, angle)
    if scales:
        matrix = matrix * scale
    to_mm = np.diag(spacing_mm)
    return np.linalg.inv(to_mm) @ matrix @ to_mm


def _rotation(axis: int, angle: float) -> np.ndarray:
    matrix = np.eye(3)
    first, second = (other for other in range(3) if other != axis)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


@dataclass(frozen=True, eq=False)
class TurnedCut:
    """One askew patch of volumes of one shape; where its voxels lie is worked out once for all of them."""

    #: The part of a volume that the patch touches; empty where it touches none.
    part: tuple[slice, slice, slice]
    #: Where the voxels of the patch lie in that part, ``(1, D, H, W, 3)`` of (x, y, z), as grid_sample wants it.
    grid: torch.Tensor

    def of(self, arrays: Sequence[np.ndarray], *, linear: bool) -> list[np.ndarray]:
        """Return the patch of each array ``(D, H, W)``, interpolated or of the nearest voxel; zeros beyond them.

        Raises
        ------
        IndexError
            If there is no array.
        """
        shape, dtype = self.grid.shape[1:4], arrays[0].dtype
        parts = np.stack([array[self.part] for array in arrays], dtype=np.float32, casting="unsafe")
        if not parts.size:
            return [np.zeros(shape, dtype) for _ in arrays]
        mode = "bilinear" if linear else "nearest"
        cut = functional.grid_sample(
            torch.from_numpy(parts)[None], self.grid, mode=mode, padding_mode="zeros", align_corners=False
        )
        return list(cut[0].numpy().astype(dtype, copy=False))


def turned_cut(shape: Sequence[int], index: np.ndarray, patch: Shape) -> TurnedCut:
    """Return what cuts a patch that lies askew.

    Parameters
    ----------
    shape
        Of the volumes ``(D, H, W)``.
    index
        From indices of the patch to indices of the volume ``(4, 4)``.
    patch
        Voxels along ``(z, y, x)``.
    """
    ends = np.stack(np.meshgrid(*[(0, edge - 1) for edge in patch], indexing="ij"), axis=-1).reshape(-1, 3)
    places = ends @ index[:3, :3].T + index[:3, 3]
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - 1, 0, shape)
    high = np.maximum(low, np.clip(np.ceil(places.max(axis=0)).astype(int) + 2, 0, shape))
    size = np.maximum(high - low, 1)
    axes = np.meshgrid(*[np.arange(edge) for edge in patch], indexing="ij", sparse=True)
    grid = np.empty((1, *patch, 3), np.float32)
    for axis in range(3):
        along = sum(index[axis, other] * steps for other, steps in enumerate(axes))
        # grid_sample counts from -1 to 1, from the first voxel's outer face to the last one's, and names x first.
        grid[0, ..., 2 - axis] = (2 * (along + index[axis, 3] - low[axis]) + 1) / size[axis] - 1
    z, y, x = (slice(int(first), int(end)) for first, end in zip(low, high, strict=True))
    return TurnedCut((z, y, x), torch.from_numpy(grid))
