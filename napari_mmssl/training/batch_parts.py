"""Part a batch, so that it fits into memory or is shared between processes; and join what is told of its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from torch import Tensor

from napari_mmssl.sampling.batch import PatchBatch


def part_of(batch: PatchBatch, start: int, stop: int) -> PatchBatch:
    """Return samples ``start`` to ``stop`` of ``batch``; each keeps its own seed, and with it all its draws."""

    def cut(tensor: Tensor) -> Tensor:
        return tensor[start:stop]

    return replace(
        batch,
        volumes=cut(batch.volumes),
        modality=cut(batch.modality),
        synthetic=cut(batch.synthetic),
        foreground=cut(batch.foreground),
        patch_to_world=cut(batch.patch_to_world),
        body_box_mm=cut(batch.body_box_mm),
        subject=batch.subject[start:stop],
        case=batch.case[start:stop],
        seed=cut(batch.seed),
        label=None if batch.label is None else cut(batch.label),
    )


def parted(batch: PatchBatch, parts: int) -> list[PatchBatch]:
    """Return ``batch`` in ``parts`` consecutive parts, equal but for one sample; as many as it has samples at most."""
    size = len(batch)
    if parts == 1:
        return [batch]
    edges = [size * n // parts for n in range(parts + 1)]
    return [part_of(batch, start, stop) for start, stop in pairwise(edges) if stop > start]


def joined(numbers: Sequence[Mapping[str, float]], shares: Sequence[float]) -> dict[str, float]:
    """Return the mean of each number over the parts that have it, weighted by their share of the batch."""
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for told, share in zip(numbers, shares, strict=True):
        for name, value in told.items():
            sums[name] = sums.get(name, 0.0) + share * value
            weights[name] = weights.get(name, 0.0) + share
    return {name: value / weights[name] for name, value in sums.items()}
