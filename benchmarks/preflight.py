"""How far what --dry-run tells of time and memory is from what the training then takes.

    python benchmarks/preflight.py [--cohort COHORT] [--recipes mae taleb2020 ...] [--encoders residual_unet ...]

``ours`` is what was told, ``peer`` what a training of some steps took, in processes of their own right after each
other. Memory is the peak above the program itself (about 0.7 GiB, which a first training of one step has loaded), of
steps, looks at unseen people and checkpoints. Time is that of a step. One thread.
"""

import argparse
import ctypes
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness import Result, _resident_kib, compared, run

from napari_mmssl.training.settings import PretrainSettings
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.preflight import preflight
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.sample import make_sample

Cost = tuple[float, float]


def told(settings: PretrainSettings) -> Cost:
    """Return seconds a step and MiB as the dry run tells them."""
    found = preflight(settings)
    assert found.step_s is not None
    return found.step_s, found.memory_gib * 1024


def taken(settings: PretrainSettings) -> Cost:
    """Return the median seconds between two steps of a training, and its peak in MiB above the loaded program."""
    times = []

    def listener(event: dict[str, Any]) -> None:
        if event["kind"] == "step":
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        optimisation = settings.optimisation.model_copy(update={"steps": 1})
        pretrain(settings.model_copy(update={"optimisation": optimisation}), Path(folder) / "first")
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
        held = _resident_kib("VmRSS")
        pretrain(settings, Path(folder) / "run", listener=listener)
    pauses = [after - before for before, after in pairwise(times)]
    return statistics.median(pauses), (_resident_kib("VmHWM") - held) / 1024


def alone(work: Callable[[PretrainSettings], Cost], settings: PretrainSettings) -> Cost:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as process:
        return process.submit(work, settings).result()


def measure(args: argparse.Namespace) -> list[Result]:
    os.environ["MMSSL_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as made:
        args.cohort = args.cohort or make_sample("glioma", Path(made) / "cohort", 6, 0, 2.0)
        return measured(args)


def measured(args: argparse.Namespace) -> list[Result]:
    results = []
    for recipe in args.recipes:
        for encoder in args.encoders:
            flags = {
                "recipe": recipe,
                "cohort": str(args.cohort),
                "data": {"patch": [args.patch] * 3},
                "encoder": {"name": encoder, "size": args.encoder_size},
                "optimisation": {"batch_size": args.batch, "steps": args.steps},
                "validate_every": args.steps,
                "checkpoint_every": args.steps // 2,
            }
            settings = pretrain_settings(flags=flags)
            (step_s, mib), (took_s, took_mib) = (alone(work, settings) for work in (told, taken))
            about = {"recipe": recipe, "encoder": encoder, "patch": args.patch, "batch": args.batch}
            about["peer_name"] = "the training itself"
            name = f"preflight_{{}}_{encoder}_{recipe}"
            results.append(compared(name.format("time"), [step_s], [took_s], unit="s", **about))
            results.append(compared(name.format("memory"), [mib], [took_mib], unit="MiB", **about))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cohort", type=Path, help="a made-up one if not given")
    options.add_argument("--recipes", nargs="+", default=("mae", "taleb2020", "brainmvp2025"))
    options.add_argument("--encoders", nargs="+", default=("residual_unet", "uniformer"))
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--patch", type=int, default=32)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--steps", type=int, default=10)
    run(measure, options)
