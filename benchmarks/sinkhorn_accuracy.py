"""How far rows of a soft permutation are from 1, and the time it takes, beside 20 plain log-domain rounds.

    python benchmarks/sinkhorn_accuracy.py

At a temperature of 0.1 on scores drawn from N(0, 1), in float32, time with the way back to the scores.
"""

import argparse

import torch
from harness import Result, compared, in_turn, run

from napari_mmssl.ops.sinkhorn import doubly_stochastic_error, soft_permutation

_TEMPERATURE, _ROUNDS = 0.1, 20
_PEER = f"{_ROUNDS} plain log-domain rounds"


def solve(scores: torch.Tensor, n_iterations: int | None) -> torch.Tensor:
    """Return the soft permutation after a way back through it."""
    leaf = scores.clone().requires_grad_()
    soft: torch.Tensor = soft_permutation(leaf, _TEMPERATURE, n_iterations)
    (soft**2).sum().backward()
    return soft.detach()


def plain(scores: torch.Tensor) -> torch.Tensor:
    """Write the rounds as the papers do, with torch's own logsumexp."""
    leaf = scores.clone().requires_grad_()
    logs = leaf / _TEMPERATURE
    for _ in range(_ROUNDS):
        logs = logs - logs.logsumexp(dim=-1, keepdim=True)
        logs = logs - logs.logsumexp(dim=-2, keepdim=True)
    (logs.exp() ** 2).sum().backward()
    return logs.exp().detach()


def measure(args: argparse.Namespace) -> list[Result]:
    torch.set_num_threads(1)
    results = []
    for tiles in args.tiles:
        suffix = "" if tiles == args.tiles[0] else f"_{tiles}_tiles"
        draws = [torch.randn(args.batch, tiles, tiles, generator=torch.Generator().manual_seed(n)) for n in range(9)]
        errors = [[doubly_stochastic_error(how(draw)) for draw in draws] for how in (lambda d: solve(d, None), plain)]
        told = {"tiles": tiles, "batch": args.batch, "temperature": _TEMPERATURE}
        results.append(compared(f"sinkhorn_accuracy{suffix}", *errors, peer_name=_PEER, unit="worst row error", **told))
        times = in_turn(lambda d=draws[0]: solve(d, None), lambda d=draws[0]: plain(d), args.runs, warm_up=3)
        results.append(compared(f"sinkhorn_time{suffix}", *times, peer_name=_PEER, unit="s", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tiles", type=int, nargs="+", default=(27, 8, 64))
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--runs", type=int, default=101)
    run(measure, options)
