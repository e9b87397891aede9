"""Run a network over a volume larger than its patch, in little more memory than the answer takes."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_mmssl.inference.heap import HeapTrim
from napari_mmssl.inference.slab_file import SlabFile

Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]
Weighting = Literal["gaussian", "constant"]
#: Below it a Gaussian weight would drown in rounding.
_LEAST_WEIGHT = 1e-3
#: So many planes are divided by their weights at a time: the sums of weights of a whole slab would be memory too.
_PLANES = 8
#: Of the volume's bytes; more freed memory than this is given back between batches.
_BEARABLE_SHARE = 8


def predict_windows(
    network: Callable[[Tensor], Tensor],
    volumes: Tensor,
    window: Shape,
    *,
    overlap: float = 0.5,
    weighting: Weighting = "gaussian",
    batch_size: int = 2,
    needed: Tensor | None = None,
    after: Callable[[Tensor], Tensor] = lambda slab: slab,
    most_bytes: int = 64 << 20,
    between: Callable[[], None] = lambda: None,
) -> Tensor:
    """Return the network's output over a whole volume, windows blended.

    A network whose output is constant gives that constant everywhere: the weights are divided out.

    Parameters
    ----------
    network, volumes, window, overlap, weighting, batch_size, needed, between
        As for :func:`finished_slabs`.
    after
        What is done to each slab of blended output ``(C, d, h, w)``; shape and type stay.
    most_bytes
        A larger answer is kept in a temporary file, of which the system holds in memory what is looked at; the file
        is gone when the answer is let go.

    Returns
    -------
    ``(C, D, H, W)`` float32 in main memory.

    Raises
    ------
    WriteError
        If there is no room for the file.
    """
    slabs = finished_slabs(
        network,
        volumes,
        window,
        overlap=overlap,
        weighting=weighting,
        batch_size=batch_size,
        needed=needed,
        between=between,
    )
    answer: Tensor | SlabFile | None = None
    size = tuple(volumes.shape[1:])
    for box, slab in slabs:
        shape = (len(slab), *size)
        if answer is None:
            answer = torch.empty(shape) if int(np.prod(shape)) * 4 <= most_bytes else SlabFile(shape)
        if isinstance(answer, SlabFile):
            answer.append(box, after(slab).cpu().numpy())
        else:
            answer[(slice(None), *box)] = after(slab).cpu()
        del slab  # or the next row of windows would be added up beside it
    assert answer is not None
    return torch.from_numpy(answer.mapped()) if isinstance(answer, SlabFile) else answer


def finished_slabs(
    network: Callable[[Tensor], Tensor],
    volumes: Tensor,
    window: Shape,
    *,
    overlap: float = 0.5,
    weighting: Weighting = "gaussian",
    batch_size: int = 2,
    needed: Tensor | None = None,
    between: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Box, Tensor]]:
    """Yield the network's output over a whole volume slab by slab, as soon as no window reaches into a slab any more.

    Windows go along the volume's longest axis, so that what is added up at any time is about a window's thickness of
    the volume, on the network's device, and never all of it.

    Parameters
    ----------
    network
        From ``(n, K, d, h, w)`` to ``(n, C, d, h, w)``.
    volumes
        The channels ``(K, D, H, W)`` on the network's device.
    window
        Shape of the windows; axes of the volume that are shorter are filled up with zeros and cut again.
    overlap
        Share of a window that the next one covers again, in [0, 1). The last of a row is flush with the end.
    weighting
        ``gaussian``: a Gaussian of an eighth of the window's edge, never below 1e-3 (Isensee et al. 2021,
        doi:10.1038/s41592-020-01008-z, supplementary note 2); ``constant``: the plain mean.
    batch_size
        Windows at once.
    needed
        Where an answer is wanted, boolean ``(D, H, W)``; windows without any such voxel are left out, and voxels
        that no window covers are 0. Everywhere by default.
    between
        Called between batches; may raise to give up.

    Yields
    ------
    The box of a slab in the volume and its values ``(C, d, h, w)`` float32 on the device of ``volumes``, to be used or
    copied before the next slab is asked for. The boxes cover the volume once.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be in [0, 1), got {overlap}")
    size = volumes.shape[1:]
    before, pads = _padding(size, window)
    if any(pads):
        volumes = functional.pad(volumes, pads)
        needed = None if needed is None else functional.pad(needed, pads)
    sweep = int(np.argmax(volumes.shape[1:]))
    corners = _corners(volumes.shape[1:], window, overlap, sweep)
    if needed is not None:
        corners = [corner for corner in corners if bool(needed[_box(corner, window)].any())] or corners
    weight = _weight(window, weighting).to(volumes.device)
    sums, trim = _Sums(volumes.shape[1:], sweep, weight), HeapTrim(volumes.nbytes // _BEARABLE_SHARE)
    for first in range(0, len(corners), batch_size):
        between()
        trim()
        batch = corners[first : first + batch_size]
        # As a decorator of this generator, no_grad would hold on to each slab until the next one is done.
        with torch.no_grad():
            output = network(_stacked([volumes[(slice(None), *_box(corner, window))] for corner in batch])).float()
        if first and batch[0][sweep] > sums.low:
            yield _within(sums.low, before, size, sweep, sums.finish(batch[0][sweep]))
        sums.reach(len(output[0]), batch[-1][sweep] + window[sweep], volumes.device)
        for corner, part in zip(batch, output, strict=True):
            sums.add(_box(corner, window), part)
        del output, part
    yield _within(sums.low, before, size, sweep, sums.finish(volumes.shape[1 + sweep]))


class _Sums:
    """Weighted sums of outputs over the part of the volume that windows still reach.

    Along the axis ``sweep`` they hold the voxels from ``low`` on, in one buffer that moves on with the windows: freed
    and made anew at each row, its pieces would stay with the process and cost as much again. The sums of the weights
    follow from where the windows were, and are made for a slab when it is done: kept beside the others they would be
    one more channel of memory.
    """

    def __init__(self, size: Sequence[int], sweep: int, weight: Tensor) -> None:
        self.size, self.sweep, self.weight, self.low = tuple(size), sweep, weight, 0
        self.total: Tensor | None = None
        self.boxes: list[Box] = []  # of the windows that reach beyond ``low``
        self._given = 0  # voxels along the axis that were given away and still lie at the front

    def reach(self, channels: int, stop: int, device: torch.device) -> None:
        """Make room up to ``stop``; what was given away is gone then."""
        axis = 1 + self.sweep
        self._move_on(axis)
        held = 0 if self.total is None else self.total.shape[axis]
        if self.low + held >= stop:
            return
        grown = torch.zeros(channels, *self._shape(stop), device=device)
        if self.total is not None:
            grown.narrow(axis, 0, held).copy_(self.total)
        self.total = grown

    def add(self, box: Box, part: Tensor) -> None:
        """Add the output ``part`` of the window at ``box``."""
        assert self.total is not None
        along = box[self.sweep]
        here: list[slice] = list(box)
        here[self.sweep] = slice(along.start - self.low, along.stop - self.low)
        self.total[(slice(None), *here)].addcmul_(part, self.weight)
        self.boxes.append(box)

    def finish(self, stop: int) -> Tensor:
        """Return the blended output up to ``stop``, for use until :meth:`reach` is called; go on behind it."""
        assert self.total is not None
        axis = 1 + self.sweep
        if self.low + self.total.shape[axis] < stop:
            self.reach(len(self.total), stop, self.total.device)
        done = self.total.narrow(axis, 0, stop - self.low)
        for first in range(self.low, stop, _PLANES):
            last = min(first + _PLANES, stop)
            # Where no window was needed both are 0, and the answer is to be 0 too.
            weights = self._weights(first, last).clamp_(min=torch.finfo(torch.float32).tiny)
            done.narrow(axis, first - self.low, last - first).div_(weights)
        self.boxes = [box for box in self.boxes if box[self.sweep].stop > stop]
        self._given, self.low = stop - self.low, stop
        return done

    def _move_on(self, axis: int) -> None:
        """Move what is still summed to the front of the buffer."""
        if self.total is None or not self._given:
            return
        given, rest = self._given, self.total.shape[axis] - self._given
        kept = self.total.narrow(axis, given, rest)
        self.total.narrow(axis, 0, rest).copy_(kept if rest <= given else kept.clone())
        self.total.narrow(axis, rest, given).zero_()
        self._given = 0

    def _weights(self, first: int, last: int) -> Tensor:
        """Return the sum of the weights from ``first`` to ``last``."""
        shape = list(self.size)
        shape[self.sweep] = last - first
        weights = torch.zeros(shape, device=self.weight.device)
        for box in self.boxes:
            along = box[self.sweep]
            low, high = max(along.start, first), min(along.stop, last)
            if low < high:
                here: list[slice] = list(box)
                here[self.sweep] = slice(low - first, high - first)
                weights[tuple(here)] += self.weight.narrow(self.sweep, low - along.start, high - low)
        return weights

    def _shape(self, stop: int) -> list[int]:
        shape = list(self.size)
        shape[self.sweep] = stop - self.low
        return shape


def gaussian_weight(window: Shape) -> Tensor:
    """Return the weight of each voxel of a window: a Gaussian of an eighth of its edge, never below 1e-3."""
    axes = []
    for edge in window:
        place = np.arange(edge) - (edge - 1) / 2
        axes.append(np.exp(-0.5 * (place / (edge / 8)) ** 2))
    weight = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    return torch.from_numpy(np.maximum(weight, _LEAST_WEIGHT)).float()


def _weight(window: Shape, weighting: Weighting) -> Tensor:
    return gaussian_weight(window) if weighting == "gaussian" else torch.ones(window)


def _padding(size: Sequence[int], window: Shape) -> tuple[list[int], list[int]]:
    """Return how many zeros go before each axis, and the same for ``torch.nn.functional.pad``."""
    missing = [max(0, edge - have) for edge, have in zip(window, size, strict=True)]
    before = [gap // 2 for gap in missing]
    pairs = zip(reversed(before), reversed(missing), strict=True)
    return before, [part for front, gap in pairs for part in (front, gap - front)]


def _corners(size: Sequence[int], window: Shape, overlap: float, sweep: int) -> list[Shape]:
    """Return the first voxel of each window, in the order of the axis ``sweep``."""
    starts = [_starts(have, edge, overlap) for have, edge in zip(size, window, strict=True)]
    corners = [(z, y, x) for z, y, x in itertools.product(*starts)]
    return sorted(corners, key=lambda corner: corner[sweep])


def _starts(have: int, edge: int, overlap: float) -> list[int]:
    """Return the first voxel of each window along one axis: equal steps, the last window flush with the end."""
    step = max(1, int(edge * (1 - overlap)))
    return [*range(0, have - edge, step), have - edge]


def _stacked(windows: list[Tensor]) -> Tensor:
    # One alone needs no copy.
    return torch.stack(windows) if len(windows) > 1 else windows[0][None]


def _box(corner: Shape, window: Shape) -> Box:
    z, y, x = (slice(start, start + edge) for start, edge in zip(corner, window, strict=True))
    return z, y, x


def _within(low: int, before: list[int], size: Sequence[int], sweep: int, slab: Tensor) -> tuple[Box, Tensor]:
    """Cut the zeros round the volume off ``slab``, which begins at ``low``, and say where the rest lies."""
    box = [slice(0, have) for have in size]
    inner = [slice(front, front + have) for front, have in zip(before, size, strict=True)]
    first, last = max(low, before[sweep]), min(low + slab.shape[1 + sweep], before[sweep] + size[sweep])
    last = max(first, last)
    box[sweep] = slice(first - before[sweep], last - before[sweep])
    inner[sweep] = slice(first - low, last - low)
    return (box[0], box[1], box[2]), slab[(slice(None), *inner)]
