"""Time of one pretraining step of each recipe, beside plain supervised training of the same encoder.

    python benchmarks/training_step.py [--recipes taleb2020 mae ...] [--device cuda]

Same batch, patch, encoder and optimiser; data are in memory, so that the step alone is timed. One thread.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compared, in_turn, run

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.losses import segmentation_losses
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.workflows.configure import pretrain_settings

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


def stepper(modules: list[torch.nn.Module], loss: Callable[[], dict[str, torch.Tensor]]) -> Callable[[], object]:
    """Return one step of an optimiser on ``loss``, as the loop does it."""
    optimiser = torch.optim.AdamW([weight for module in modules for weight in module.parameters()])

    def step() -> float:
        optimiser.zero_grad(set_to_none=True)
        total = torch.stack(list(loss().values())).sum()
        total.backward()
        optimiser.step()
        return float(total.detach())  # waits for a GPU

    return step


def supervised(batch: PatchBatch, encoder_name: str, size: str, device: torch.device) -> Callable[[], object]:
    network = SegmentationNetwork(build_encoder(encoder_name, size, len(_MODALITIES)), 4).to(device)
    label = torch.randint(0, 4, batch.volumes.shape[:1] + batch.volumes.shape[2:], device=device)
    present = batch.modality >= 0
    return stepper([network], lambda: segmentation_losses([network(batch.volumes, present)], label))


def measure(args: argparse.Namespace) -> list[Result]:
    device = torch.device(args.device)
    torch.set_num_threads(1)
    cases = made_cases(4, args.patch + 16)
    results = []
    for recipe in args.recipes:
        changes = [
            f"data.patch=[{args.patch},{args.patch},{args.patch}]",
            f"optimisation.batch_size={args.batch}",
            f"encoder.name={args.encoder}",
            f"encoder.size={args.encoder_size}",
        ]
        settings = pretrain_settings(flags={"recipe": recipe, "cohort": "."}, assignments=changes)
        data = settings.data.model_copy(update={"modalities": _MODALITIES, "spacing_mm": (1.0, 1.0, 1.0)})
        encoder = settings.encoder.model_copy(update={"thick_slices": 0})
        settings = settings.model_copy(update={"data": data, "encoder": encoder})
        trainee = Pretraining(settings, cases, [], device)
        batch = trainee.batches[settings.optimisation.steps // 2].to(device)
        ours = stepper(list(trainee.modules.values()), lambda t=trainee, b=batch: t.step(b).terms)
        peer = supervised(batch, args.encoder, args.encoder_size, device)
        times = in_turn(ours, peer, args.runs)
        told = {"recipe": recipe, "encoder": args.encoder, "patch": args.patch, "batch": args.batch}
        suffix = "" if recipe == args.recipes[0] else f"_{recipe}"
        peer_name = "plain supervised training of the same encoder"
        results.append(compared(f"training_step{suffix}", *times, peer_name=peer_name, unit="s", **told))
    return results


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--recipes", nargs="+", default=("taleb2020", "mae", "taco2026", "brainmvp2025", "combined"))
    options.add_argument("--encoder", default="residual_unet")
    options.add_argument("--encoder-size", default="tiny")
    options.add_argument("--patch", type=int, default=48)
    options.add_argument("--batch", type=int, default=2)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--device", default="cpu")
    run(measure, options)
