"""What the values of a label map mean: names and colours, in a small file beside it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.atomic import write_json
from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.volume import LabelClass

#: Okabe and Ito's colours without black: told apart with every common kind of colour blindness.
PALETTE = ("#d55e00", "#56b4e9", "#f0e442", "#009e73", "#cc79a7", "#0072b2", "#e69f00")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def colour(n: int) -> str:
    """Return the colour of the ``n``-th class, counted from 0; beyond the palette its shades follow."""
    shade = 0.65 ** (n // len(PALETTE))
    red, green, blue = (int(PALETTE[n % len(PALETTE)][i : i + 2], 16) for i in (1, 3, 5))
    return f"#{round(red * shade):02x}{round(green * shade):02x}{round(blue * shade):02x}"


def read_classes(path: Path) -> tuple[LabelClass, ...]:
    """Read the classes from ``path`` (``<name>.labels.json``); empty if there is no such file.

    Raises
    ------
    ReadError
        If the file is there and is not a list of classes.
    """
    if not path.exists():
        return ()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(_one_class(entry) for entry in data["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(f"cannot read the class names in '{path}'; mend or delete that file") from error
    if len({one.value for one in classes}) < len(classes):
        raise ReadError(f"cannot read the class names in '{path}': a value is named twice")
    return classes


def write_classes(path: Path, classes: Sequence[LabelClass]) -> None:
    """Write ``classes`` to ``path``; the inverse of :func:`read_classes`."""
    write_json(path, {"classes": [{"value": c.value, "name": c.name, "colour": c.colour} for c in classes]})


def complete(array: np.ndarray, known: Sequence[LabelClass]) -> tuple[LabelClass, ...]:
    """Return ``known`` and a class, called by its number, for each further value above 0 in ``array``; by value."""
    by_value = {one.value: one for one in known}
    for value in np.unique(array[array > 0]).tolist():
        by_value.setdefault(value, LabelClass(value, f"label {value}", colour(len(by_value))))
    return tuple(by_value[value] for value in sorted(by_value))


def _one_class(entry: Any) -> LabelClass:
    value, name, colour = entry["value"], entry["name"], entry["colour"]
    if type(value) is not int or not isinstance(name, str) or not _COLOUR.fullmatch(colour):
        raise ValueError(f"not a class: {entry!r}")
    return LabelClass(value, name, colour)
