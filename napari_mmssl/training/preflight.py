"""What a step of a training takes in memory and time, from a few dry ones on the device itself."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from napari_mmssl.networks.device_memory import is_out_of_memory, release
from napari_mmssl.training.compiling import compile_encoders
from napari_mmssl.training.distributed import Ranks
from napari_mmssl.training.gradient_step import GradientStep
from napari_mmssl.training.recompute import recompute_encoders
from napari_mmssl.training.settings import RunSettings
from napari_mmssl.training.trainee import Trainee

#: Share of what is free that a training may take; pictures and validation want some too.
_USABLE = 0.9
_TIMED = 2


@dataclass(frozen=True)
class DryStep:
    """What a step takes.

    Parameters
    ----------
    step_s
        Median of a few steps after a first one, with what of the loading is not done ahead; ``None`` if it did not fit.
    memory_bytes
        Highest use of the step above what the process held before, and never less than the weights with their
        gradients and the two moments of AdamW; on a GPU, of all that is allocated.
    free_bytes
        What was there to be used.
    """

    step_s: float | None
    memory_bytes: int
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Whether a training would go through."""
        return self.step_s is not None and self.memory_bytes <= _USABLE * self.free_bytes


def dry_step(trainee: Trainee, settings: RunSettings, device: torch.device) -> DryStep:
    """Make a few steps with ``trainee``; late ones, when all objectives are on."""
    if settings.optimisation.recompute:
        for module in trainee.modules.values():
            recompute_encoders(module)
    if settings.optimisation.compile:
        for module in trainee.modules.values():
            compile_encoders(module)
    move = GradientStep(trainee, settings, device, Ranks())
    weights = [one for module in trainee.modules.values() for one in module.parameters()]
    # What the process held free from earlier work is used again, and does not show in its size.
    memory = _Memory(device, least=4 * sum(one.numel() * one.element_size() for one in weights))
    loaders = Ranks().loader_processes(settings.data.workers, device)
    last = settings.optimisation.steps - 1
    times = []
    try:
        for number in range(_TIMED + 1):
            began = time.perf_counter()
            step = max(0, last - number)
            batch = trainee.batches[step]
            loaded = time.perf_counter()
            move.gradients(batch.to(device), step)
            move.move(0.0)
            times.append(together(loaded - began, time.perf_counter() - loaded, loaders))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return DryStep(None, memory.peak(), memory.free)
    finally:
        release(device)
    return DryStep(statistics.median(times[1:]), memory.peak(), memory.free)


def together(loading_s: float, computing_s: float, loaders: int) -> float:
    """Return what a step takes: ``loaders`` processes make batches while others are computed on, none makes it wait."""
    return max(computing_s, loading_s / loaders) if loaders else loading_s + computing_s


class _Memory:
    """The highest use of memory since this was made, in bytes; ``least`` is known to be used."""

    def __init__(self, device: torch.device, least: int) -> None:
        self._device, self._least = device, least
        self.free: int
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)
            return
        self.free = psutil.virtual_memory().available
        reset = Path("/proc/self/clear_refs")
        if reset.exists():
            reset.write_text("5")
        self._before = psutil.Process().memory_info().rss

    def peak(self) -> int:
        """Return it in bytes."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        status = Path("/proc/self/status")
        if status.is_file():
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
            return max(self._least, int(line.split()[1]) * 1024 - int(self._before))
        return max(self._least, int(psutil.Process().memory_info().rss) - int(self._before))
