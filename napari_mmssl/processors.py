"""How many cores this process may use: a container or a batch system may allow fewer than the machine has."""

import math
import os
from pathlib import Path

from napari_mmssl.errors import ConfigError

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores(cgroups: Path = _CGROUPS) -> int:
    """Return on how many cores this process may run at a time, one at least.

    That is what it is bound to (``taskset``, SLURM), and no more than what Linux lets its container have
    (``docker run --cpus``, limits of Kubernetes), rounded up.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(cgroups))))


#: Where a user says how many threads compute; the first that is set counts.
THREADS_ASKED = ("MMSSL_THREADS", "OMP_NUM_THREADS")


def thread_count() -> int:
    """Return how many threads compute: ``$MMSSL_THREADS``, else ``$OMP_NUM_THREADS``, else one for each usable core.

    Raises
    ------
    ConfigError
        If what is set is no number from 1 on.
    """
    for name in THREADS_ASKED:
        said = os.environ.get(name, "")
        # OpenMP knows lists, such as "4,2", for nested work.
        first = said.split(",")[0].strip()
        if first and not (first.isdecimal() and int(first)):
            raise ConfigError(f"${name} is a number of threads from 1 on, not '{said}'")
        if first:
            return int(first)
    return usable_cores()


def _quota(cgroups: Path) -> float:
    """Return the share of processor time that a container may use, in cores."""
    version_2, version_1 = (
        [cgroups / "cpu.max"],
        [cgroups / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")],
    )
    for files in (version_2, version_1):
        try:
            limit, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
            # "max", and -1 in version 1: as much as there is.
            return float(limit) / float(period) if limit not in ("max", "-1") else math.inf
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return math.inf
