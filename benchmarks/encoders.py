"""Weights and time of every encoder in every size, and what padding by border values costs.

    python benchmarks/encoders.py

Two patches of 48 x 48 x 48 with one channel, one thread. Prints JSON: millions of weights; seconds of processor time
for a forward pass, and for forward and backward together; both as ratios to the residual U-Net of the same size.
Encoders run in turn, and the least of several rounds counts: what else the machine does only ever adds. Two patches and
not one, because PyTorch convolves a single small one of few channels without oneDNN: ``one_patch_ratio`` is the forward
pass of one patch against that of two, of the tiny residual U-Net.
"""

import json
import time
from collections.abc import Callable

import torch
from torch import nn

from napari_mmssl.networks.encoders import Encoder, build_encoder, encoders

_REFERENCE = "residual_unet"
_ROUNDS = 4


def main() -> None:
    """Time all encoders."""
    torch.set_num_threads(1)
    patch = torch.randn(2, 1, 48, 48, 48).to(memory_format=torch.channels_last_3d)
    names = [entry.name for entry in encoders.entries()]
    table = []
    for size in ("tiny", "small", "paper"):
        built = {name: build_encoder(name, size, 1) for name in names}
        forward = _least({name: _forward(encoder, patch) for name, encoder in built.items()})
        both = _least({name: _both(encoder, patch) for name, encoder in built.items()})
        table += [
            {
                "encoder": name,
                "size": size,
                "channels": list(encoder.channels),
                "million_weights": round(sum(p.numel() for p in encoder.parameters()) / 1e6, 2),
                "forward_s": round(forward[name], 3),
                "forward_ratio": round(forward[name] / forward[_REFERENCE], 2),
                "forward_backward_s": round(both[name], 3),
                "forward_backward_ratio": round(both[name] / both[_REFERENCE], 2),
            }
            for name, encoder in built.items()
        ]
    border, zeros = build_encoder(_REFERENCE, "tiny", 1), build_encoder(_REFERENCE, "tiny", 1)
    for module in zeros.modules():
        if isinstance(module, nn.Conv3d):
            module.padding_mode = "zeros"
    padding = _least({"border": _both(border, patch), "zeros": _both(zeros, patch)})
    ratio = round(padding["border"] / padding["zeros"], 2)
    alone = _least({"one": _forward(border, patch[:1]), "two": _forward(border, patch)})
    found = {"padding_ratio": ratio, "one_patch_ratio": round(alone["one"] / alone["two"], 2)}
    print(json.dumps({"name": "encoders", "patch": list(patch.shape), "table": table, **found}, indent=1))


def _forward(encoder: Encoder, patch: torch.Tensor) -> Callable[[], object]:
    def forward() -> object:
        with torch.no_grad():
            return encoder(patch)

    return forward


def _both(encoder: Encoder, patch: torch.Tensor) -> Callable[[], object]:
    def both() -> object:
        sum(level.square().mean() for level in encoder(patch)).backward()  # type: ignore[union-attr, no-untyped-call]
        return None

    return both


def _least(arms: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least processor time of each arm; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(_ROUNDS + 1):
        for name, arm in arms.items():
            began = time.process_time()
            arm()
            times[name].append(time.process_time() - began)
    return {name: min(seconds[1:]) for name, seconds in times.items()}


if __name__ == "__main__":
    main()
