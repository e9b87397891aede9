"""Two streams of patches that have nothing to do with each other, as one batch."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler


@dataclass(frozen=True)
class UnpairedSampler(Dataset[PatchBatch]):
    """Batches whose first half shows one modality and whose second half another, of anybody.

    Parameters
    ----------
    source, target
        Samplers of the two streams, over the same vocabulary, with purposes of their own.
    """

    source: PatchSampler
    target: PatchSampler

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.source)

    def __getitem__(self, step: int) -> PatchBatch:
        """Return the batch of ``step``."""
        return joined(self.source[step], self.target[step])


def joined(first: PatchBatch, second: PatchBatch) -> PatchBatch:
    """Return the samples of ``first`` and then those of ``second`` as one batch; neither has labels."""
    values: dict[str, Any] = {}
    for field in fields(PatchBatch):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, Tensor):
            values[field.name] = torch.cat([one, other])
        elif field.name in ("subject", "case"):
            values[field.name] = one + other
        else:
            values[field.name] = one
    return PatchBatch(**values)
