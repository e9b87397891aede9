"""Compute activations anew in the backward pass instead of keeping them.

Chen et al. 2016, arXiv:1604.06174. Gradients are those of the same operations on the same numbers.
"""

from collections.abc import Iterator
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from napari_mmssl.networks.encoders import Encoder


def recompute_encoders(module: nn.Module) -> int:
    """Let every block of the encoders in ``module`` keep its input alone; return the number of blocks.

    Names and values of weights stay as they are.
    """
    encoders = [one for one in module.modules() if isinstance(one, Encoder)]
    # Of an encoder made of others, the inner ones alone: a block within a block would be computed three times.
    inner = [
        one for one in encoders if not any(isinstance(child, Encoder) for child in one.modules() if child is not one)
    ]
    blocks = [block for encoder in inner for block in _blocks(encoder)]
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the parts of ``module`` that are called as one; lists of modules are looked into."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from _blocks(child)
        elif any(True for _ in child.parameters()):
            yield child
