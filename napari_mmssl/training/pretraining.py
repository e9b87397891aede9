"""Pretraining: one encoder, the objectives of a recipe, each distinct view encoded once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.config import resolve
from napari_mmssl.errors import ConfigError
from napari_mmssl.networks.encoders import Encoder, build_encoder
from napari_mmssl.objectives import Features, Needs, Objective, Views, objectives
from napari_mmssl.pictures import Picture
from napari_mmssl.randomness import counted_seed
from napari_mmssl.sampling.batch import PatchBatch
from napari_mmssl.sampling.sampler import Augmentation, PatchSampler
from napari_mmssl.training.settings import PretrainSettings
from napari_mmssl.training.trainee import StepResult, Trainee
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_weights

#: Batches looked at in a validation; the same ones every time.
_VALIDATION_BATCHES = 6


@dataclass(frozen=True)
class _Part:
    """One objective of the recipe."""

    name: str
    weight: float
    objective: Objective[Any]


class Pretraining(Trainee):
    """An encoder learning from the objectives of a recipe.

    Parameters
    ----------
    settings
        Resolved; ``data.modalities`` and ``data.spacing_mm`` are set.
    train, validation
        Prepared cases to learn from and to watch on.
    device
        Where the modules go.

    Raises
    ------
    ConfigError
        If the recipe names no objective, or its objectives need different placements.
    """

    best_metric = "tile_accuracy"
    batches: PatchSampler

    def __init__(
        self,
        settings: PretrainSettings,
        train: Sequence[PreparedCase],
        validation: Sequence[PreparedCase],
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.device = device
        self.vocabulary = tuple(settings.data.modalities or ())
        torch.manual_seed(counted_seed(settings.seed, purpose="weights"))
        how = settings.encoder
        self.encoder: Encoder = build_encoder(how.name, how.size, 1, how.thick_slices).to(device)
        resolved = resolve_objectives(settings.objectives)
        self.parts = [
            _Part(name, weight, objectives.get(name)(chosen, self.encoder, self.vocabulary, settings.data.patch))
            for name, (weight, chosen) in resolved.items()
        ]
        for part in self.parts:
            part.objective.to(device)
        self.modules: Mapping[str, nn.Module] = {"encoder": self.encoder} | {
            f"objective.{part.name}": part.objective for part in self.parts
        }
        needs = join_needs({name: objectives.get(name).needs(chosen) for name, (_, chosen) in resolved.items()})
        self.batches = PatchSampler(
            [case for case in train if len(case.modalities) >= needs.modalities],
            self.vocabulary,
            settings.data.patch,
            settings.optimisation.batch_size,
            settings.optimisation.steps,
            settings.seed,
            placement=needs.placement,
            augmentation=Augmentation(),
        )
        if not self.batches.cases:
            raise ConfigError(f"no training subject has the {needs.modalities} modalities that the recipe needs")
        looked_at = replace(self.batches, cases=validation, steps=_VALIDATION_BATCHES, purpose="validation")
        self._validation = looked_at if validation else None

    def step(self, batch: PatchBatch) -> StepResult:
        """Return the weighted terms of all objectives."""
        views, features = self._encode(batch)
        terms: dict[str, Tensor] = {}
        metrics: dict[str, float] = {}
        for part in self.parts:
            losses = part.objective.losses(batch, views[part.name], features)
            terms |= {f"{part.name}.{name}": part.weight * term for name, term in losses.terms.items()}
            metrics |= losses.metrics
        return StepResult(terms, metrics)

    def _encode(self, batch: PatchBatch) -> tuple[dict[str, Views], Features]:
        views = {part.name: part.objective.views(batch) for part in self.parts}
        inputs = {name: tensor for wanted in views.values() for name, tensor in wanted.inputs.items()}
        return views, {name: self.encoder(tensor) for name, tensor in inputs.items()}

    def validate(self) -> dict[str, float]:
        """Return the mean of every loss and metric on people who are not learned from."""
        if self._validation is None:
            return {}
        sums: dict[str, float] = {}
        for number in range(len(self._validation)):
            result = self.step(self._validation[number].to(self.device))
            numbers = {f"loss.{name}": float(term.detach()) for name, term in result.terms.items()} | dict(
                result.metrics
            )
            for name, value in numbers.items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / len(self._validation) for name, value in sums.items()}

    def pictures(self, step: int) -> list[Picture]:
        """Return one picture an objective, of the first validation case (or training case if there is none)."""
        sampler = self._validation or self.batches
        return self.picture_batch(sampler[0].to(self.device), step)

    def picture_batch(self, batch: PatchBatch, step: int) -> list[Picture]:
        """Return one picture an objective of the first sample of ``batch``."""
        views, features = self._encode(batch)
        pictures = []
        for part in self.parts:
            items, details = part.objective.picture(batch, views[part.name], features)
            pictures.append(Picture(part.name, step, batch.case[0], tuple(items), details))
        return pictures

    def card(self) -> dict[str, Any]:
        """Return what whoever loads the encoder must know."""
        settings = self.settings
        return {
            "kind": "pretrain",
            "encoder": settings.encoder.model_dump(),
            "in_channels": 1,
            "recipe": settings.recipe,
            "modalities": list(self.vocabulary),
            "spacing_mm": settings.data.spacing_mm,
            "patch": settings.data.patch,
            "orientation": "axes run to S, A, R",
            "normalisation": "z-score over the body, 0 outside",
            "research_use_only": True,
        }

    def export(self, folder: Path) -> None:
        """Write the encoder, the objectives' own weights, and the card."""
        for name, module in self.modules.items():
            write_weights(folder, name, module)
        write_card(folder, self.card())


def resolve_objectives(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, Any]]:
    """Return name -> (weight, settings) of every objective in a recipe.

    Raises
    ------
    ConfigError
        If there is none, one is unknown, or a setting does not fit.
    """
    if not tables:
        raise ConfigError("the recipe names no objective; add a table such as [objectives.puzzle]")
    resolved = {}
    for name, table in tables.items():
        chosen = objectives.get(name)
        weight = table.get("weight", 1.0)
        if not isinstance(weight, int | float) or weight < 0:
            raise ConfigError(f"setting 'objectives.{name}.weight' must be a number from 0 up, got {weight!r}")
        rest = {key: value for key, value in table.items() if key != "weight"}
        resolved[name] = (float(weight), resolve(chosen.settings_class, rest, prefix=f"objectives.{name}"))
    return resolved


def join_needs(needs: Mapping[str, Needs]) -> Needs:
    """Return what the sampler must provide so that every objective is served.

    Raises
    ------
    ConfigError
        If two objectives want different placements.
    """
    placements = {need.placement: name for name, need in needs.items()}
    if len(placements) > 1:
        (one, first), (other, second) = placements.items()
        raise ConfigError(
            f"'{first}' wants {one} patches and '{second}' wants {other} ones; give both the same placement"
        )
    return Needs(
        modalities=max(need.modalities for need in needs.values()),
        subjects=max(need.subjects for need in needs.values()),
        placement=next(iter(placements)),
    )
