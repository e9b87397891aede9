"""What a person chose in the Train widget, and the settings that follow. Knows no Qt and no napari."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_mmssl.config import as_table, write_toml
from napari_mmssl.errors import ConfigError
from napari_mmssl.training.settings import BUDGETS, PretrainSettings
from napari_mmssl.workflows.catalogue import read_catalogue
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings

Kind = Literal["pretrain", "finetune"]
NO_WEIGHTS = "none"


@dataclass(frozen=True)
class Goal:
    """One entry of *what to train*: a recipe of pretraining, or a downstream task."""

    kind: Kind
    name: str
    summary: str

    @property
    def draws_labels(self) -> bool:
        """Whether it is learned from label maps, which have a coding."""
        return self.name == "segmentation"

    @property
    def words(self) -> str:
        """What stands in the list."""
        return f"Pretrain: {self.name}" if self.kind == "pretrain" else f"Fine-tune: {self.name}"


@dataclass(frozen=True)
class TrainingChoice:
    """Everything the form asks.

    Parameters
    ----------
    goal
        What to train.
    cohort
        Folder with the cases.
    weights
        A pretraining's run folder, or ``none``; for fine-tuning.
    encoder, size
        Names from the catalogue; fine-tuning from weights takes those of the weights.
    steps, seed
        Numbers of the run.
    label_fraction
        Share of the training subjects, for fine-tuning.
    coding
        What the label values mean: ``auto`` or the name of a ready coding, for fine-tuning.
    assignments
        Further settings, as ``key=value`` after ``--set``; they override the others.
    device
        Where it computes.
    """

    goal: Goal
    cohort: Path
    weights: str
    encoder: str
    size: str
    steps: int
    seed: int
    label_fraction: float
    coding: str = "auto"
    assignments: tuple[str, ...] = ()
    device: str = "auto"

    def settings_table(self) -> dict[str, Any]:
        """Return the resolved settings, as they stand in a TOML file.

        Raises
        ------
        ConfigError
            If they do not fit each other.
        """
        table: dict[str, Any] = {
            "cohort": str(self.cohort),
            "seed": self.seed,
            "device": self.device,
            "encoder": {"name": self.encoder, "size": self.size},
            "optimisation": {"steps": self.steps},
            # A short run is looked at as often as a long one: there is something to see either way.
            "validate_every": max(5, min(500, self.steps // 10)),
        }
        if self.goal.kind == "pretrain":
            return as_table(pretrain_settings(flags=table | {"recipe": self.goal.name}, assignments=self.assignments))
        table |= {
            "weights": self.weights,
            "label_fraction": self.label_fraction,
            "task": {"name": self.goal.name} | ({"convention": self.coding} if self.goal.draws_labels else {}),
        }
        return as_table(finetune_settings(flags=table, assignments=self.assignments))

    def write(self, path: Path) -> None:
        """Write the settings to the TOML file ``path``; errors as in :meth:`settings_table`."""
        write_toml(path, self.settings_table())


def goals() -> list[Goal]:
    """Return what can be trained, from the catalogue; the recipe that the command line takes by default comes first.

    Raises
    ------
    ConfigError
        If the catalogue is missing or damaged, as in a broken installation.
    """
    known = catalogue()
    pretrainings = [Goal("pretrain", entry["name"], entry["summary"]) for entry in known["recipes"]]
    pretrainings.sort(key=lambda goal: goal.name != PretrainSettings.model_fields["recipe"].default)
    return pretrainings + [Goal("finetune", entry["name"], entry["summary"]) for entry in known["tasks"]]


def encoders() -> dict[str, list[str]]:
    """Return the encoders' names and their sizes, smallest first; errors as in :func:`goals`."""
    return {entry["name"]: list(entry["sizes"]) for entry in catalogue()["encoders"]}


def budgets() -> dict[str, int]:
    """Return the budgets' names and their numbers of steps."""
    return dict(BUDGETS)


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Return the catalogue of everything that is registered.

    Raises
    ------
    ConfigError
        If it is missing or damaged.
    """
    try:
        return read_catalogue()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the catalogue of recipes cannot be read, install napari-mmssl again: {error}") from error
