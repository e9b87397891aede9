"""Too little memory on a device: how to know it, and how to say it."""

import gc

import psutil
import torch

#: What torch says where it has no error of its own for it: on a CPU (the second on Windows), on Apple's GPUs, and where
#: cuDNN or cuBLAS asked for the memory.
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "_STATUS_ALLOC_FAILED")


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


def owner(device: torch.device) -> str:
    """Return whose memory it is, in words."""
    return "this machine" if device.type == "cpu" else "the GPU"


def shortage(device: torch.device) -> str:
    """Return the beginning of a sentence: that memory is too little, with the numbers."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
    else:
        memory = psutil.virtual_memory()
        free, total = memory.available, memory.total
    return f"{owner(device)} has too little memory ({free / 2**30:.1f} of {total / 2**30:.1f} GiB are free)"
