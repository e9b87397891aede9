"""What all benchmarks share: runs in pairs, the peak of memory, one file of results.

A benchmark is a file with ``measure(arguments) -> list[dict]``; ``python benchmarks/<name>.py`` prints its results and
with ``--write`` keeps them in ``benchmarks/results.json``. ``make bench`` runs all of them.

Ours and the peer run in turn in one process, so that whatever else the machine does falls on both; a ratio is ours
divided by the peer's, of each pair, and what is told is the median, the least and the greatest of them.
"""

import argparse
import ctypes
import datetime
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import write_json

RESULTS = Path(__file__).with_name("results.json")
Result = dict[str, Any]


def run(measure: Callable[[argparse.Namespace], list[Result]], parser: argparse.ArgumentParser) -> None:
    """Measure as the command line says, print the results, and keep them if asked to."""
    parser.add_argument("--write", action="store_true", help=f"keep the results in {RESULTS.name}")
    args = parser.parse_args()
    told = {"machine": machine(), "date": datetime.date.today().isoformat(), "command": _command()}
    load = os.getloadavg()[0]
    results = measure(args)
    # What else was at work: each benchmark itself adds one, or two where it has workers.
    told["load"] = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
    results = [result | told for result in results]
    print(json.dumps(results, indent=2))
    if args.write:
        keep(results)


def keep(results: Sequence[Result]) -> None:
    """Put ``results`` into the file of results, in the place of those of the same name."""
    names = {result["name"] for result in results}
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    kept = [result for result in before if result["name"] not in names]
    write_json(RESULTS, sorted([*kept, *results], key=lambda result: str(result["name"])))


def compared(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float],
    *,
    peer_name: str,
    unit: str,
    better: str = "lower",
    **more: Any,
) -> Result:
    """Return one result from paired measurements; ``more`` says what it grows with, and what else is worth knowing."""
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    return {
        "name": name,
        "ours": _rounded(statistics.median(ours)),
        "peer": _rounded(statistics.median(peer)),
        "peer_name": peer_name,
        "unit": unit,
        "better": better,
        "ratio": _rounded(statistics.median(ratios)),
        "ratio_min": _rounded(min(ratios)),
        "ratio_max": _rounded(max(ratios)),
        "runs": len(ratios),
        **more,
    }


def in_turn(
    ours: Callable[[], object], peer: Callable[[], object], runs: int, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Return the seconds of each, run in turn; who goes first changes from pair to pair."""
    times: tuple[list[float], list[float]] = ([], [])
    arms = (ours, peer)
    for number in range(-warm_up, runs):
        for which in (0, 1) if number % 2 else (1, 0):
            seconds = timed(arms[which])
            if number >= 0:
                times[which].append(seconds)
    return times


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_mib(prepare: Callable[[], Any], work: Callable[[Any], object]) -> float:
    """Return by how much ``work(prepare())`` raises the resident size above what it is after ``prepare``, in MiB."""
    return cost(prepare, work)[1]


def cost(prepare: Callable[[], Any], work: Callable[[Any], object]) -> tuple[float, float]:
    """Return seconds of processor time of ``work(prepare())``, and its peak above what is resident after ``prepare``.

    The peak is in MiB; ``prepare`` counts nowhere. In a process of its own, so that nothing is left from before. Linux
    with glibc only.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell_cost, args=(prepare, work, sender))
    process.start()
    sender.close()
    seconds, peak = receiver.recv()
    process.join()
    return seconds, peak


def _tell_cost(prepare: Callable[[], Any], work: Callable[[Any], object], sender: Any) -> None:
    held = prepare()
    # What was freed and is not given back would be used again, and count as nobody's.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _resident_kib("VmRSS")
    began = time.process_time()
    work(held)
    seconds = time.process_time() - began
    sender.send((seconds, (_resident_kib("VmHWM") - before) / 1024))


def _resident_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def machine() -> str:
    """Say what a number was measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "numpy"))
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def made_case(folder: Path) -> Path:
    """Return a made-up case of four modalities at 240 x 240 x 155 voxels, the usual size of a brain tumour's scans."""
    import nibabel as nib
    import numpy as np

    from napari_mmssl.workflows.sample import make_sample

    case = next(path for path in make_sample("glioma", folder, 1, 0, 1.0).iterdir() if path.is_dir())
    for path in case.glob("*.nii.gz"):
        image = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
        gaps = np.array((240, 240, 155)) - voxels.shape
        pads = np.stack([gaps // 2, gaps - gaps // 2], axis=1)
        nib.save(nib.Nifti1Image(np.pad(voxels, pads), image.affine), path)
    return case


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _command() -> str:
    given = [argument for argument in sys.argv[1:] if argument != "--write"]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *given])
