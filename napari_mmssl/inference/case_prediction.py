"""Predict values of whole cases: survival, a class."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase, Spacing, known_modalities, prepare_case
from napari_mmssl.errors import CheckpointError
from napari_mmssl.inference.missing import Missing
from napari_mmssl.networks.fusion import build_fused
from napari_mmssl.networks.precision import mixed_precision
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.tasks import Clinical, Task, task_from_card
from napari_mmssl.tasks.case_task import CaseTask
from napari_mmssl.tasks.label_convention import LabelConvention
from napari_mmssl.training.weights_cards import read_card, reading_card_of
from napari_mmssl.training.weights_files import read_weights

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class CasePredictor:
    """A trained network that gives values, and what its card says."""

    network: nn.Module
    task: CaseTask[Any]
    modalities: tuple[str, ...]
    spacing_mm: Spacing
    patch: Shape
    device: torch.device
    missing: Missing = field(default_factory=Missing)

    def predict(self, case: Case) -> dict[str, Any]:
        """Return what the network says of ``case`` as plain values; errors as in :func:`prepare_case`."""
        wanted = known_modalities(case, self.modalities)
        prepared = prepare_case(wanted, self.spacing_mm, with_label=False)
        prepared = self.missing.complete(prepared, wanted, self.modalities, lambda: None)
        patch = self.task.patch_for(prepared, self.patch)
        batch = whole_case(prepared, self.modalities, patch).to(self.device)
        places = (batch.patch_to_world, batch.body_box_mm, batch.foreground)
        volumes, present = self.missing.fill(self.modalities, batch.volumes, batch.modality >= 0, places)
        batch = replace(batch, volumes=volumes, modality=torch.where(present, torch.arange(present.shape[1]), -1))
        return self.task.values(batch_numbers(self.network, self.task, batch, case.clinical))


def load_case_predictor(weights: Path, device: torch.device) -> CasePredictor:
    """Load a network that gives values from a run folder or a weights folder.

    Raises
    ------
    CheckpointError
        If the weights are missing, damaged, or of something else.
    """
    card = read_card(weights)
    with reading_card_of(weights):
        task = task_from_card(card)
        z, y, x = card["spacing_mm"]
        d, h, w = card["patch"]
    if not isinstance(task, CaseTask):
        raise CheckpointError(f"'{weights}' holds a {card['task']}, which gives no values of a whole case")
    network = load_network(card, task, weights).to(device).eval()
    return CasePredictor(network, task, tuple(card["modalities"]), (z, y, x), (d, h, w), device)


def load_network(card: Mapping[str, Any], task: Task[Any], weights: Path) -> nn.Module:
    """Return the network of a fine-tuning with its weights.

    Raises
    ------
    CheckpointError
        If they do not fit their own card, or it is damaged.
    """
    with reading_card_of(weights):
        how = card["encoder"]
        fusion = card.get("fusion", "replicate")  # cards before there was a choice do not say
        encoder = build_fused(how["name"], how["size"], card["in_channels"], how["thick_slices"], fusion)
        network = task.network(encoder, learning=False)
    try:
        network.load_state_dict(read_weights(weights, "network"))
    except RuntimeError as error:
        raise CheckpointError(f"the weights in '{weights}' do not fit their own card") from error
    return network


def whole_case(
    case: PreparedCase, modalities: tuple[str, ...], patch: Shape, convention: LabelConvention | None = None
) -> PatchBatch:
    """Return ``case`` as a batch of one: its body in the middle of one patch, with its label if a coding is given."""
    return PatchSampler(
        [case], modalities, patch, batch_size=1, steps=1, seed=0, placement="whole", convention=convention
    )[0]


def case_numbers(
    network: nn.Module,
    task: Task[Any],
    case: PreparedCase,
    clinical: Clinical,
    modalities: tuple[str, ...],
    patch: Shape,
    device: torch.device,
) -> np.ndarray:
    """Return the head's numbers ``(n,)`` float32 for one case, in a patch that holds it if others of its task do."""
    if isinstance(task, CaseTask):
        patch = task.patch_for(case, patch)
    return batch_numbers(network, task, whole_case(case, modalities, patch).to(device), clinical)


@torch.no_grad()
def batch_numbers(network: nn.Module, task: Task[Any], batch: PatchBatch, clinical: Clinical) -> np.ndarray:
    """Return the head's numbers ``(n,)`` float32 for a batch of one case."""
    if not isinstance(task, CaseTask):
        raise TypeError(f"{type(task).__name__} gives no values of a whole case")
    with mixed_precision(batch.volumes.device):
        pyramid = network.encode(batch.volumes, batch.modality >= 0)  # type: ignore[operator]
        numbers = network.numbers(pyramid, task.covariates([clinical]), batch.foreground)  # type: ignore[operator]
    found: np.ndarray = numbers[0].float().cpu().numpy()
    return found
