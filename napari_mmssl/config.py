"""Settings: frozen pydantic models, read from and written to TOML."""

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_mmssl.atomic import write_text
from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name


class Settings(BaseModel):
    """Base of every settings model: frozen, unknown keys forbidden, defaults checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


S = TypeVar("S", bound=Settings)


def resolve(model: type[S], data: dict[str, Any], prefix: str = "") -> S:
    """Return ``model`` filled from ``data``; ``prefix`` is where the table stands, for messages.

    Raises
    ------
    ConfigError
        On the first unknown key (naming the near ones) or value that does not fit.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_first_problem(model, error, prefix)) from error


def _first_problem(model: type[BaseModel], error: ValidationError, prefix: str) -> str:
    problem = error.errors()[0]
    *parents, last = [str(part) for part in problem["loc"]] or [""]
    if problem["type"] == "extra_forbidden":
        known = [_dotted(prefix, key) for key in _known_keys(model, parents)]
        return unknown_name("setting", _dotted(prefix, *parents, last), known)
    if problem["type"] == "missing":
        return f"setting '{_dotted(prefix, *parents, last)}' is needed and was not given"
    return f"setting '{_dotted(prefix, *parents, last)}': {problem['msg'].lower()}, got {problem['input']!r}"


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _known_keys(model: type[BaseModel], parents: list[str]) -> list[str]:
    for name in parents:
        field = model.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return [".".join([*parents, key]) for key in model.model_fields]


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in ``path``.

    Raises
    ------
    ConfigError
        If the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file '{path}': {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' is not valid TOML: {error}") from error


def write_toml(path: Path, table: dict[str, Any]) -> None:
    """Write ``table`` to ``path`` in one step; unset (``None``) values are left out, since TOML has no null."""
    write_text(path, tomli_w.dumps(without_unset(table)))


def without_unset(table: dict[str, Any]) -> dict[str, Any]:
    """Return ``table`` without keys whose value is ``None``, at every depth."""
    return {
        key: without_unset(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def merge(*tables: dict[str, Any]) -> dict[str, Any]:
    """Return the union of ``tables``; where two set the same key the later one holds."""
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both_tables else value
    return merged


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn ``["objectives.puzzle.grid=[2,2,2]"]`` into nested tables.

    The value is read as TOML; what is no TOML value is taken as text.

    Raises
    ------
    ConfigError
        If there is no ``=`` or no key before it.
    """
    table: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"'{assignment}' does not set anything; write --set key=value")
        value: Any = _toml_value(text.strip())
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        table = merge(table, value)
    return table


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def as_table(settings: Settings) -> dict[str, Any]:
    """Return ``settings`` as plain tables of TOML values (paths become text, tuples become lists)."""
    return without_unset(json.loads(settings.model_dump_json()))
