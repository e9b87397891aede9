"""Time of one forward and backward pass of the encoder in both memory orders, side by side.

    python benchmarks/memory_order.py

Prints JSON with the ratio channels-last / channels-first of the medians.
"""

import json
import os
import statistics
import time

import torch

from napari_mmssl.networks.encoders import build_encoder


def main() -> None:
    """Time both orders in turn on the tiles of four 27-tile puzzles."""
    torch.set_num_threads(os.cpu_count() or 1)
    tiles = torch.randn(108, 1, 14, 14, 14)
    last = build_encoder("residual_unet", "tiny", 1)
    first = build_encoder("residual_unet", "tiny", 1).to(memory_format=torch.contiguous_format)
    times: dict[str, list[float]] = {"first": [], "last": []}
    for round_number in range(8):
        for name, encoder in (("first", first), ("last", last)):
            began = time.perf_counter()
            encoder(tiles)[-1].mean().backward()
            if round_number:  # the first round warms up
                times[name].append(time.perf_counter() - began)
    ratios = [a / b for a, b in zip(times["last"], times["first"], strict=True)]
    print(json.dumps({"name": "memory_order", "ratio": round(statistics.median(ratios), 3), "runs": len(ratios)}))


if __name__ == "__main__":
    main()
