"""For which share of its time a GPU would wait for batches, against the time that it takes for a step.

    python benchmarks/feed_wait.py [--patch 96] [--batch 2] [--step-ms 100 300 1000] [--workers 0 1 2]

No GPU is needed: in its place the loop sleeps, which takes no processor. All else is a training's own: the sampler, the
loader processes, and the clock that tells ``feed_wait``. A ratio is the time of a step by the time that the device
takes of it; up to 1.05 it waits for less than 5 %. Cases are made up, of four modalities at 240 x 240 x 155 voxels.
Fine-tuning turns, scales and blurs patches, pretraining does not. Nothing is pinned, for which there has to be a GPU.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from harness import Result, compared, run
from patch_feed import repeated_case

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import PreparedCase, prepare_cohort
from napari_mmssl.sampling.augmentation import Augmentation
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.training.feed import feed
from napari_mmssl.training.loop import _Clock

_FEEDS = {
    "pretraining": Augmentation(),
    "finetuning": Augmentation(flip=0.5, intensity=0.1, spatial=True, appearance=True),
}


def seconds_a_step(sampler: PatchSampler, step_s: float, workers: int, steps: int) -> tuple[float, float]:
    """Return what a step takes with a device that takes ``step_s`` of it, and the share that is waited."""
    clock, began = _Clock(0, steps), 0.0
    for batch in clock.waiting_for(feed(sampler, 0, steps, workers=workers, pin_memory=False)):
        began = began or time.perf_counter()  # as feed_wait, without the start of loader processes
        del batch
        time.sleep(step_s)
    return (time.perf_counter() - began) / steps, clock.told()["feed_wait"]


def patches_a_second(sampler: PatchSampler, batches: int) -> float:
    """Return how many patches a core makes in a second of its time."""
    _ = sampler[0]
    began = time.process_time()
    for number in range(1, batches + 1):
        _ = sampler[number]
    return batches * sampler.batch_size / (time.process_time() - began)


def measure(args: argparse.Namespace) -> list[Result]:
    with tempfile.TemporaryDirectory() as base:
        os.environ["MMSSL_HOME"] = str(Path(base) / "home")
        cohort = repeated_case(Path(base) / "cohort", args.cases)
        cases = prepare_cohort(find_cohort(cohort).cases, None, with_label=False)
        return [result for kind in _FEEDS for result in measured(kind, cases, args)]


def measured(kind: str, cases: list[PreparedCase], args: argparse.Namespace) -> list[Result]:
    sampler = PatchSampler(
        cases, cases[0].modalities, (args.patch,) * 3, args.batch, 10**6, 0, augmentation=_FEEDS[kind]
    )
    rate = patches_a_second(sampler, args.steps)
    remark = (
        f"{kind}: a core makes {rate:.3g} patches of {args.patch}³ x {len(sampler.vocabulary)} a second; a device that "
        f"takes T seconds for a step of B patches is fed by B / ({rate:.3g} T) workers."
    )
    results = []
    for workers in args.workers:
        for step_ms in args.step_ms:
            pairs = [seconds_a_step(sampler, step_ms / 1000, workers, args.steps) for _ in range(args.runs)]
            taken, waited = zip(*pairs, strict=True)
            told = {"step_ms": step_ms, "workers": workers, "patch": args.patch, "batch": args.batch}
            results.append(
                compared(
                    f"feed_wait_{kind}_{workers}_{step_ms}",
                    taken,
                    [step_ms / 1000] * len(taken),
                    peer_name="the device alone",
                    unit="s",
                    feed_wait=round(sorted(waited)[len(waited) // 2], 3),
                    remark=remark,
                    **told,
                )
            )
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=4)
    options.add_argument("--patch", type=int, default=96)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--step-ms", type=int, nargs="+", default=[100, 300, 1000])
    options.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--steps", type=int, default=16)
    options.add_argument("--runs", type=int, default=2)
    run(measure, options)
