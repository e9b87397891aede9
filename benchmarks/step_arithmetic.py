"""Arithmetic of one sample in a pretraining step, beside plain supervised training of the same encoder.

    python benchmarks/step_arithmetic.py [--recipes brainmvp2025 ...] [--encoders uniformer ...] [--encoder-size paper]

Counted, not timed, so that it holds on any machine: multiplications and additions, forward and backward, all objectives
on (torch.utils.flop_counter). What a plan for a cluster scales (docs/how-to/cluster.md).
"""

import argparse
from collections.abc import Callable

from harness import Result, compared, run
from torch.utils.flop_counter import FlopCounterMode
from training_step import Step, ours, pretraining, supervised


def gflop(step: Step, batch: int) -> float:
    """Return how much one sample takes in ``step``, in units of 10^9."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / batch / 1e9


def measure(args: argparse.Namespace) -> list[Result]:
    results = []
    arms: tuple[Callable[[str, str, argparse.Namespace], Step], ...] = (ours, supervised)
    for encoder in args.encoders:
        for recipe in args.recipes:
            counts = ([gflop(arm(recipe, encoder, args), args.batch)] for arm in arms)
            about = {"recipe": recipe, "encoder": encoder, "size": args.encoder_size, "patch": args.patch}
            modules = pretraining(recipe, encoder, args)[0].modules.values()
            weights = sum(one.numel() for module in modules for one in module.parameters())
            about["weights"] = f"{weights / 1e6:.1f} million"
            peer_name = "plain supervised training of the same encoder"
            name = f"step_arithmetic_{encoder}_{recipe}"
            results.append(compared(name, *counts, peer_name=peer_name, unit="GFLOP a sample", **about))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipes", nargs="+", default=("brainmvp2025",))
    options.add_argument("--encoders", nargs="+", default=("residual_unet", "uniformer"))
    options.add_argument("--encoder-size", default="paper")
    options.add_argument("--patch", type=int, default=32)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--device", default="cpu")
    run(measure, options)
