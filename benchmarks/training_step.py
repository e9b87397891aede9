"""Time and memory of one pretraining step of each recipe and encoder, beside plain supervised training of the encoder.

    python benchmarks/training_step.py [--recipes taleb2020 mae ...] [--encoders swin ...] [--device cuda]

Same batch, patch, encoder and optimiser; data are in memory, so that the step alone is timed. One thread. Memory is the
peak of the first two steps above what is held before them: gradients and moments of the optimiser are in it.
"""

import argparse
import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from harness import Result, compared, in_turn, peak_mib, run

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.networks.encoders import build_encoder, encoders
from napari_mmssl.networks.losses import segmentation_losses
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.workflows.configure import pretrain_settings, recipe_names

Step = Callable[[], object]
_MODALITIES = ("flair", "t1", "t1ce", "t2")


def made_cases(count: int, edge: int) -> list[PreparedCase]:
    """Return cases of smooth noise; what is learned does not matter here."""
    cases = []
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = torch.from_numpy(rng.normal(size=(1, len(_MODALITIES), 8, 8, 8))).float()
        volumes = torch.nn.functional.interpolate(coarse, size=(edge,) * 3, mode="trilinear")[0].numpy()
        geometry = Geometry((edge,) * 3, np.eye(4)[[2, 1, 0, 3]])
        inside = np.ones((edge,) * 3, dtype=bool)
        name = f"case-{number}"
        cases.append(PreparedCase(name, name, _MODALITIES, volumes, inside, None, geometry, geometry))
    return cases


def stepper(modules: list[torch.nn.Module], loss: Callable[[], dict[str, torch.Tensor]]) -> Step:
    """Return one step of an optimiser on ``loss``, as the loop does it."""
    optimiser = torch.optim.AdamW([weight for module in modules for weight in module.parameters()])

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        total = torch.stack(list(loss().values())).sum()
        total.backward()
        optimiser.step()
        return float(total.detach())  # waits for a GPU

    return step


def pretraining(recipe: str, encoder: str, args: argparse.Namespace) -> tuple[Pretraining, torch.device]:
    flags = {
        "recipe": recipe,
        "cohort": ".",
        "data": {"patch": [args.patch] * 3, "modalities": list(_MODALITIES), "spacing_mm": [1.0] * 3},
        "encoder": {"name": encoder, "size": args.encoder_size, "thick_slices": 0},
        "optimisation": {"batch_size": args.batch},
    }
    device = torch.device(args.device)
    return Pretraining(pretrain_settings(flags=flags), made_cases(4, args.patch + 16), [], device), device


def ours(recipe: str, encoder: str, args: argparse.Namespace) -> Step:
    """Return a step of the pretraining from its middle, when all objectives are on."""
    trainee, device = pretraining(recipe, encoder, args)
    batch = trainee.batches[trainee.settings.optimisation.steps // 2].to(device)
    return stepper(list(trainee.modules.values()), lambda: trainee.step(batch).terms)


def supervised(recipe: str, encoder: str, args: argparse.Namespace) -> Step:
    """Return a step of a segmentation of all modalities, on the batch that ``recipe`` is given."""
    trainee, device = pretraining(recipe, encoder, args)
    batch = trainee.batches[0].to(device)
    network = SegmentationNetwork(build_encoder(encoder, args.encoder_size, len(_MODALITIES)), 4).to(device)
    label = torch.randint(0, 4, batch.volumes.shape[:1] + batch.volumes.shape[2:], device=device)
    present = batch.modality >= 0
    return stepper([network], lambda: segmentation_losses([network(batch.volumes, present)], label))


def peaks(arms: Sequence[Callable[[], Step]], device: torch.device) -> list[float]:
    """Return the peak of each arm's first two steps above what it holds before, in MiB."""

    def twice(step: Step) -> None:
        step(), step()

    if device.type != "cuda":
        return [peak_mib(arm, twice) for arm in arms]
    found = []
    for arm in arms:
        step, held = arm(), torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        twice(step)
        found.append((torch.cuda.max_memory_allocated(device) - held) / 2**20)
    return found


def measure(args: argparse.Namespace) -> list[Result]:
    torch.set_num_threads(1)
    device, results = torch.device(args.device), []
    pairs = [(recipe, encoder) for encoder in args.encoders for recipe in args.recipes]
    arms = {pair: [functools.partial(arm, *pair, args) for arm in (ours, supervised)] for pair in pairs}
    # First of all, since what has computed gradients cannot be forked any more.
    memory = {pair: peaks(arms[pair], device) for pair in pairs}
    for pair in pairs:
        recipe, encoder = pair
        told = {"recipe": recipe, "encoder": encoder, "size": args.encoder_size, "patch": args.patch}
        told |= {"batch": args.batch, "peer_name": "plain supervised training of the same encoder"}
        times = in_turn(arms[pair][0](), arms[pair][1](), args.runs)
        results.append(compared(f"training_step_{encoder}_{recipe}", *times, unit="s", **told))
        mine, theirs = memory[pair]
        name = f"training_memory_{encoder}_{recipe}"
        results.append(compared(name, [mine], [theirs], unit="MiB", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipes", nargs="+", default=recipe_names())
    options.add_argument("--encoders", nargs="+", default=[entry.name for entry in encoders.entries()])
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--patch", type=int, default=32)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--device", default="cpu")
    run(measure, options)
