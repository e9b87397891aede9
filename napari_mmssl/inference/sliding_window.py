"""Run a network over a volume larger than its patch."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, int, int]


def predict_windows(
    network: Callable[[Tensor], Tensor],
    volumes: Tensor,
    window: Shape,
    *,
    overlap: float = 0.5,
    batch_size: int = 2,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the network's output over a whole volume, windows blended with Gaussian weights.

    A network whose output is constant gives that constant everywhere: the weights are divided out.

    Parameters
    ----------
    network
        From ``(n, K, d, h, w)`` to ``(n, C, d, h, w)``.
    volumes
        The channels ``(K, D, H, W)`` on the network's device.
    window
        Shape of the windows; axes of the volume that are shorter are filled up with zeros and cut again.
    overlap
        Share of a window that the next one covers again, in [0, 1).
    batch_size
        Windows at once.
    between
        Called between batches; may raise to give up.

    Returns
    -------
    ``(C, D, H, W)`` float32 on the device of ``volumes``.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be in [0, 1), got {overlap}")
    size = volumes.shape[1:]
    missing = [max(0, edge - have) for edge, have in zip(window, size, strict=True)]
    before = [gap // 2 for gap in missing]
    pads = [
        part for gap, front in zip(reversed(missing), reversed(before), strict=True) for part in (front, gap - front)
    ]
    padded = functional.pad(volumes, pads)
    weight = gaussian_weight(window).to(volumes.device)
    total: Tensor | None = None
    weights = torch.zeros(padded.shape[1:], device=volumes.device)
    corners = list(
        itertools.product(*(_starts(have, edge, overlap) for have, edge in zip(padded.shape[1:], window, strict=True)))
    )
    for first in range(0, len(corners), batch_size):
        between()
        boxes = [_box(corner, window) for corner in corners[first : first + batch_size]]
        output = network(torch.stack([padded[(slice(None), *box)] for box in boxes])).float()
        if total is None:
            total = torch.zeros((output.shape[1], *padded.shape[1:]), device=volumes.device)
        for box, part in zip(boxes, output, strict=True):
            total[(slice(None), *box)] += part * weight
            weights[box] += weight
    assert total is not None
    inner = tuple(slice(front, front + have) for front, have in zip(before, size, strict=True))
    return (total / weights)[(slice(None), *inner)]


def gaussian_weight(window: Shape) -> Tensor:
    """Return the weight of each voxel of a window: a Gaussian of an eighth of its edge, never below 1e-3."""
    axes = []
    for edge in window:
        place = np.arange(edge) - (edge - 1) / 2
        axes.append(np.exp(-0.5 * (place / (edge / 8)) ** 2))
    weight = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    return torch.from_numpy(np.maximum(weight, 1e-3)).float()


def _starts(have: int, edge: int, overlap: float) -> list[int]:
    """Return the first voxel of each window along one axis: evenly spread, the last flush with the end."""
    count = int(np.ceil((have - edge) / (edge * (1 - overlap)))) + 1
    return sorted({int(start) for start in np.linspace(0, have - edge, count).round()})


def _box(corner: tuple[int, ...], window: Shape) -> tuple[slice, ...]:
    return tuple(slice(start, start + edge) for start, edge in zip(corner, window, strict=True))
