"""Pictures: what a network made of one case, kept as arrays so that the viewer can show them as layers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_mmssl.atomic import replacing, write_json
from napari_mmssl.errors import RunError

PICTURE_FORMAT = 1


@dataclass(frozen=True)
class PictureItem:
    """One thing to look at in a picture.

    Parameters
    ----------
    name
        What the layer or plot is called.
    kind
        ``image`` or ``labels`` ``(z, y, x)``, ``matrix`` ``(N, M)``, ``points`` ``(n, 3)``, ``lines`` ``(n, 2, 3)``.
    array
        The values.
    affine
        From array index ``(z, y, x, 1)`` to world RAS mm, for kinds that lie in space.
    shows
        One sentence: what a person sees here.
    """

    name: str
    kind: Literal["image", "labels", "matrix", "points", "lines"]
    array: np.ndarray
    affine: np.ndarray | None
    shows: str


@dataclass(frozen=True)
class Picture:
    """What a network made of one case at one step."""

    name: str
    step: int
    case: str
    items: tuple[PictureItem, ...]
    #: Plain values that belong to the picture, such as the grid of a puzzle.
    details: dict[str, Any]


def write_picture(stem: Path, picture: Picture) -> None:
    """Write ``picture`` as ``<stem>.npz`` and, once that is whole, ``<stem>.json``."""
    arrays = {f"array_{n}": item.array for n, item in enumerate(picture.items)}
    with replacing(stem.with_name(stem.name + ".npz")) as aside:
        np.savez_compressed(aside, **arrays)  # type: ignore[arg-type]
    items = [
        {
            "name": item.name,
            "kind": item.kind,
            "array": f"array_{n}",
            "affine": None if item.affine is None else np.asarray(item.affine, dtype=float).tolist(),
            "shows": item.shows,
        }
        for n, item in enumerate(picture.items)
    ]
    write_json(
        stem.with_name(stem.name + ".json"),
        {
            "format": PICTURE_FORMAT,
            "name": picture.name,
            "step": picture.step,
            "case": picture.case,
            "details": picture.details,
            "items": items,
        },
    )


def read_picture(path: Path) -> Picture:
    """Read the picture whose ``.json`` is ``path``.

    Raises
    ------
    RunError
        If either file is missing or damaged.
    """
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
            items = tuple(
                PictureItem(
                    item["name"],
                    item["kind"],
                    arrays[item["array"]],
                    None if item["affine"] is None else np.array(item["affine"]),
                    item["shows"],
                )
                for item in head["items"]
            )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"cannot read the picture '{path}': {error}") from error
    return Picture(head["name"], head["step"], head["case"], items, head["details"])
