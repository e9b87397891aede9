"""Whether a step is shorter with the fused optimiser, and with compiled encoders, than as it is by default.

    python benchmarks/step_options.py [--options fused compile]  [--recipe mae] [--encoder-size small] [--device cuda]

One trainee, the step as the loop makes it, on one thread and one batch in memory; times are after the first two steps.
What compiling takes before the first step is told as ``ready_s``, and has to be earned back.
"""

import argparse
import time
from collections.abc import Callable

import torch
from harness import Result, compared, in_turn, run
from training_step import _MODALITIES, made_cases

from napari_mmssl.training.compiling import compile_encoders
from napari_mmssl.training.distributed import Ranks
from napari_mmssl.training.gradient_step import GradientStep
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.workflows.configure import pretrain_settings


def stepper(args: argparse.Namespace, **options: bool) -> Callable[[], object]:
    """Return one step of a pretraining with these settings of its optimisation."""
    how = {"batch_size": args.batch, **options}
    flags = {
        "recipe": args.recipe,
        "cohort": ".",
        "data": {"patch": [args.patch] * 3, "modalities": list(_MODALITIES), "spacing_mm": [1.0] * 3},
        "encoder": {"name": args.encoder, "size": args.encoder_size, "thick_slices": 0},
        "optimisation": how,
    }
    settings, device = pretrain_settings(flags=flags), torch.device(args.device)
    trainee = Pretraining(settings, made_cases(4, args.patch + 16), [], device)
    if settings.optimisation.compile:
        for module in trainee.modules.values():
            compile_encoders(module)
    move = GradientStep(trainee, settings, device, Ranks())
    batch = trainee.batches[settings.optimisation.steps // 2].to(device)

    def step() -> float:
        move.gradients(batch, 0)
        return move.move(1e-4)  # a number, which waits for a GPU

    return step


def measure(args: argparse.Namespace) -> list[Result]:
    torch.set_num_threads(1)
    results = []
    for option in args.options:
        ours, plain = stepper(args, **{option: True}), stepper(args)
        began = time.perf_counter()
        ours()
        ready_s = round(time.perf_counter() - began, 1)
        told = {"recipe": args.recipe, "encoder": f"{args.encoder} {args.encoder_size}", "patch": args.patch}
        times = in_turn(ours, plain, args.runs, warm_up=2)
        results.append(
            compared(f"step_{option}", *times, peer_name="the default step", unit="s", ready_s=ready_s, **told)
        )
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--options", nargs="+", default=("fused",))
    options.add_argument("--recipe", default="mae")
    options.add_argument("--encoder", default="residual_unet")
    options.add_argument("--encoder-size", default="small")
    options.add_argument("--patch", type=int, default=32)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--runs", type=int, default=8)
    options.add_argument("--device", default="cpu")
    run(measure, options)
