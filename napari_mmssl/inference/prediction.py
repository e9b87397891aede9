"""Predict one case and bring the answer back to the grid of its files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase, Spacing, known_modalities, prepare_case
from napari_mmssl.errors import CheckpointError
from napari_mmssl.inference.sliding_window import predict_windows
from napari_mmssl.networks.fusion import build_fused
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.tasks.conventions import LabelConvention, read_table
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.training.weights_files import read_weights
from napari_mmssl.volumes.resample import resample
from napari_mmssl.volumes.volume import LabelMap

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Predictor:
    """A trained segmentation network and what its card says."""

    network: SegmentationNetwork
    modalities: tuple[str, ...]
    convention: LabelConvention
    spacing_mm: Spacing
    patch: Shape
    device: torch.device

    def predict(self, case: Case, between: Callable[[], None] = lambda: None) -> LabelMap:
        """Return the label map of ``case`` in the space of its files: same shape, same affine.

        Modalities the network knows and the case lacks are left out; at least one must be there.

        Raises
        ------
        ConfigError
            If the case has none of the network's modalities.
        GeometryError
            If its modalities lie on different grids.
        """
        wanted = known_modalities(case, self.modalities)
        prepared = prepare_case(wanted, self.spacing_mm, with_label=False)
        probabilities = class_probabilities(
            self.network, prepared, self.modalities, self.patch, self.device, between=between
        )
        return to_source(probabilities, prepared, self.convention)


def load_predictor(weights: Path, device: torch.device) -> Predictor:
    """Load a segmentation network from a run folder or a weights folder.

    Raises
    ------
    CheckpointError
        If the weights are missing, damaged, or not of a segmentation.
    """
    card = read_card(weights)
    if card.get("kind") == "finetune" and card.get("task") != "segmentation":
        raise CheckpointError(f"'{weights}' holds a {card.get('task')}, which draws no label maps")
    if card.get("task") != "segmentation":
        raise CheckpointError(
            f"'{weights}' holds a pretrained encoder, which draws no segmentation yet; fine-tune it first: "
            f"mmssl finetune FOLDER --weights {weights} --out RUN"
        )
    network, convention = _build(card, weights)
    try:
        network.load_state_dict(read_weights(weights, "network"))
    except RuntimeError as error:
        raise CheckpointError(f"the weights in '{weights}' do not fit their own card") from error
    network.to(device).eval()
    z, y, x = card["spacing_mm"]
    d, h, w = card["patch"]
    return Predictor(network, tuple(card["modalities"]), convention, (z, y, x), (d, h, w), device)


def _build(card: dict[str, Any], weights: Path) -> tuple[SegmentationNetwork, LabelConvention]:
    try:
        convention = read_table(card["convention"])
        how = card["encoder"]
        fusion = card.get("fusion", "replicate")  # cards before there was a choice do not say
        encoder = build_fused(how["name"], how["size"], card["in_channels"], how["thick_slices"], fusion)
    except KeyError as error:
        raise CheckpointError(f"the card of '{weights}' lacks {error}") from error
    return SegmentationNetwork(encoder, len(convention.classes) + 1), convention


@torch.no_grad()
def class_probabilities(
    network: SegmentationNetwork,
    case: PreparedCase,
    modalities: tuple[str, ...],
    patch: Shape,
    device: torch.device,
    *,
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Return the probability of each class ``(C, D, H, W)`` float32 on the prepared grid of ``case``."""
    volumes = np.zeros((len(modalities), *case.foreground.shape), dtype=np.float32)
    present = torch.tensor([name in case.modalities for name in modalities])
    for channel, name in enumerate(modalities):
        if name in case.modalities:
            volumes[channel] = case.volumes[case.modalities.index(name)]
    tensor = torch.from_numpy(volumes).to(device)

    def probabilities(windows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            logits: torch.Tensor = network(windows, present.expand(len(windows), -1))
        return logits.float().softmax(dim=1)

    blended: np.ndarray = predict_windows(probabilities, tensor, patch, between=between).cpu().numpy()
    return blended


def to_source(probabilities: np.ndarray, case: PreparedCase, convention: LabelConvention) -> LabelMap:
    """Return the most probable class of each voxel of the source grid, as the convention's label values.

    Probabilities, not labels, are resampled, so that borders fall between voxels where they should.
    Beyond the prepared box there is background.
    """
    turn = case.reorientation
    canonical = turn.apply_to(case.source)
    best = np.full(canonical.shape, -1.0, dtype=np.float32)
    winner = np.zeros(canonical.shape, dtype=np.uint8)
    for index, probability in enumerate(probabilities):
        moved = resample(probability, case.geometry, canonical, outside=1.0 if index == 0 else 0.0)
        better = moved > best
        winner[better] = index
        best[better] = moved[better]
    labels = convention.from_classes(np.ascontiguousarray(turn.undo(winner)))
    return LabelMap(labels, case.source, convention.classes)
