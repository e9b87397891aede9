"""Time of the two topology losses at 512 tokens beside loops over tokens, side by side on one thread.

    python benchmarks/topology_loss.py

Two loops: *formula by formula* measures every distance by itself, as the formulas are written and as the golden tests
have it, and is wanted to take 20 times as long as ours; *token by token* measures all distances of a token at once,
which is the best that a loop over tokens can do.
"""

import argparse
import functools
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compared, in_turn, run
from torch.nn.functional import normalize

from napari_mmssl.ops.correspondence import mutual_nearest
from napari_mmssl.ops.neighbours import distances_between, neighbourhoods
from napari_mmssl.ops.topology import anchor_rows, intra_triplets, partial_triplets, triplet_loss

_WIDTH, _K = 64, 5


def measure(args: argparse.Namespace) -> list[Result]:
    """Time all arms in turn."""
    torch.set_num_threads(1)
    results = []
    for tokens in args.tokens:
        rng = np.random.default_rng(0)
        first, second = (rng.normal(size=(tokens, _WIDTH)) for _ in range(2))
        second += first
        uniform = rng.random((tokens, _K))
        suffix = "" if tokens == max(args.tokens) else f"_{tokens}_tokens"
        for kind, ours, theirs in (("", intra, loop), ("_inter", inter, matched_loop)):
            for peer, distances in (("token by token", _row), ("formula by formula", _one_by_one)):
                if peer == "formula by formula" and suffix:
                    continue
                arms = (
                    functools.partial(vectorised, ours, first, second, uniform),
                    functools.partial(theirs, first, second, uniform, distances),
                )
                np.testing.assert_allclose(arms[0](), arms[1](), rtol=1e-4)
                runs, warm_up = (args.runs, 1) if peer == "token by token" else (2, 0)  # seconds each
                name = f"topology_loss{kind}{suffix}{'_by_token' if peer == 'token by token' else ''}"
                told = {"peer_name": f"a loop, {peer}", "unit": "s", "tokens": tokens}
                results.append(compared(name, *in_turn(*arms, runs, warm_up), **told))
    return results


def vectorised(loss: Callable[..., torch.Tensor], *arrays: np.ndarray) -> float:
    """Return the loss; forward only, as the loops are."""
    tensors = [torch.from_numpy(array).float().unsqueeze(0) for array in arrays]
    with torch.no_grad():
        return float(loss(*(normalize(one, dim=-1) for one in tensors[:2]), tensors[2]))


def intra(anchor: torch.Tensor, other: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return the triplet loss of one direction."""
    usable = torch.ones(anchor.shape[:2], dtype=torch.bool)
    neighbours, valid = neighbourhoods(anchor @ anchor.mT, _apart(anchor.shape[1]), usable, _K, "feature")
    loss: torch.Tensor = triplet_loss(other @ other.mT, intra_triplets(neighbours, valid, usable, uniform), 0.05)[0]
    return loss


def inter(first: torch.Tensor, second: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return the alignment loss of one direction, matching included."""
    usable = torch.ones(first.shape[:2], dtype=torch.bool)
    matches = mutual_nearest(first @ second.mT, usable[:, :, None] & usable[:, None, :])
    neighbours, valid = neighbourhoods(first @ first.mT, _apart(first.shape[1]), usable, _K, "feature")
    triplets = partial_triplets(neighbours, valid, matches, usable, uniform)
    loss: torch.Tensor = triplet_loss(anchor_rows(second @ second.mT, matches), triplets, 0.4)[0]
    return loss


def _apart(tokens: int) -> torch.Tensor:
    places = torch.zeros(1, tokens, 3)
    apart: torch.Tensor = distances_between(places, places)
    return apart


def _row(token: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.asarray(1 - tokens @ token / (np.linalg.norm(tokens, axis=1) * np.linalg.norm(token)))


def _one_by_one(token: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.array(
        [1 - float(token @ other) / float(np.linalg.norm(token) * np.linalg.norm(other)) for other in tokens]
    )


Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _near(i: int, tokens: np.ndarray, distances: Distances) -> list[int]:
    apart = distances(tokens[i], tokens)
    apart[i] = np.inf
    return [int(j) for j in np.argsort(apart, kind="stable")[:_K]]


def loop(anchor: np.ndarray, other: np.ndarray, uniform: np.ndarray, distances: Distances) -> float:
    """Return the triplet loss of one direction, token by token in float64."""
    hinges = []
    for i in range(len(anchor)):
        near = _near(i, anchor, distances)
        rest = [n for n in range(len(other)) if n != i and n not in near]
        far = [rest[int(u * len(rest))] for u in uniform[i]]
        hinges.append(distances(other[i], other[near]) - distances(other[i], other[far]))
    return float(np.maximum(0, np.stack(hinges) + 0.05).mean())


def matched_loop(first: np.ndarray, second: np.ndarray, uniform: np.ndarray, distances: Distances) -> float:
    """Return the alignment loss of one direction, token by token in float64."""
    there = [int(np.argmin(distances(token, second))) for token in first]
    back = [int(np.argmin(distances(token, first))) for token in second]
    matches = [u if back[u] == i else -1 for i, u in enumerate(there)]
    unmatched = [n for n in range(len(second)) if n not in set(matches)]
    hinges: list[float] = []
    for i, u in enumerate(matches):
        pairs = [(slot, matches[j]) for slot, j in enumerate(_near(i, first, distances)) if matches[j] >= 0]
        if u < 0 or not pairs:
            continue
        rest = unmatched or [n for n in range(len(second)) if n != u and n not in {v for _, v in pairs}]
        far = [rest[int(uniform[i, slot] * len(rest))] for slot, _ in pairs]
        hinges += list(distances(second[u], second[[v for _, v in pairs]]) - distances(second[u], second[far]))
    return float(np.maximum(0, np.array(hinges) + 0.4).mean())


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tokens", type=int, nargs="+", default=(128, 512))
    options.add_argument("--runs", type=int, default=9)
    run(measure, options)
