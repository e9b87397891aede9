"""Find the device to compute on."""

import os

import torch

from napari_mmssl.errors import ConfigError


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device called ``name``; ``auto`` and ``cuda`` take a GPU for each process of a machine.

    Raises
    ------
    ConfigError
        If there is no such device here, or not for each process.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if local_rank and name.startswith("cuda:"):
        raise ConfigError(f"several processes cannot compute on '{name}' at once; --device cuda gives each its own GPU")
    if name == "cuda" and local_rank and not _sees_its_own_alone():
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local_rank + 1} of this machine finds no GPU, of {torch.cuda.device_count()}; start as many "
                "processes as there are GPUs, or take --device cpu"
            )
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"'{name}' is no device; write auto, cpu, cuda, cuda:N or mps") from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise ConfigError(f"this machine has no usable '{name}'; --device auto takes what there is")
    return device


def _sees_its_own_alone() -> bool:
    """Whether SLURM shows this process one GPU and no other, as it does with ``--gpus-per-task=1``."""
    by_slurm = "SLURM_PROCID" in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ
    return by_slurm and torch.cuda.device_count() == 1
