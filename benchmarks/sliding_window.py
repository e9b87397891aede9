"""Time and memory of predicting a volume window by window, beside MONAI's sliding_window_inference with its defaults.

    python benchmarks/sliding_window.py

Same network, same windows (overlap 0.25, plain mean), same batch, equal output. Memory is the peak above the resident
size after network and volume are loaded. Three arms: the answer kept in memory; each finished slab written to a file,
which is what is done when the answer would not fit; and, of both sides, the label map alone that a prediction ends in.
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

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


def load(shape: tuple[int, int, int], modalities: int, size: str) -> Loaded:
    """Return a network and a volume; the same ones in every process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = SegmentationNetwork(build_encoder("residual_unet", size, modalities), _CLASSES).eval()
    volume = torch.randn(modalities, *shape)

    @torch.no_grad()
    def probabilities(windows: torch.Tensor) -> torch.Tensor:
        present = torch.ones(windows.shape[:2], dtype=torch.bool)
        answer: torch.Tensor = network(windows, present).softmax(dim=1)
        return answer

    return probabilities, volume


def ours(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    return predict_windows(network, volume, (window,) * 3, batch_size=batch, **_HOW)


def ours_to_file(loaded: Loaded, window: int, batch: int, file: Path) -> None:
    network, volume = loaded
    shape = (_CLASSES, *volume.shape[1:])
    np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape).flush()
    for box, slab in finished_slabs(network, volume, (window,) * 3, batch_size=batch, **_HOW):
        stored = np.load(file, mmap_mode="r+")  # opened for each slab, so that written pages do not stay mapped
        stored[(slice(None), *box)] = slab.numpy()


def our_labels(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    labels = torch.empty(volume.shape[1:], dtype=torch.uint8)
    for box, slab in finished_slabs(network, volume, (window,) * 3, batch_size=batch, **_HOW):
        labels[box] = slab.argmax(dim=0)
    return labels


@torch.no_grad()
def monai(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    network, volume = loaded
    answer: torch.Tensor = sliding_window_inference(volume[None], (window,) * 3, batch, network)[0]
    return answer


def monai_labels(loaded: Loaded, window: int, batch: int) -> torch.Tensor:
    return monai(loaded, window, batch).argmax(dim=0).to(torch.uint8)


def measure(args: argparse.Namespace) -> list[Result]:
    prepare = functools.partial(load, tuple(args.shape), args.modalities, args.encoder_size)
    how = {"window": args.window, "batch": args.batch}
    loaded = prepare()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.npy"
        wanted = monai(loaded, **how)
        torch.testing.assert_close(ours(loaded, **how), wanted, atol=1e-5, rtol=0)
        ours_to_file(loaded, file=file, **how)
        torch.testing.assert_close(torch.from_numpy(np.load(file)), wanted, atol=1e-5, rtol=0)
        del wanted
        times = in_turn(lambda: ours(loaded, **how), lambda: monai(loaded, **how), args.runs, warm_up=0)
        told = {"voxels": int(np.prod(args.shape)), "modalities": args.modalities, "classes": _CLASSES, **how}
        results = [compared("sliding_window_time", *times, peer_name="MONAI", unit="s", **told)]
        for name, mine, theirs in (
            ("sliding_window_memory", functools.partial(ours_to_file, file=file), monai),
            ("sliding_window_memory_in_memory", ours, monai),
            ("sliding_window_memory_labels", our_labels, monai_labels),
        ):
            peaks: tuple[list[float], list[float]] = ([], [])
            for _ in range(args.memory_runs):
                for values, work in zip(peaks, (mine, theirs), strict=True):
                    values.append(peak_mib(prepare, functools.partial(work, **how)))
            results.append(compared(name, *peaks, peer_name="MONAI", unit="MiB", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shape", type=int, nargs=3, default=(155, 240, 240))
    options.add_argument("--modalities", type=int, default=4)
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--window", type=int, default=64)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--memory-runs", type=int, default=3)
    run(measure, options)
