"""Time and memory of predicting a volume window by window, beside MONAI's sliding_window_inference with its defaults.

    python benchmarks/sliding_window.py

Same network, same windows (overlap 0.25, plain mean), same batch, equal output, one thread. Time is the processor's;
memory is the peak above the resident size after network and volume are loaded. Measured with the network of a
fine-tuning, whose own costs both sides pay, and with a light one, beside which the engine itself is seen; ``labels`` is
the label map a prediction ends in. Wanted are at most 1.05 of MONAI's time and 0.6 of its memory.
"""

import argparse
import functools
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compared, cost, run
from monai.inferers import sliding_window_inference

from napari_mmssl.inference.sliding_window import finished_slabs, predict_windows
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.segmentation import SegmentationNetwork

_CLASSES = 4
_HOW = {"overlap": 0.25, "weighting": "constant"}
Loaded = tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]


def load(shape: tuple[int, int, int], modalities: int, encoder_size: str) -> Loaded:
    """Return a network and a volume; the same ones in every process."""
    torch.manual_seed(0)
    volume = torch.randn(modalities, *shape)
    network = light(modalities) if encoder_size == "light" else heavy(modalities, encoder_size)
    loaded = torch.no_grad()(lambda windows: network(windows).softmax(dim=1)), volume
    for engine in (ours, monai):  # libraries load themselves at their first use, which is nobody's memory
        engine((loaded[0], torch.randn(modalities, 72, 64, 64)), 64, 1)
    return loaded


def light(modalities: int) -> torch.nn.Module:
    """Return two convolutions, beside which the engine itself is seen best."""
    return torch.nn.Sequential(
        torch.nn.Conv3d(modalities, 8, 3, padding=1), torch.nn.ReLU(True), torch.nn.Conv3d(8, _CLASSES, 1)
    ).eval()


def heavy(modalities: int, encoder_size: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the segmentation network of a fine-tuning."""
    network = SegmentationNetwork(build_encoder("residual_unet", encoder_size, modalities), _CLASSES).eval()
    return lambda windows: network(windows, torch.ones(windows.shape[:2], dtype=torch.bool))


def ours(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    return predict_windows(network, volume, (window,) * 3, batch_size=batch, **_HOW)


def our_labels(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    labels = torch.empty(volume.shape[1:], dtype=torch.uint8)
    for box, slab in finished_slabs(network, volume, (window,) * 3, batch_size=batch, **_HOW):
        labels[box] = slab.argmax(dim=0)
        del slab
    return labels


@torch.no_grad()
def monai(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    answer: torch.Tensor = sliding_window_inference(volume[None], (window,) * 3, batch, network)[0]
    return answer


def monai_labels(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    return monai(loaded, window, batch).argmax(dim=0).to(torch.uint8)


def measure(args: argparse.Namespace) -> list[Result]:
    torch.set_num_threads(1)
    # In a process of its own too: what it leaves of the heap in pieces would be handed on to those that are measured.
    cost(lambda: args, hold_equal)
    how = {"window": args.window, "batch": args.batch}
    z, y, x = args.shape
    results = []
    for suffix, network, shape, runs, arms in (
        ("", args.encoder_size, (z, y, x), args.encoder_runs, (ours, monai)),
        ("_light", "light", (z, y, x), args.runs, (ours, monai)),
        ("_light_half_the_voxels", "light", (z, y, x // 2), args.runs, (ours, monai)),
        ("_light_labels", "light", (z, y, x), args.runs, (our_labels, monai_labels)),
    ):
        if runs == 0:
            continue
        prepare = functools.partial(load, shape, args.modalities, network)
        told = {"voxels": int(np.prod(shape)), "modalities": args.modalities, "network": network, **how}
        costs = [[cost(prepare, functools.partial(arm, **how)) for arm in arms] for _ in range(runs)]
        for kind, unit, which in (("time", "s of processor time", 0), ("memory", "MiB", 1)):
            mine, theirs = ([pair[arm][which] for pair in costs] for arm in (0, 1))
            name = f"sliding_window_{kind}{suffix}"
            results.append(compared(name, mine, theirs, peer_name="MONAI", unit=unit, **told))
    return results


def hold_equal(args: argparse.Namespace) -> None:
    """Make sure that both give the same: the encoder on a few windows, the light network on the whole volume."""
    few = (args.window + 9, args.window, args.window + 31)
    for network, shape in ((args.encoder_size, few), ("light", tuple(args.shape))):
        loaded = load(shape, args.modalities, network)
        answers = (arm(loaded, args.window, args.batch) for arm in (ours, monai))
        torch.testing.assert_close(*answers, atol=1e-5, rtol=0)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shape", type=int, nargs=3, default=(155, 240, 240))
    options.add_argument("--modalities", type=int, default=4)
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--window", type=int, default=64)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--runs", type=int, default=3, help="pairs with the light network; 0 leaves it out")
    options.add_argument("--encoder-runs", type=int, default=2, help="pairs with the encoder")
    run(measure, options)
