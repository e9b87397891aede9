"""Let torch.compile make the encoders' operations into fewer, larger ones."""

import torch
from torch import nn

from napari_mmssl.networks.encoders import Encoder


def compile_encoders(module: nn.Module) -> int:
    """Compile every encoder in ``module``, outermost ones as a whole, at their first use; return their number.

    Names of weights stay as they are. Where there is no compiler, or it fails, torch says so in a warning and goes on
    as without. Of decoders, which are called in parts, nothing is compiled.
    """
    # Slow is better than not at all for a run that somebody left alone.
    torch._dynamo.config.suppress_errors = True
    encoders = [one for one in module.modules() if isinstance(one, Encoder)]
    outer = [one for one in encoders if not any(one in other.children() for other in encoders)]
    for encoder in outer:
        encoder.compile()
    return len(outer)
