"""What the processes of one training (ranks) have to exchange inside a loss; alone, nothing happens."""

from typing import Any

import torch
from torch import Tensor, distributed


def gathered(tensor: Tensor) -> Tensor:
    """Return the rows ``(B, ...)`` of all ranks in the order of ranks, ``(ranks * B, ...)``, with their gradients.

    For losses that compare samples: with it, every rank computes the loss of the whole batch. All ranks must call it,
    in the same order and with equal shapes. In a training of one process it returns ``tensor``.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return tensor
    rows: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        rows = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(rows, tensor.contiguous())
        ctx.start, ctx.count = distributed.get_rank() * len(tensor), len(tensor)
        return torch.cat(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every rank's loss depends on the rows of this one.
        whole = gradients[0].contiguous().clone()
        distributed.all_reduce(whole)
        return whole[ctx.start : ctx.start + ctx.count]
