"""Load trained segmentation networks and run them over a case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase, Spacing, known_modalities, prepare_case
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.inference.calibration import tempered
from napari_mmssl.inference.device_windows import predict_on
from napari_mmssl.inference.drawing import Drawing, draw_classes
from napari_mmssl.inference.missing import Missing
from napari_mmssl.networks.fusion import build_fused
from napari_mmssl.networks.precision import mixed_precision
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.tasks.conventions import LabelConvention, read_table
from napari_mmssl.training.weights_cards import read_card, reading_card_of
from napari_mmssl.training.weights_files import read_weights
from napari_mmssl.volumes.volume import LabelMap

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Predictor:
    """A trained segmentation network and what its card says.

    Parameters
    ----------
    network, modalities, convention, spacing_mm, patch, device
        As in the card.
    missing
        What stands in for modalities that a case lacks.
    temperature
        By which its probabilities are calibrated; see :mod:`napari_mmssl.inference.calibration`.
    """

    network: SegmentationNetwork
    modalities: tuple[str, ...]
    convention: LabelConvention
    spacing_mm: Spacing
    patch: Shape
    device: torch.device
    temperature: float = 1.0
    missing: Missing = field(default_factory=Missing)

    def prepare(self, case: Case) -> PreparedCase:
        """Return what the network sees of ``case``.

        Modalities the network knows and the case lacks are left out; at least one must be there.

        Raises
        ------
        ConfigError
            If the case has none of the network's modalities.
        GeometryError
            If its modalities lie on different grids.
        """
        known = known_modalities(case, self.modalities)
        prepared = prepare_case(known, self.spacing_mm, with_label=False)
        return self.missing.complete(prepared, known, self.modalities, lambda: None)

    def probabilities(
        self, prepared: PreparedCase, *, mirrored: bool = False, between: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """Return the calibrated probability of each class on the prepared grid ``(C, D, H, W)`` float32."""
        return class_probabilities(
            self.network,
            prepared,
            self.modalities,
            self.patch,
            self.device,
            mirrored=mirrored,
            temperature=self.temperature,
            missing=self.missing,
            between=between,
        )

    def predict(self, case: Case, between: Callable[[], None] = lambda: None) -> LabelMap:
        """Return the label map of ``case`` in the space of its files: same shape, same affine; errors of `prepare`."""
        return draw([self], case, between=between).label_map


def draw(
    predictors: Sequence[Predictor],
    case: Case,
    *,
    mirrored: bool = False,
    probabilities: bool = False,
    entropy: bool = False,
    between: Callable[[], None] = lambda: None,
) -> Drawing:
    """Return what several networks together say of ``case``, in the space of its files.

    Their probabilities are averaged there, so that they may differ in spacing, patch and modalities.

    Parameters
    ----------
    predictors
        At least one; all of one label coding.
    case
        The case.
    mirrored
        Let each network see the case and its left-right mirror image, and average.
    probabilities, entropy
        Whether to return these too.
    between
        Called between batches; may raise to give up.

    Raises
    ------
    ConfigError
        If the case has none of a network's modalities.
    GeometryError
        If its modalities lie on different grids.
    """
    answers = []
    prepared: dict[tuple[tuple[str, ...], Spacing], PreparedCase] = {}
    for predictor in predictors:
        sees = (predictor.modalities, predictor.spacing_mm)
        if sees not in prepared:
            prepared[sees] = predictor.prepare(case)
        seen = prepared[sees]
        answers.append((predictor.probabilities(seen, mirrored=mirrored, between=between), seen))
    return draw_classes(answers, predictors[0].convention, probabilities=probabilities, entropy=entropy)


def load_predictors(weights: Sequence[Path], device: torch.device) -> list[Predictor]:
    """Load the networks of an ensemble; errors as in :func:`load_predictor`.

    Raises
    ------
    ConfigError
        If their label codings differ.
    """
    predictors = [load_predictor(path, device) for path in weights]
    for path, predictor in zip(weights, predictors, strict=True):
        if predictor.convention.as_table() != predictors[0].convention.as_table():
            raise ConfigError(
                f"'{path}' draws the label coding {predictor.convention.name}, and '{weights[0]}' draws "
                f"{predictors[0].convention.name}; only networks of one coding can answer together"
            )
    return predictors


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
    with reading_card_of(weights):
        network, convention = _build(card)
        z, y, x = card["spacing_mm"]
        d, h, w = card["patch"]
        temperature = float(card.get("calibration", {}).get("temperature", 1))
    try:
        network.load_state_dict(read_weights(weights, "network"))
    except RuntimeError as error:
        raise CheckpointError(f"the weights in '{weights}' do not fit their own card") from error
    network.to(device).eval()
    return Predictor(network, tuple(card["modalities"]), convention, (z, y, x), (d, h, w), device, temperature)


def _build(card: dict[str, Any]) -> tuple[SegmentationNetwork, LabelConvention]:
    convention = read_table(card["convention"])
    how = card["encoder"]
    fusion = card.get("fusion", "replicate")  # cards before there was a choice do not say
    encoder = build_fused(how["name"], how["size"], card["in_channels"], how["thick_slices"], fusion)
    return SegmentationNetwork(encoder, len(convention.classes) + 1), convention


@torch.no_grad()
def class_probabilities(
    network: SegmentationNetwork,
    case: PreparedCase,
    modalities: tuple[str, ...],
    patch: Shape,
    device: torch.device,
    *,
    mirrored: bool = False,
    temperature: float = 1.0,
    missing: Missing | None = None,
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Return the probability of each class ``(C, D, H, W)`` float32 on the prepared grid of ``case``.

    Windows without body are not run; where no window lies, the background (class 0) is certain. With ``mirrored``
    each window is seen left-right mirrored too: the one mirroring that training knows as well.
    """
    volumes = np.zeros((len(modalities), *case.foreground.shape), dtype=np.float32)
    present = torch.tensor([name in case.modalities for name in modalities])
    for channel, name in enumerate(modalities):
        if name in case.modalities:
            volumes[channel] = case.volumes[case.modalities.index(name)]
    tensor = torch.from_numpy(volumes)
    if missing is not None:
        tensor, present = missing.fill_case(modalities, tensor, present, case)

    def probabilities(windows: torch.Tensor) -> torch.Tensor:
        with mixed_precision(device):
            logits: torch.Tensor = network(windows, present.expand(len(windows), -1))
        return logits.float().softmax(dim=1)

    def both_ways(windows: torch.Tensor) -> torch.Tensor:
        return probabilities(windows).add_(probabilities(windows.flip(-1)).flip(-1)).div_(2)

    def certain_where_nothing_lies(slab: torch.Tensor) -> torch.Tensor:
        slab[0] += slab.sum(dim=0) == 0
        return tempered(slab, temperature)

    found: np.ndarray = predict_on(
        device,
        both_ways if mirrored else probabilities,
        tensor,
        patch,
        needed=torch.from_numpy(np.array(case.foreground)),
        after=certain_where_nothing_lies,
        between=between,
    ).numpy()
    return found
