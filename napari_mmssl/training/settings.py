"""What describes a training fully; no torch here, so that forms and the command line draw from it at once."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SerializeAsAny

from napari_mmssl.config import Settings, resolve
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks import TaskSettings, tasks

Size = Literal["tiny", "small", "paper"]
SyntheticUse = Literal["refuse", "allow", "all"]
Augmentations = Literal["light", "full"]
Shape = tuple[int, int, int]
SpacingMm = tuple[float, float, float]
Edges = TypeVar("Edges", Shape, SpacingMm)

#: Steps of each budget; *smoke* only shows that everything runs.
BUDGETS = {"smoke": 20, "small": 400, "full": 20_000}


def _positive(edges: Edges) -> Edges:
    if min(edges) <= 0:
        raise ValueError("all three should be greater than 0")
    return edges


class EncoderSettings(Settings):
    """Which encoder, and how large."""

    name: str = Field("residual_unet", title="Encoder")
    size: Size = Field("tiny", title="Size", description="tiny and small suit a CPU; paper wants a GPU")
    thick_slices: int | None = Field(
        None,
        ge=0,
        le=3,
        title="Thick slices",
        description="First reductions that leave the slice axis alone; unset: as many as the spacing asks for",
    )


class DataSettings(Settings):
    """What is cut from the cohort."""

    patch: Annotated[Shape, AfterValidator(_positive)] = Field(
        (32, 32, 32), title="Patch", description="Voxels along (z, y, x)"
    )
    spacing_mm: Annotated[SpacingMm, AfterValidator(_positive)] | None = Field(
        None, title="Spacing", description="mm along (S, A, R) to resample to; unset: the cohort's median"
    )
    modalities: tuple[str, ...] | None = Field(
        None, title="Modalities", description="Which to use; unset: all of the cohort"
    )
    validation_share: float = Field(0.15, ge=0, lt=1, title="Validation", description="Share of subjects watched on")
    test_share: float = Field(0.25, ge=0, lt=1, title="Test", description="Share of subjects held out by the seed")
    workers: int | None = Field(
        None,
        ge=0,
        le=64,
        title="Loader processes",
        description="0: patches are cut between steps; unset: 0 on a CPU, on a GPU the cores that are left, at most 8",
    )
    synthetic: SyntheticUse = Field(
        "refuse",
        title="Synthetic volumes",
        description="Pretraining only; allow: those that passed the quality gate; all: also those that did not",
    )


class OptimisationSettings(Settings):
    """How the weights are found."""

    steps: int = Field(400, ge=1, title="Steps")
    batch_size: int = Field(4, ge=1, title="Batch size")
    accumulate: int = Field(
        1,
        ge=1,
        le=256,
        title="Accumulate",
        description="Parts in which a batch goes through the network: less memory; contrasts see one part at a time",
    )
    recompute: bool = Field(
        False, title="Recompute", description="Activations anew in the backward pass: less memory, more time"
    )
    compile: bool = Field(
        False, title="Compile", description="Encoders by torch.compile: minutes before the first step; other roundings"
    )
    fused: bool = Field(False, title="Fused", description="The optimiser's step in one kernel; other roundings")
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate", description="Peak of the schedule")
    weight_decay: float = Field(1e-4, ge=0, title="Weight decay")
    warmup: float = Field(0.05, ge=0, lt=1, title="Warm-up", description="Share of the steps")
    gradient_clip: float = Field(1.0, gt=0, title="Gradient clipping", description="Largest norm")


class RunSettings(Settings):
    """What every training has."""

    cohort: Path = Field(title="Cohort", description="Folder with the cases")
    seed: int = Field(0, ge=0, title="Seed", description="Decides the split and every draw")
    device: str = Field("auto", title="Device", description="auto, cpu, cuda, cuda:N or mps")
    checkpoint_every: int = Field(100, ge=1, title="Checkpoint every", description="Steps")
    validate_every: int = Field(50, ge=1, title="Validate every", description="Steps")
    data: DataSettings = DataSettings()
    optimisation: OptimisationSettings = OptimisationSettings()


class EncoderRunSettings(RunSettings):
    """What every training of an encoder has."""

    encoder: EncoderSettings = EncoderSettings()


class ScheduleSettings(Settings):
    """How much an objective counts, and from when; stands beside the objective's own settings."""

    weight: float = Field(1.0, ge=0, title="Weight", description="Factor of all its losses")
    start: float = Field(0.0, ge=0, lt=1, title="Start", description="Share of the budget before it takes part")
    ramp: float = Field(0.0, ge=0, le=1, title="Ramp", description="Share of the budget over which its weight rises")

    def is_on(self, progress: float) -> bool:
        """Return whether the objective takes part once ``progress`` of the budget is done."""
        return self.weight > 0 and progress >= self.start

    def weight_at(self, progress: float) -> float:
        """Return the factor of its losses once ``progress`` of the budget is done."""
        if not self.is_on(progress):
            return 0.0
        return self.weight * (min(1.0, (progress - self.start) / self.ramp) if self.ramp else 1.0)


