"""Make one modality of a case from another with a trained generator; fill what a case lacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.prepare import PreparedCase, Spacing, prepare_case
from napari_mmssl.errors import CheckpointError
from napari_mmssl.inference.device_windows import predict_on
from napari_mmssl.networks.generators import Generator, generator_name
from napari_mmssl.synthesis.quality import Reference
from napari_mmssl.training.weights_cards import read_generators_card
from napari_mmssl.training.weights_files import read_weights
from napari_mmssl.volumes.resample import resample
from napari_mmssl.volumes.volume import Volume

Shape = tuple[int, int, int]
#: What a voxel of the body gets that would be 0, the value of everything outside it.
_LEAST = np.float32(0.001)


@dataclass(frozen=True)
class Translator:
    """Trained generators by (from, to), and what their card says."""

    generators: Mapping[tuple[str, str], Generator]
    method: str
    spacing_mm: Spacing
    patch: Shape
    references: Mapping[str, Reference]
    gate: Mapping[str, float]
    validated: Mapping[str, float] | None
    device: torch.device

    @torch.no_grad()
    def translate(
        self, case: PreparedCase, source: str, target: str, between: Callable[[], None] = lambda: None
    ) -> np.ndarray:
        """Return ``target`` made from ``source``: z-scores ``(D, H, W)`` on the prepared grid, 0 outside the body.

        Parameters
        ----------
        case
            Prepared on :attr:`spacing_mm`, with ``source``.
        between
            Called between windows; may raise to give up.
        """
        generator = self.generators[source, target]
        volume = np.ascontiguousarray(case.volumes[case.modalities.index(source)])
        made = predict_on(self.device, generator, torch.from_numpy(volume)[None], self.patch, between=between)
        return np.where(case.foreground, made[0].float().cpu().numpy(), np.float32(0))

    def make_volume(
        self, case: Case, source: str, target: str, between: Callable[[], None] = lambda: None
    ) -> tuple[Volume, PreparedCase, np.ndarray]:
        """Return ``target`` of ``case`` on the grid of its ``source`` file, and both as the network saw them.

        Intensities are z-scores in thousandths, never 0 in the body and 0 outside, so that preparing the volume finds
        the same body again.
        """
        only = Case(case.id, case.subject, {source: case.modalities[source]})
        prepared = prepare_case(only, self.spacing_mm, with_label=False)
        made = self.translate(prepared, source, target, between)
        turn = prepared.reorientation
        canonical = turn.apply_to(prepared.source)
        values = resample(made, prepared.geometry, canonical).round(3)
        body = resample(prepared.foreground.astype(np.float32), prepared.geometry, canonical) >= 0.5
        values = np.where(body, np.where(values == 0, _LEAST, values), np.float32(0)).astype(np.float32)
        volume = Volume(np.ascontiguousarray(turn.undo(values)), prepared.source, synthetic=True)
        return volume, prepared, made


def load_translator(weights: Path, device: torch.device) -> Translator:
    """Load generators from a run folder or a weights folder.

    Raises
    ------
    CheckpointError
        If the weights are missing, damaged, or of something else.
    """
    card = read_generators_card(weights)
    try:
        generators = {
            (source, target): _generator(weights, card, source, target) for source, target in card["directions"]
        }
        for generator in generators.values():
            generator.to(device).eval()
        z, y, x = card["spacing_mm"]
        d, h, w = card["patch"]
        references = {name: Reference.from_table(table) for name, table in card["references"].items()}
        return Translator(
            generators, card["method"], (z, y, x), (d, h, w), references, card["gate"], card["validated"], device
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the card of '{weights}' lacks what generators need: {error}") from error


def _generator(weights: Path, card: Mapping[str, Any], source: str, target: str) -> Generator:
    generator = Generator(card["size"], card["dimensions"], card["thick_slices"])
    try:
        generator.load_state_dict(read_weights(weights, generator_name(source, target)))
    except RuntimeError as error:
        raise CheckpointError(f"the weights in '{weights}' do not fit their own card") from error
    return generator


def plan_filling(real: Sequence[str], missing: Sequence[str], translators: Sequence[Translator]) -> dict[str, str]:
    """Return what each of ``missing`` will be made from, in the order asked; what nobody can make is left out."""
    plan = {}
    for name in missing:
        sources = [source for one in translators for source in real if (source, name) in one.generators]
        if sources:
            plan[name] = sources[0]
    return plan


def fill_missing(
    prepared: PreparedCase,
    case: Case,
    wanted: Sequence[str],
    translators: Sequence[Translator],
    between: Callable[[], None] = lambda: None,
) -> tuple[PreparedCase, dict[str, str]]:
    """Return ``prepared`` with each missing modality of ``wanted`` that some generator can make, marked synthetic.

    The policy *synthesised* for missing modalities at prediction. Nothing is made from what was itself made.

    Parameters
    ----------
    prepared
        As a network will see it, whatever its spacing.
    case
        The same case, whose real scans are read again at each generator's own spacing.
    wanted
        The network's modalities.
    translators
        Asked in this order.

    Returns
    -------
    The filled case, and which modality each new one was made from; what nobody can make stays missing.
    """
    channels = dict(zip(prepared.modalities, prepared.volumes, strict=True))
    real = [name for name in prepared.modalities if name not in prepared.synthetic]
    made_from = plan_filling(real, [name for name in wanted if name not in channels], translators)
    for name, source in made_from.items():
        translator = next(one for one in translators if (source, name) in one.generators)
        only = Case(case.id, case.subject, {source: case.modalities[source]})
        own = prepare_case(only, translator.spacing_mm, with_label=False)
        made = resample(translator.translate(own, source, name, between), own.geometry, prepared.geometry)
        channels[name] = np.where(prepared.foreground, made, np.float32(0))
    names = tuple(sorted(channels))
    filled = replace(
        prepared,
        modalities=names,
        volumes=np.stack([channels[name] for name in names]).astype(np.float32),
        synthetic=(*prepared.synthetic, *made_from),
    )
    return filled, made_from
