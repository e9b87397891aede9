"""The protocol of a comparison: what is equal for all arms, and what counts as one study."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from napari_mmssl.config import Settings, merge, parse_assignments, resolve
from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.tasks import tasks
from napari_mmssl.training.settings import Augmentations, EncoderSettings, Shape
from napari_mmssl.workflows.configure import recipe_names
from napari_mmssl.workflows.subsets import Subsets

#: Goes up whenever a cell would come out differently with the same settings: another split, sampling, network or
#: measure. Cells of different protocols are never put in one table.
PROTOCOL = 1
#: The same of trainings with full augmentation, and of no others: up to protocol 1 it left some outermost voxels of
#: coarsened channels zero, and turned patches were interpolated by another library.
PROTOCOL_OF_FULL_AUGMENTATION = 2

#: Arms without pretraining. The second is trained the usual way: it always sees every modality a person has.
FROM_SCRATCH = ("scratch", "scratch_no_dropout")


#: Settings that are folders on this machine: what lies in them is part of a study, where they lie is not.
COHORTS = ("cohort", "pretrain_cohort")
#: Settings that make no other study of it: cells that differ in nothing else stand in one table.
FREE = frozenset({"kind", *COHORTS, "arms", "label_fractions", "first_draw", "draws", "device"})


class CompareSettings(Settings):
    """A comparison, resolved."""

    kind: Literal["compare"] = "compare"
    cohort: Path = Field(title="Cohort", description="Folder with the cases")
    pretrain_cohort: Path | None = Field(
        None,
        title="Cohort of pretraining",
        description="Other people, without labels: one pretraining of an arm for all draws; by default the people of"
        " the cohort that a draw does not hold out",
    )
    arms: tuple[str, ...] = Field(
        ("scratch", "mae", "taleb2020", "combined"),
        title="Arms",
        description="scratch, scratch_no_dropout and recipes; differences are taken to the first",
    )
    label_fractions: tuple[float, ...] = Field((0.1, 1.0), title="Label fractions", description="Shares of subjects")
    draws: int = Field(
        5, ge=1, title="Draws", description="Repetitions; each has its own split, labelled people and seeds"
    )
    first_draw: int = Field(
        0, ge=0, title="First draw", description="Those before it are left out: draws that came later are told alone"
    )
    encoder: EncoderSettings = EncoderSettings()
    task: str = Field("segmentation", title="Task", description="What is fine-tuned for, as in mmssl finetune")
    regions: str = Field("auto", title="Regions", description="Label coding of a segmentation, as in mmssl finetune")
    target: str = Field("auto", title="Target", description="Column of a classification, as in mmssl finetune")
    patch: Shape = Field((48, 48, 48), title="Patch of pretraining", description="Voxels along (z, y, x)")
    pretrain_steps: int = Field(400, ge=1, title="Steps of pretraining")
    pretrain_batch: int = Field(4, ge=1, title="Batch of pretraining")
    pretrain_learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate of pretraining")
    finetune_patch: Shape = Field((32, 32, 32), title="Patch of fine-tuning", description="Voxels along (z, y, x)")
    finetune_steps: int = Field(600, ge=1, title="Steps of fine-tuning")
    finetune_batch: int = Field(4, ge=1, title="Batch of fine-tuning")
    finetune_learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate of fine-tuning")
    finetune_augmentation: Augmentations = Field(
        "light", title="Augmentation of fine-tuning", description="As in mmssl finetune; full is that of nnU-Net"
    )
    subsets: Subsets = Field(
        "all", title="Modality subsets", description="At prediction: none, each one missing, or all 2^M - 1"
    )
    device: str = Field("auto", title="Device", description="auto, cpu, cuda, cuda:N or mps")

    @field_validator("label_fractions")
    @classmethod
    def _fractions_in_range(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or any(not 0 < fraction <= 1 for fraction in fractions):
            raise ValueError("label fractions must be above 0 and at most 1")
        return tuple(sorted(set(fractions)))


@dataclass(frozen=True, order=True)
class CellKey:
    """One training of a study: an arm, a share of the labels, a draw."""

    arm: str
    fraction: float
    draw: int

    @property
    def name(self) -> str:
        """File name without ending."""
        return f"{self.arm}_f{self.fraction:g}_d{self.draw}"


def compare_settings(values: Mapping[str, Any], assignments: Iterable[str] = ()) -> CompareSettings:
    """Return the settings of a comparison; ``assignments`` are ``key=value`` texts, which override ``values``.

    Raises
    ------
    ConfigError
        If a value does not fit, an arm is unknown or named twice, or there is nothing to compare.
    """
    settings = resolve(CompareSettings, merge(dict(values), parse_assignments(assignments)))
    tasks.get(settings.task)
    known = (*FROM_SCRATCH, *recipe_names())
    for arm in settings.arms:
        if arm not in known:
            raise ConfigError(unknown_name("arm", arm, known))
    if len(set(settings.arms)) < max(2, len(settings.arms)):
        raise ConfigError(f"a comparison needs two or more different arms, not {', '.join(settings.arms) or 'none'}")
    return settings


def cell_keys(settings: CompareSettings) -> Iterator[CellKey]:
    """Yield all cells, whole draws first: a study cut short still has paired arms."""
    for draw in range(settings.first_draw, settings.first_draw + settings.draws):
        for fraction in settings.label_fractions:
            for arm in settings.arms:
                yield CellKey(arm, fraction, draw)


def study_table(
    settings: CompareSettings, cohort: Mapping[str, Any], pretrain_cohort: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what must be equal for two cells to be compared; arms, fractions, draws and device are free.

    Parameters
    ----------
    settings
        Of the comparison.
    cohort
        What the people are known by, wherever their folder lies.
    pretrain_cohort
        The same of the other people who are pretrained on, if there are any.
    """
    table = settings.model_dump(mode="json", exclude=set(FREE))
    # Came after the first studies, whose keys must stay: only what is not the default is named.
    for name in ("task", "target", "finetune_augmentation"):
        if table[name] == CompareSettings.model_fields[name].default:
            del table[name]
    others = {} if pretrain_cohort is None else {"pretrain_cohort": dict(pretrain_cohort)}
    protocol = PROTOCOL_OF_FULL_AUGMENTATION if settings.finetune_augmentation == "full" else PROTOCOL
    return {"protocol": protocol, "cohort": dict(cohort), **others, **table}


def study_key(table: Mapping[str, Any]) -> str:
    """Return a short hash of :func:`study_table`."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:8]
