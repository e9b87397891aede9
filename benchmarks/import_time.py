"""Seconds it takes a new process to import the package, without the interpreter's own start. Wanted: below 0.2."""

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def seconds(code: str) -> float:
    """Return the median wall time of a process that runs ``code``."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    bare = seconds("pass")
    for what, code in {
        "import napari_mmssl": "import napari_mmssl",
        "build the command line's parser": "from napari_mmssl.cli.main import build_parser; build_parser()",
    }.items():
        print(f"{what}: {seconds(code) - bare:.3f} s (median of {ROUNDS})")
