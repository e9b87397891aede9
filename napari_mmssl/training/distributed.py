"""One training in several processes (ranks), on one machine or many, under ``torchrun`` or SLURM.

Each rank takes its share of every batch; gradients are summed, so that all ranks make the step that one process with
the whole batch would make. Rank 0 alone writes the run folder. Why not Lightning Fabric or
``DistributedDataParallel``: ``docs/decisions/0009-own-gradient-sum.md``.
"""

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, distributed
from torch.utils.data import Dataset

from napari_mmssl.errors import ConfigError
from napari_mmssl.processors import usable_cores
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler

#: Preparing thousands of scans, or a look at unseen people, lets the other ranks wait for hours.
_PATIENCE = datetime.timedelta(days=2)
#: Loader processes of a training that was not told how many.
_MOST_LOADERS = 8


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many; alone by default."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def check(self, batch_size: int, smallest_part: int) -> None:
        """Raise :class:`ConfigError` unless each rank gets an equal part of the batch that is large enough."""
        if self.world == 1:
            return
        if smallest_part == 0:
            raise ConfigError(
                "this training compares all samples of a batch at once and runs in one process; leave out --devices"
            )
        if batch_size % self.world or batch_size // self.world < smallest_part:
            least = self.world * smallest_part
            raise ConfigError(
                f"a batch of {batch_size} cannot be shared by {self.world} processes; "
                f"set --batch-size to a multiple of {self.world} of at least {least}"
            )

    def share(self, batches: Dataset[PatchBatch]) -> Dataset[PatchBatch]:
        """Return this rank's part of every batch; what the others learn from is not even cut here.

        Raises
        ------
        TypeError
            If these batches cannot be parted; :meth:`check` refuses such trainings before.
        """
        if self.world == 1:
            return batches
        if not isinstance(batches, PatchSampler):
            raise TypeError(f"{type(batches).__name__} cannot be parted")
        return replace(batches, rank=self.rank, world=self.world)

    def loader_processes(self, wanted: int | None, device: torch.device) -> int:
        """Return how many processes load ahead: as many as are ``wanted``, or as it suits ``device``.

        A GPU waits while patches are cut between its steps, so the cores that its training leaves load ahead, eight
        at most. On a CPU they would take from the training what they give.
        """
        if wanted is not None:
            return wanted
        if device.type != "cuda":
            return 0
        here = min(self.world, max(1, torch.cuda.device_count()))
        # What SLURM gives to each process, where it does not bind them to it.
        cores = int(os.environ.get("SLURM_CPUS_PER_TASK", 0)) or usable_cores() // here
        return min(_MOST_LOADERS, max(1, cores - 1))

    def sum_gradients(self, weights: Sequence[Tensor]) -> None:
        """Replace each gradient by its sum over the ranks; weights that no rank used keep none."""
        if self.world == 1:
            return
        used = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8)
        distributed.all_reduce(used, op=distributed.ReduceOp.MAX)
        shared = [weight for weight, one in zip(weights, used.tolist(), strict=True) if one]
        if not shared:
            return
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in shared]
        # One message: many small ones cost more than copying.
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        for weight, part in zip(shared, torch.split(flat, [weight.numel() for weight in shared]), strict=True):
            weight.grad = torch.empty_like(weight).copy_(part.view(weight.shape))  # in the weight's memory order

    def mean(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Return the mean over the ranks of numbers that all ranks have; those that only some have stay as they are."""
        if self.world == 1:
            return dict(numbers)
        told: list[dict[str, float] | None] = [None] * self.world
        distributed.all_gather_object(told, dict(numbers))
        shared = [one for one in told if one is not None]
        return {
            name: sum(one[name] for one in shared) / len(shared) if all(name in one for one in shared) else value
            for name, value in numbers.items()
        }

    def greatest(self, number: int) -> int:
        """Return the greatest of what the ranks say."""
        if self.world == 1:
            return number
        told = torch.tensor([number])
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return int(told)

    @contextmanager
    def first_here_first(self) -> Iterator[None]:
        """Let the first process of each machine do the block before the others, who then find its work on disk."""
        if self.world > 1 and self.local_rank:
            distributed.barrier()
        yield
        if self.world > 1 and not self.local_rank:
            distributed.barrier()


def find_ranks(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Return what ``torchrun`` or SLURM's ``srun`` say this process is; alone if neither started it.

    Raises
    ------
    ConfigError
        If SLURM started several processes and does not say where the first one is.
    """
    if "TORCHELASTIC_RUN_ID" in environment or {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= set(environment):
        return Ranks(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment.get("LOCAL_RANK", 0)))
    # SLURM_STEP_*: those of srun; a job's own script has SLURM_NTASKS too and is one process.
    world = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if world == 1 or "SLURM_PROCID" not in environment:
        return Ranks()
    if "MASTER_ADDR" not in environment:
        raise ConfigError(
            "SLURM started several processes and MASTER_ADDR is not set; add export "
            'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) to the job script'
        )
    return Ranks(int(environment["SLURM_PROCID"]), world, int(environment.get("SLURM_LOCALID", 0)))


def tells_of_a_lost_rank(error: BaseException) -> bool:
    """Whether ``error`` says that another process of the training cannot be reached any more."""
    # gloo has no error of its own, only its name in the text.
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo/" in str(error))


@contextmanager
def joined_ranks(ranks: Ranks) -> Iterator[Ranks]:
    """Connect the ranks while the block runs: gloo between CPUs, NCCL between GPUs."""
    if ranks.world == 1:
        yield ranks
        return
    os.environ.setdefault("MASTER_PORT", "29511")
    if ranks.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local_rank)  # else NCCL and pinned batches of all ranks take room on the first GPU
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # On one machine they meet in a file: a port that was free may be somebody's by the time that torch is there.
    place = os.environ.get("MMSSL_MEETING_PLACE")
    store = None if place is None else distributed.FileStore(place, ranks.world)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world, timeout=_PATIENCE)
    try:
        yield ranks
        # None ends before the first has written all: srun and torchrun end the others when one does, with an exit code
        # of 130 after a signal, and a large checkpoint takes longer than the half minute that they leave it.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()
