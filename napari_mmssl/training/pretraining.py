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
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.training.settings import PretrainSettings, ScheduleSettings
from napari_mmssl.training.trainee import StepResult, Trainee
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.training.weights_files import write_weights

#: Batches looked at in a validation; the same ones every time.
_VALIDATION_BATCHES = 6


@dataclass(frozen=True)
class _Part:
    """One objective of the recipe."""

    name: str
    schedule: ScheduleSettings
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
        If the recipe names no objective, its objectives need different placements, no subject has the
        modalities they need, or the batch is too small to compare subjects.

    Notes
    -----
    The best weights are those with the highest tile accuracy on unseen subjects if there is a puzzle, and
    otherwise those with the lowest sum of all losses. Validation and pictures take every objective as at the
    end of the budget, whatever has started, so that one ruler holds for the whole run.
    """

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
        resolved = resolve_objectives(settings.objectives)
        needs = _needs(resolved)
        self._channels = len(stem_channels(settings)) or 1
        self.encoder: Encoder = build_encoder(how.name, how.size, self._channels, how.thick_slices or 0).to(device)
        self.parts = [
            _Part(name, schedule, objectives.get(name)(chosen, self.encoder, self.vocabulary, settings.data.patch))
            for name, (schedule, chosen) in resolved.items()
        ]
        for part in self.parts:
            part.objective.join({other.name: other.objective for other in self.parts if other is not part})
            part.objective.to(device)
        self.best_metric = "tile_accuracy" if "puzzle" in resolved else "loss.total"
        self.higher_is_better = self.best_metric == "tile_accuracy"
        self.modules: Mapping[str, nn.Module] = {"encoder": self.encoder} | {
            f"objective.{part.name}": part.objective for part in self.parts
        }
        self.batches = PatchSampler(
            [case for case in train if len(case.modalities) >= needs.modalities],
            self.vocabulary,
            settings.data.patch,
            settings.optimisation.batch_size,
            settings.optimisation.steps,
            settings.seed,
            placement=needs.placement,
        )
        _check_batches(self.batches, needs)
        self.smallest_part = needs.subjects
        self._alone = _without_partners(self.batches, resolved)
        _check_mixing(self.batches, {name: chosen for name, (_, chosen) in resolved.items()})
        looked_at = replace(self.batches, cases=validation, steps=_VALIDATION_BATCHES, purpose="validation")
        self._validation = looked_at if validation else None

    def step(self, batch: PatchBatch) -> StepResult:
        """Return the weighted terms of all objectives that have started."""
        parts = [part for part in self.parts if part.schedule.is_on(batch.progress)]
        views, features = self._encode(parts, batch)
        terms: dict[str, Tensor] = {}
        metrics: dict[str, float] = {}
        for part in parts:
            losses = part.objective.losses(batch, views[part.name], features)
            weight = part.schedule.weight_at(batch.progress)
            terms |= {f"{part.name}.{name}": weight * term for name, term in losses.terms.items()}
            metrics |= losses.metrics
        return StepResult(terms, metrics)

    def _encode(self, parts: Sequence[_Part], batch: PatchBatch) -> tuple[dict[str, Views], Features]:
        views = {part.name: part.objective.views(batch) for part in parts}
        inputs = {name: tensor for wanted in views.values() for name, tensor in wanted.inputs.items()}
        return views, {name: self.encoder(tensor) for name, tensor in inputs.items()}

    def validate(self) -> dict[str, float]:
        """Return the mean of every loss and metric on people who are not learned from."""
        if self._validation is None:
            return {}
        sums: dict[str, float] = {}
        for number in range(len(self._validation)):
            result = self.step(_at_the_end(self._validation[number].to(self.device)))
            terms = {f"loss.{name}": float(term.detach()) for name, term in result.terms.items()}
            for name, value in (terms | {"loss.total": sum(terms.values())} | dict(result.metrics)).items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / len(self._validation) for name, value in sums.items()}

    def warnings(self, first: Mapping[str, float], now: Mapping[str, float]) -> dict[str, str]:
        """Return what the objectives worry about."""
        told = {part.name: part.objective.warning(first, now) for part in self.parts} | {"partners": self._alone}
        return {name: text for name, text in told.items() if text is not None}

    def pictures(self, step: int) -> list[Picture]:
        """Return one picture an objective, of the first validation case (or training case if there is none)."""
        sampler = self._validation or self.batches
        return self.picture_batch(sampler[0].to(self.device), step)

    def picture_batch(self, batch: PatchBatch, step: int) -> list[Picture]:
        """Return one picture an objective of the first sample of ``batch``."""
        batch = _at_the_end(batch)
        views, features = self._encode(self.parts, batch)
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
            "in_channels": self._channels,
            "recipe": settings.recipe,
            "objectives": settings.objectives,
            "modalities": list(self.vocabulary),
            "spacing_mm": settings.data.spacing_mm,
            "patch": settings.data.patch,
            "orientation": "axes run to S, A, R",
            "normalisation": "z-score over the body, 0 outside",
            "research_use_only": True,
        }

    def export(self, folder: Path) -> None:
        """Write the encoder, the objectives' own weights, a decoder to go on with if there is one, and the card."""
        for name, module in self.modules.items():
            write_weights(folder, name, module)
        for part in self.parts:
            if (decoder := part.objective.carried_decoder()) is not None:
                write_weights(folder, "decoder", decoder)
                break
        write_card(folder, self.card())


