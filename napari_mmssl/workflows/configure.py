"""Put the settings of a training together: defaults < recipe < file < flags < assignments.

No torch here: a wrong key is told before anything heavy is loaded or any folder made.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from napari_mmssl.config import merge, parse_assignments, read_toml, resolve
from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.training.settings import FinetuneSettings, PretrainSettings, ScheduleSettings
from napari_mmssl.training.synthesis_settings import SynthesisSettings
from napari_mmssl.workflows.catalogue import read_catalogue

_RECIPES = Path(__file__).parent.parent / "objectives" / "recipes"
#: Keys of a recipe file that describe it and are no settings.
_ABOUT = ("summary", "source")


def recipe_names() -> list[str]:
    """Return the names of all recipes, sorted."""
    return sorted(path.stem for path in _RECIPES.glob("*.toml"))


def read_recipe(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings of a recipe, and its summary and source.

    Raises
    ------
    ConfigError
        If there is no such recipe.
    """
    if name not in recipe_names():
        raise ConfigError(unknown_name("recipe", name, recipe_names()))
    table = read_toml(_RECIPES / f"{name}.toml")
    about = {key: str(table.pop(key, "")) for key in _ABOUT}
    return table, about


def pretrain_settings(
    *, file: Path | None = None, flags: Mapping[str, Any] | None = None, assignments: Iterable[str] = ()
) -> PretrainSettings:
    """Return the settings of a pretraining.

    Parameters
    ----------
    file
        A TOML file, such as the ``run.toml`` of an earlier run.
    flags
        Nested tables set on the command line or in a form.
    assignments
        ``key=value`` texts, which override everything.

    Raises
    ------
    ConfigError
        If a key is unknown or a value does not fit.
    """
    given = merge(_from_file(file, "pretrain"), dict(flags or {}), parse_assignments(assignments))
    recipe = str(given.get("recipe", "taleb2020"))
    table, _ = read_recipe(recipe)
    if "objectives" in _from_file(file, "pretrain"):
        # A resolved file names all objectives it wants; the recipe must not add its own again.
        table.pop("objectives", None)
    settings = resolve(PretrainSettings, merge(table, {"recipe": recipe}, given))
    _check_objectives(settings.objectives)
    return settings


def finetune_settings(
    *, file: Path | None = None, flags: Mapping[str, Any] | None = None, assignments: Iterable[str] = ()
) -> FinetuneSettings:
    """Return the settings of a fine-tuning; see :func:`pretrain_settings`."""
    given = merge(_from_file(file, "finetune"), dict(flags or {}), parse_assignments(assignments))
    # A table that sets one key must not undo what suits fine-tunings better than pretrainings.
    usual = {"optimisation": FinetuneSettings.model_fields["optimisation"].default.model_dump()}
    return resolve(FinetuneSettings, merge(usual, given))


def synthesis_settings(
    *, file: Path | None = None, flags: Mapping[str, Any] | None = None, assignments: Iterable[str] = ()
) -> SynthesisSettings:
    """Return the settings of a training of generators; see :func:`pretrain_settings`."""
    given = merge(_from_file(file, "synthesis"), dict(flags or {}), parse_assignments(assignments))
    for key, flag in (("source", "--from"), ("target", "--to")):
        if key not in given:
            raise ConfigError(f"which modality is not said; add {flag} NAME, such as {flag} ct")
    # A table that sets one key must not undo what suits generators better than encoders.
    usual = {name: SynthesisSettings.model_fields[name].default.model_dump() for name in ("data", "optimisation")}
    return resolve(SynthesisSettings, merge(usual, given))


def _from_file(file: Path | None, kind: str) -> dict[str, Any]:
    if file is None:
        return {}
    table = read_toml(file)
    if table.get("kind", kind) != kind:
        raise ConfigError(f"'{file}' describes a {table['kind']}, not a {kind}")
    return table


def _check_objectives(tables: Mapping[str, Mapping[str, Any]]) -> None:
    known = {entry["name"]: entry["settings"]["properties"] for entry in read_catalogue()["objectives"]}
    for name, table in tables.items():
        if name not in known:
            raise ConfigError(unknown_name("objective", name, known))
        for key in table:
            if key not in ScheduleSettings.model_fields and key not in known[name]:
                keys = [f"objectives.{name}.{other}" for other in (*ScheduleSettings.model_fields, *known[name])]
                raise ConfigError(unknown_name("setting", f"objectives.{name}.{key}", keys))
