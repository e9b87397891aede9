"""Self-attention among places: of a whole map, and in windows that are shifted from block to block.

All of it goes through ``scaled_dot_product_attention``, which uses the machine's fused kernels.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

Shape = tuple[int, int, int]

#: What is added to a score that must not count; its exponential is 0 in any precision, and half precision holds it.
_NEVER = -1e4


class SelfAttention(nn.Module):
    """Multi-head self-attention among rows; ``(B, T, C)`` in and out.

    Parameters
    ----------
    channels
        C, a multiple of ``heads``.
    heads
        Number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return what each row gathers from all; ``bias`` is added to the scores, ``(B or 1, heads, T, T)``."""
        n_maps, n_rows, width = rows.shape
        parts = self.qkv(rows).reshape(n_maps, n_rows, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, T, C / heads)
        if bias is not None:
            bias = bias.to(query.dtype)
        gathered = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed: Tensor = self.proj(gathered.transpose(1, 2).reshape(n_maps, n_rows, width))
        return mixed


class WindowAttention(nn.Module):
    """Self-attention inside windows of a map, with a learned score for each displacement; ``(B, D, H, W, C)``.

    Where windows do not divide the map, it is filled up at the far end by places that nobody looks at. Where a
    window is shifted over the edge, its two parts do not see each other. So the edge of a patch leaves no trace.

    Parameters
    ----------
    channels, heads
        As in :class:`SelfAttention`.
    window
        Places along ``(z, y, x)``.
    shifted
        Whether windows are moved by half their size, so that neighbours across a border meet. An axis that one
        window covers is not shifted.

    References
    ----------
    Liu et al., arXiv:2103.14030, section 3.2; in three dimensions Liu et al., arXiv:2106.13230.
    """

    def __init__(self, channels: int, heads: int, window: Shape, *, shifted: bool) -> None:
        super().__init__()
        self.window = window
        self.shifted = shifted
        self.attention = SelfAttention(channels, heads)
        n_displacements = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.displacement_scores = nn.Parameter(torch.empty(n_displacements, heads))
        nn.init.trunc_normal_(self.displacement_scores, std=0.02)

    def forward(self, places: Tensor) -> Tensor:
        """Return what each place gathers from those in its window."""
        shape = _shape(places)
        padded = _multiple(shape, self.window)
        shift = self._shift(shape)
        missing = [
            n for size, wanted in zip(reversed(shape), reversed(padded), strict=True) for n in (0, wanted - size)
        ]
        places = functional.pad(places, (0, 0, *missing))
        places = torch.roll(places, [-step for step in shift], dims=(1, 2, 3))
        rows = self.attention(to_windows(places, self.window), self._bias(shape, shift, places))
        places = torch.roll(from_windows(rows, self.window, padded), shift, dims=(1, 2, 3))
        return places[:, : shape[0], : shape[1], : shape[2]]

    def _shift(self, shape: Shape) -> Shape:
        if not self.shifted:
            return 0, 0, 0
        z, y, x = (edge // 2 if size > edge else 0 for size, edge in zip(shape, self.window, strict=True))
        return z, y, x

    def _bias(self, shape: Shape, shift: Shape, places: Tensor) -> Tensor:
        n_places = self.window[0] * self.window[1] * self.window[2]
        index = _displacements(self.window).to(places.device)
        bias = self.displacement_scores[index].reshape(n_places, n_places, -1).permute(2, 0, 1).unsqueeze(0)
        barred = _barred(shape, self.window, shift)
        if barred is None:
            return bias
        # (windows, 1, T, T), the same for every map of the batch.
        kept_apart = barred.to(places.device, places.dtype).unsqueeze(1) * _NEVER
        # shape, not len: a program exported for any number of maps must not take this one for a constant.
        return (bias + kept_apart).repeat(places.shape[0], 1, 1, 1)


def to_windows(places: Tensor, window: Shape) -> Tensor:
    """Return the windows of ``(B, D, H, W, C)`` as rows ``(B * windows, places, C)``; sizes must divide."""
    n_maps, depth, height, width, channels = places.shape
    a, b, c = window
    cut = places.reshape(n_maps, depth // a, a, height // b, b, width // c, c, channels)
    return cut.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, a * b * c, channels)


def from_windows(rows: Tensor, window: Shape, shape: Shape) -> Tensor:
    """Return the map ``(B, *shape, C)`` that was cut into ``rows``; the inverse of :func:`to_windows`."""
    a, b, c = window
    depth, height, width = (size // edge for size, edge in zip(shape, window, strict=True))
    cut = rows.reshape(-1, depth, height, width, a, b, c, rows.shape[-1])
    return cut.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *shape, rows.shape[-1])


@lru_cache(maxsize=32)
def _displacements(window: Shape) -> Tensor:
    """Return for each pair of places in a window the number of their displacement, ``(T * T,)``."""
    axes = [torch.arange(edge) for edge in window]
    places = torch.cartesian_prod(*axes).reshape(-1, 3)
    apart = places[:, None] - places[None, :] + torch.tensor(window) - 1
    _, y, x = (2 * edge - 1 for edge in window)
    number: Tensor = apart[..., 0] * y * x + apart[..., 1] * x + apart[..., 2]
    return number.reshape(-1)


@lru_cache(maxsize=64)
def _barred(shape: Shape, window: Shape, shift: Shape) -> Tensor | None:
    """Return which pairs of places in each window must not meet, ``(windows, T, T)``, or ``None`` if all may."""
    padded = _multiple(shape, window)
    if padded == shape and not any(shift):
        return None
    region = torch.zeros(padded)
    filled = torch.ones(padded, dtype=torch.bool)
    filled[: shape[0], : shape[1], : shape[2]] = False
    filled = torch.roll(filled, [-step for step in shift], dims=(0, 1, 2))
    parts = [_parts(size, edge, step) for size, edge, step in zip(padded, window, shift, strict=True)]
    for number, (z, y, x) in enumerate(itertools.product(*parts)):
        region[z, y, x] = number
    both = torch.stack([region, filled.float()], dim=-1).unsqueeze(0)
    rows = to_windows(both, window)
    apart = rows[:, :, None, 0] != rows[:, None, :, 0]
    return apart | (rows[:, None, :, 1] > 0)


def _parts(size: int, edge: int, step: int) -> Sequence[slice]:
    if not step:
        return [slice(None)]
    return [slice(0, size - edge), slice(size - edge, size - step), slice(size - step, size)]


def _multiple(shape: Shape, window: Shape) -> Shape:
    z, y, x = (-(-size // edge) * edge for size, edge in zip(shape, window, strict=True))
    return z, y, x


def _shape(places: Tensor) -> Shape:
    _, z, y, x, _ = places.shape
    return z, y, x
