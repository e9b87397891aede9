"""What to tell whoever trains with too little memory."""

import torch

from napari_mmssl.networks.device_memory import owner, shortage
from napari_mmssl.training.settings import RunSettings


def parted_text(settings: RunSettings, parts: int, step: int, device: torch.device) -> str:
    """Return what is said when batches go through in ``parts`` parts from ``step`` on."""
    size = settings.optimisation.batch_size
    return (
        f"{owner(device)} had too little memory for {2 * size // parts} samples at once; from step {step} on each "
        f"batch of {size} goes through the network in {parts} parts, with the gradient of the whole "
        f"(objectives that compare samples compare {size // parts} at a time)"
    )


def advice(settings: RunSettings, device: torch.device) -> str:
    """Return why a training cannot go on, with the numbers, and what to do."""
    how, data = settings.optimisation, settings.data
    smaller = ",".join(str(max(16, edge * 3 // 4 // 16 * 16)) for edge in data.patch)
    elsewhere = "" if device.type == "cpu" else ", or --device cpu"
    return (
        f"{shortage(device)} for a batch of {how.batch_size} patches of {data.patch} voxels, even in parts; set "
        "optimisation.recompute = true in run.toml and resume, or start anew with "
        f"--patch {smaller}, a smaller --batch-size{elsewhere}; --dry-run tells what fits"
    )