def resolve_objectives(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[ScheduleSettings, Any]]:
    """Return name -> (schedule, settings) of every objective in a recipe.

    Raises
    ------
    ConfigError
        If there is none, none takes part from the first step on, one is unknown, or a setting does not fit.
    """
    if not tables:
        raise ConfigError("the recipe names no objective; add a table such as [objectives.puzzle]")
    resolved = {}
    for name, table in tables.items():
        chosen = objectives.get(name)
        when = {key: value for key, value in table.items() if key in ScheduleSettings.model_fields}
        rest = {key: value for key, value in table.items() if key not in when}
        prefix = f"objectives.{name}"
        resolved[name] = (
            resolve(ScheduleSettings, when, prefix=prefix),
            resolve(chosen.settings_class, rest, prefix=prefix),
        )
    if not any(schedule.is_on(0.0) for schedule, _ in resolved.values()):
        raise ConfigError("no objective takes part from the first step; give one a weight above 0 and a start of 0")
    return resolved


def stem_channels(settings: PretrainSettings) -> tuple[str, ...]:
    """Return the modality of each channel of the encoder's stem; empty if it takes one, whichever modality that is.

    Raises
    ------
    ConfigError
        If the recipe's objectives do not go together.
    """
    needs = _needs(resolve_objectives(settings.objectives))
    return tuple(settings.data.modalities or ()) if needs.channels == "all" else ()


def _needs(resolved: Mapping[str, tuple[ScheduleSettings, Any]]) -> Needs:
    return join_needs({name: objectives.get(name).needs(chosen) for name, (_, chosen) in resolved.items()})


def join_needs(needs: Mapping[str, Needs]) -> Needs:
    """Return what the sampler must provide so that every objective is served.

    Raises
    ------
    ConfigError
        If two objectives want different placements, or encoders of one modality and of all.
    """
    placements = {need.placement: name for name, need in needs.items()}
    if len(placements) > 1:
        (one, first), (other, second) = placements.items()
        raise ConfigError(
            f"'{first}' wants {one} patches and '{second}' wants {other} ones; give both the same placement"
        )
    channels = {need.channels: name for name, need in needs.items()}
    if len(channels) > 1:
        raise ConfigError(
            f"'{channels['all']}' feeds the encoder all modalities at once and '{channels['one']}' one at a time; "
            "pretrain them apart"
        )
    return Needs(
        modalities=max(need.modalities for need in needs.values()),
        subjects=max(need.subjects for need in needs.values()),
        placement=next(iter(placements)),
        channels=next(iter(channels)),
    )


def _check_batches(batches: PatchSampler, needs: Needs) -> None:
    if not batches.cases:
        raise ConfigError(
            f"no training subject has the {needs.modalities} modalities that the recipe needs, and scans of different "
            "people are never mixed; give each person a synthetic partner first: mmssl synthesize train, then apply"
        )
    if batches.batch_size < needs.subjects:
        raise ConfigError(
            f"the recipe compares {needs.subjects} subjects at a time; set optimisation.batch_size to "
            f"{needs.subjects} or more, or leave out the objective that compares"
        )


def _check_mixing(batches: PatchSampler, objectives: Mapping[str, Any]) -> None:
    """Refuse to mix modalities where nobody has two: scans of different people do not lie on each other."""
    mixing = [name for name, chosen in objectives.items() if getattr(chosen, "mode", "single") != "single"]
    present = sorted({name for case in batches.cases for name in case.modalities})
    if mixing and len(present) > 1 and all(len(case.modalities) == 1 for case in batches.cases):
        raise ConfigError(
            f"'{mixing[0]}' mixes modalities, and {' and '.join(present)} are of different people, who are never "
            "mixed; give each person a synthetic partner first (mmssl synthesize train, then apply; partners below the "
            f"quality gate are taken with data.synthetic=all alone), or set objectives.{mixing[0]}.mode=single"
        )


def _without_partners(batches: PatchSampler, resolved: Mapping[str, tuple[ScheduleSettings, Any]]) -> str | None:
    """Return which objectives have nothing to compare, in a sentence, if nobody has two modalities."""
    wanting = [name for name, (_, chosen) in resolved.items() if objectives.get(name).needs(chosen).partners]
    if not wanting or any(len(case.modalities) > 1 for case in batches.cases):
        return None
    return (
        f"nobody here has two modalities, so what {' and '.join(wanting)} would compare between them is not there; "
        "take a recipe of one modality, such as mae or taleb2020_single, or give each person a synthetic partner first "
        "(mmssl synthesize train, then apply)"
    )


def _at_the_end(batch: PatchBatch) -> PatchBatch:
    """Return ``batch`` as if the whole budget were spent, when everything has started."""
    return replace(batch, progress=1.0)
