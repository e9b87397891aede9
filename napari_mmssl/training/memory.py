"""Too little memory: how to know it, and what to tell whoever met it; used by the loop and the preflight."""

import gc

import psutil
import torch

from napari_mmssl.training.settings import RunSettings

#: What torch says where it has no error of its own for it: on a CPU, and on Apple's GPUs.
_WORDS = ("can't allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory was too little, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def release(device: torch.device) -> None:
    """Give back what a step that failed has left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def parted_text(settings: RunSettings, parts: int, step: int, device: torch.device) -> str:
    """Return what is said when batches go through in ``parts`` parts from ``step`` on."""
    size = settings.optimisation.batch_size
    return (
        f"{_owner(device)} had too little memory for {2 * size // parts} samples at once; from step {step} on each "
        f"batch of {size} goes through the network in {parts} parts, with the gradient of the whole "
        f"(objectives that compare samples compare {size // parts} at a time)"
    )


def advice(settings: RunSettings, device: torch.device) -> str:
    """Return why a training cannot go on, with the numbers, and what to do."""
    how, data = settings.optimisation, settings.data
    free, total = _room(device)
    smaller = ",".join(str(max(16, edge * 3 // 4 // 16 * 16)) for edge in data.patch)
    elsewhere = "" if device.type == "cpu" else ", or --device cpu"
    return (
        f"{_owner(device)} has too little memory ({free / 2**30:.1f} of {total / 2**30:.1f} GiB are free) for a batch "
        f"of {how.batch_size} patches of {data.patch} voxels, even in parts; set optimisation.recompute = true in "
        f"run.toml and resume, or start anew with --patch {smaller}, a smaller --batch-size{elsewhere}; "
        "--dry-run tells what fits"
    )


def _owner(device: torch.device) -> str:
    return "this machine" if device.type == "cpu" else "the GPU"


def _room(device: torch.device) -> tuple[int, int]:
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)
