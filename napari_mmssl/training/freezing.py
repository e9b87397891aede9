"""Which weights of an encoder keep what pretraining gave them."""

from typing import Literal

import torch
from torch import nn

from napari_mmssl.networks.encoders import Encoder

Freeze = Literal["none", "stem", "half", "encoder"]


def frozen_parameters(encoder: Encoder, freeze: Freeze) -> list[nn.Parameter]:
    """Return the parameters of ``encoder`` that ``freeze`` names.

    ``stem``: the first convolution; ``half``: whatever the finer half of the levels depends on (rounded down, the
    stem at least); ``encoder``: all. What a level depends on is asked of the encoder's own gradients, so that this
    holds for every kind of encoder.
    """
    if freeze == "none":
        return []
    if freeze == "encoder":
        return list(encoder.parameters())
    if freeze == "stem":
        return list(encoder.stem.parameters())
    return _below(encoder, len(encoder.channels) // 2)


def _below(encoder: Encoder, levels: int) -> list[nn.Parameter]:
    """Return the parameters that the ``levels`` finest levels depend on."""
    parameters = list(encoder.parameters())
    was_training, shape = encoder.training, [4 * edge for edge in encoder.smallest_input]
    encoder.eval()
    probe = torch.zeros(1, encoder.stem.in_channels, *shape, device=parameters[0].device)
    with torch.enable_grad():
        pyramid = encoder(probe)
        total = torch.stack([features.float().sum() for features in pyramid[:levels]]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    encoder.train(was_training)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
