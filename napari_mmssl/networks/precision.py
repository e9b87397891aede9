"""The precision networks run in."""

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Return whether ``device`` is a GPU that computes in bfloat16 itself; older ones only pretend to, slowly."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return the context to run a network in: bfloat16 where :func:`has_bfloat16`, single precision elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))
