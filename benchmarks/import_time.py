"""Processor seconds it takes a new process to import the package, without the interpreter's own. Wanted: below 0.2.

torch and MONAI stand beside it: what a viewer or a parser that imported them would cost.
"""

import resource
import statistics
import subprocess
import sys

ROUNDS = 5


def spent() -> float:
    """Return the processor seconds of all child processes so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(code: str) -> float:
    """Return the median processor time of a process that runs ``code``."""
    times = []
    for _ in range(ROUNDS):
        before = spent()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(spent() - before)
    return statistics.median(times)


if __name__ == "__main__":
    bare = seconds("pass")
    for what, code in {
        "import napari_mmssl": "import napari_mmssl",
        "build the command line's parser": "from napari_mmssl.cli.main import build_parser; build_parser()",
        "import torch": "import torch",
        "import monai": "import monai",
    }.items():
        print(f"{what}: {seconds(code) - bare:.3f} s (median of {ROUNDS})")
