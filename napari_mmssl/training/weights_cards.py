"""The card beside weights: what whoever loads them must know; no torch here."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import write_json
from napari_mmssl.errors import CheckpointError
from napari_mmssl.training.weights_archives import unpacked

CARD_FORMAT = 1


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the model card as ``<folder>/card.json``."""
    write_json(folder / "card.json", {"format": CARD_FORMAT, **card})


def weights_folder(path: Path) -> Path:
    """Return where the weights of ``path`` lie: a run folder's ``weights``, the folder itself, or a file unpacked.

    Raises
    ------
    CheckpointError
        If neither folder holds a card, or the file is not what ``mmssl export`` writes.
    """
    if path.is_file():
        return unpacked(path)
    for folder in (path / "weights", path):
        if (folder / "card.json").is_file():
            return folder
    if (path / "status.json").is_file():
        raise CheckpointError(f"the run '{path}' has no weights yet; let it finish, or stop and keep it")
    raise CheckpointError(
        f"no weights in '{path}': a run folder, a folder with card.json, or a file that mmssl export wrote is wanted"
    )


def read_card(path: Path) -> dict[str, Any]:
    """Return the card of the weights in ``path`` (a run folder or a weights folder).

    Raises
    ------
    CheckpointError
        If there is none, it is damaged, or it is of a newer version.
    """
    file = weights_folder(path) / "card.json"
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        version = card["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"'{file}' is not a model card") from error
    if version > CARD_FORMAT:
        raise CheckpointError(f"'{file}' was written by a newer napari-mmssl (format {version}); update to load it")
    return dict(card)


@contextmanager
def reading_card_of(path: Path) -> Iterator[None]:
    """Say in a sentence of what the block misses in a card, or cannot take, that the card of ``path`` is damaged.

    Raises
    ------
    CheckpointError
        In that case.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise CheckpointError(f"the card of '{path}' is damaged ({said}); ask for the weights again") from error


def read_generators_card(path: Path) -> dict[str, Any]:
    """As :func:`read_card`, for generators.

    Raises
    ------
    CheckpointError
        If something else was trained.
    """
    card = read_card(path)
    if card.get("kind") != "synthesis":
        raise CheckpointError(
            f"'{path}' holds a {card.get('kind')}, and generators are wanted; train some with mmssl synthesize train"
        )
    return card


def channels_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modality of each channel of a card's encoder; empty if it takes one, whichever modality that is."""
    return tuple(card["modalities"]) if card.get("in_channels", 1) > 1 else ()
