"""Time and memory of predicting a volume window by window, beside MONAI's sliding_window_inference with its defaults.

    python benchmarks/sliding_window.py

Same network, same windows (overlap 0.25, plain mean), same batch, equal output. Memory is the peak above the resident
size after network and volume are loaded. Measured with a light network, beside which the engine itself is seen, and
with the network of a fine-tuning, whose own memory both sides pay; ``labels`` is the label map a prediction ends in.
"""

import argparse
import functools
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compared, in_turn, peak_mib, run
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
    how = {"window": args.window, "batch": args.batch}
    results = []
    for suffix, encoder_size, shape, runs in (
        ("", "light", args.shape, args.runs),
        ("_half_the_voxels", "light", (args.shape[0], args.shape[1], args.shape[2] // 2), args.runs),
        (f"_{args.encoder_size}_encoder", args.encoder_size, args.shape, args.encoder_runs),
    ):
        if runs == 0:
            continue
        prepare = functools.partial(load, tuple(shape), args.modalities, encoder_size)
        told = {"voxels": int(np.prod(shape)), "modalities": args.modalities, "network": encoder_size, **how}
        results += compare(prepare, suffix, runs, how, told)
    return results


def compare(
    prepare: Callable[[], Loaded], suffix: str, runs: int, how: dict[str, int], told: dict[str, object]
) -> list[Result]:
    """Hold the answers equal, then measure time and memory."""
    loaded = prepare()
    torch.testing.assert_close(ours(loaded, **how), monai(loaded, **how), atol=1e-5, rtol=0)
    times = in_turn(lambda: ours(loaded, **how), lambda: monai(loaded, **how), runs, warm_up=0)
    results = [compared(f"sliding_window_time{suffix}", *times, peer_name="MONAI", unit="s", **told)]
    arms = [("sliding_window_memory", ours, monai)]
    if not suffix:
        arms.append(("sliding_window_memory_labels", our_labels, monai_labels))
    for name, mine, theirs in arms:
        peaks: tuple[list[float], list[float]] = ([], [])
        for _ in range(min(runs, 3)):
            for values, work in zip(peaks, (mine, theirs), strict=True):
                values.append(peak_mib(prepare, functools.partial(work, **how)))
        results.append(compared(name + suffix, *peaks, peer_name="MONAI", unit="MiB", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shape", type=int, nargs=3, default=(155, 240, 240))
    options.add_argument("--modalities", type=int, default=4)
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--window", type=int, default=64)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--encoder-runs", type=int, default=2, help="0 leaves the encoder out")
    run(measure, options)
