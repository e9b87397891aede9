"""All settings of a training as sections of a form, drawn from the settings models. Knows no Qt and no napari.

What the form changes goes through the same ``--set`` assignments as on the command line, so that both check alike.
"""

from dataclasses import dataclass
from typing import Any

from napari_mmssl.config import Settings, as_table
from napari_mmssl.training.settings import ScheduleSettings
from napari_mmssl.viewer.train.form import Goal, catalogue
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings

#: Shown by fields of their own, or told by the goal.
_ELSEWHERE = {
    "cohort", "seed", "kind", "recipe", "weights", "label_fraction", "encoder.name", "encoder.size",
    "optimisation.steps", "task.name", "task.convention", "task.regions", "objectives",
}  # fmt: skip

#: Letters of a title that fit beside a field in a narrow dock.
_LONGEST = 22


@dataclass(frozen=True)
class Setting:
    """One line of the form.

    Parameters
    ----------
    key
        As after ``--set``, such as ``data.patch``.
    value
        What it is if nobody changes it; ``None`` where it is unset.
    schema
        Its JSON schema: title, description, type, limits.
    """

    key: str
    value: Any
    schema: dict[str, Any]

    @property
    def title(self) -> str:
        """What stands before the field: its title, or its name where that is a sentence."""
        title = str(self.schema.get("title", ""))
        return title if 0 < len(title) <= _LONGEST else self.key.rpartition(".")[2].replace("_", " ").capitalize()


@dataclass(frozen=True)
class Section:
    """Settings that belong together."""

    title: str
    settings: tuple[Setting, ...]


def sections_of(goal: Goal) -> list[Section]:
    """Return every setting that a training of ``goal`` has and that has no field of its own.

    Raises
    ------
    ConfigError
        If the catalogue or the recipe cannot be read.
    """
    given = {"cohort": "."}
    if goal.kind == "pretrain":
        resolved: Settings = pretrain_settings(flags=given | {"recipe": goal.name})
    else:
        resolved = finetune_settings(flags=given | {"task": {"name": goal.name}})
    sections = _objectives(as_table(resolved).get("objectives", {}))
    plain = []
    for name in type(resolved).model_fields:
        value = getattr(resolved, name)
        if isinstance(value, Settings):
            sections.append(Section(name.capitalize(), _settings(value, f"{name}.")))
        elif name not in _ELSEWHERE:
            plain.append(Setting(name, value, type(resolved).model_json_schema()["properties"][name]))
    sections.append(Section("Run", tuple(plain)))
    return [section for section in sections if section.settings]


def _settings(model: Settings, prefix: str) -> tuple[Setting, ...]:
    properties = type(model).model_json_schema()["properties"]
    keys = [name for name in type(model).model_fields if f"{prefix}{name}" not in _ELSEWHERE]
    return tuple(Setting(f"{prefix}{name}", getattr(model, name), properties[name]) for name in keys)


def _objectives(tables: dict[str, dict[str, Any]]) -> list[Section]:
    known = {entry["name"]: entry["settings"]["properties"] for entry in catalogue()["objectives"]}
    schedule = ScheduleSettings.model_json_schema()["properties"]
    sections = []
    for name, table in tables.items():
        properties = schedule | known.get(name, {})
        settings = (
            Setting(f"objectives.{name}.{key}", table.get(key, schema.get("default")), schema)
            for key, schema in properties.items()
        )
        sections.append(Section(name.replace("_", " ").capitalize(), tuple(settings)))
    return sections