class PretrainSettings(EncoderRunSettings):
    """A pretraining: recipe and its objectives, resolved."""

    kind: Literal["pretrain"] = "pretrain"
    recipe: str = Field("taleb2020", title="Recipe")
    #: Objective name to its own settings, with those of :class:`ScheduleSettings` beside them.
    objectives: dict[str, dict[str, Any]] = Field(default_factory=dict, title="Objectives")


class TemplateSettings(Settings):
    """Learned templates in the place of modalities, while fine-tuning."""

    substitute: int = Field(
        0, ge=0, title="Substitute", description="At most so many modalities are replaced by their templates; never all"
    )
    consistency: float = Field(
        0.1, ge=0, title="Consistency", description="Weight of the distance between two differently replaced views"
    )


def _chosen_task(value: Any) -> TaskSettings:
    """Return the settings of the task that ``value`` names; without a name, of segmentation, the first there was."""
    if isinstance(value, TaskSettings):
        return value
    if not isinstance(value, dict):
        raise ConfigError(f"setting 'task' is a table such as [task] with name = \"segmentation\", got {value!r}")
    return resolve(tasks.get(str(value.get("name", "segmentation"))).settings_class, value, prefix="task")


class FinetuneSettings(EncoderRunSettings):
    """A fine-tuning, or a training from scratch."""

    kind: Literal["finetune"] = "finetune"
    weights: str = Field(
        "none",
        title="Weights",
        description="A pretraining's run folder, a segmentation's for task.image = volumes, or none: from scratch",
    )
    label_fraction: float = Field(1.0, gt=0, le=1, title="Label fraction", description="Share of training subjects")
    fusion: Literal["replicate", "reinitialise", "adapter", "mean", "gated"] = Field(
        "replicate",
        title="Fusion",
        description="How modalities enter: as channels of a converted (replicate) or new stem, through an adapter to "
        "one channel, or each encoded alone and fused (mean, gated)",
    )
    augmentation: Augmentations = Field(
        "light",
        title="Augmentation",
        description="light: mirrored, other gains; full: also turned, scaled, noisy, smoother, of other contrast",
    )
    decoder: Literal["carried", "new"] = Field(
        "carried",
        title="Decoder",
        description="Of segmentations: carried over from a recipe that learned a U-Net decoder, or new",
    )
    freeze: Literal["none", "stem", "half", "encoder"] = Field(
        "none", title="Freeze", description="Part of the encoder that keeps its weights; half: its finer levels"
    )
    freeze_share: float = Field(
        1.0, gt=0, le=1, title="Freeze for", description="Share of the steps; 1: for good. The rest is trained whole"
    )
    templates: TemplateSettings = TemplateSettings()
    #: Settings of the task that ``task.name`` says.
    task: Annotated[SerializeAsAny[TaskSettings], BeforeValidator(_chosen_task)] = Field(
        default_factory=lambda: _chosen_task({}), title="Task"
    )
    optimisation: OptimisationSettings = OptimisationSettings(steps=300)
