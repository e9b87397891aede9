"""What there is to choose from, as a file: drawing a form or listing names then loads nothing heavy."""

import json
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import write_json

_FILE = Path(__file__).parent.parent / "catalogue.json"


def read_catalogue() -> dict[str, list[dict[str, Any]]]:
    """Return ``{"objectives": [...], "recipes": [...], "encoders": [...], "tasks": [...], "layouts": [...]}``.

    Every entry has ``name``, ``summary`` and ``source``; objectives and tasks also ``settings``, the JSON
    schema of their settings, and encoders ``sizes``.
    """
    return dict(json.loads(_FILE.read_text(encoding="utf-8")))


def build_catalogue() -> dict[str, list[dict[str, Any]]]:
    """Return the catalogue from the registries, which loads everything; a test holds the file to it."""
    from napari_mmssl.cohorts.layouts import layouts
    from napari_mmssl.networks.encoders import encoders
    from napari_mmssl.objectives import objectives
    from napari_mmssl.tasks import tasks
    from napari_mmssl.workflows.configure import read_recipe, recipe_names

    return {
        "objectives": [
            _entry(entry) | {"settings": entry.value.settings_class.model_json_schema()}
            for entry in objectives.entries()
        ],
        "recipes": [{"name": name, **read_recipe(name)[1]} for name in recipe_names()],
        "encoders": [_entry(entry) | {"sizes": list(entry.value.sizes)} for entry in encoders.entries()],
        "tasks": [
            _entry(entry) | {"settings": entry.value.settings_class.model_json_schema()} for entry in tasks.entries()
        ],
        "layouts": [_entry(entry) for entry in layouts.entries()],
    }


def _entry(entry: Any) -> dict[str, Any]:
    return {"name": entry.name, "summary": entry.summary, "source": entry.source}


def write_catalogue() -> None:
    """Write the file anew; ``python -m napari_mmssl.workflows.catalogue`` after adding a thing."""
    write_json(_FILE, build_catalogue())


if __name__ == "__main__":
    write_catalogue()
