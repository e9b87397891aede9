"""One cell of a comparison: what was measured of one training, as a small file that stands on its own."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import write_json
from napari_mmssl.errors import ReadError
from napari_mmssl.workflows.comparison.settings import CellKey

FORMAT = 1

#: Modalities given to the network, joined by ``+``, to region to Dice; ``None`` where undefined.
DiceBySubset = dict[str, dict[str, float | None]]
#: The same of metrics that only a group of people has.
Values = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class PersonScores:
    """How well one held-out person was segmented.

    Parameters
    ----------
    modalities
        What the person has, joined by ``+``: the key of the full prediction in ``dice``.
    dice
        By modality subset and region.
    hd95_mm
        By region, with all modalities.
    """

    modalities: str
    dice: DiceBySubset
    hd95_mm: dict[str, float | None]


@dataclass(frozen=True)
class Cell:
    """One arm with one share of the labels in one draw.

    Parameters
    ----------
    key
        Which.
    persons
        Scores by a hash of the person's name, which is the same in all cells and names nobody.
    labelled
        How many people's label maps were learned from.
    unlabelled
        How many people were pretrained on; 0 from scratch.
    cost
        Seconds of wall clock and of processor time, of pretraining and of fine-tuning.
    made_by
        Versions and machine.
    probes
        What frozen features tell of the held-out people's voxels: probe, then ``pretrained`` and ``random``. Empty from
        scratch, and in cells that were measured before there were probes.
    values
        Of a task that gives values, its metrics over the people held out; ``persons`` is then empty.
    held_out
        How many people were held out and measured.
    """

    key: CellKey
    persons: dict[str, PersonScores]
    labelled: int
    unlabelled: int
    cost: dict[str, float]
    made_by: dict[str, Any]
    probes: dict[str, dict[str, float | None]] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    held_out: int = 0


def anonymous(subject: str) -> str:
    """Return a short name that is equal for equal subjects."""
    return hashlib.sha256(subject.encode()).hexdigest()[:10]


def or_none(value: float) -> float | None:
    """Return ``value`` to five digits, or ``None`` for NaN, which JSON does not know."""
    return None if math.isnan(value) else round(value, 5)


def write_cell(folder: Path, cell: Cell) -> None:
    """Write ``cell`` as ``<folder>/<arm>_f<fraction>_d<draw>.json``."""
    write_json(folder / f"{cell.key.name}.json", {"format": FORMAT, **asdict(cell)})


def read_cells(folder: Path, keys: Iterable[CellKey] | None = None) -> dict[CellKey, Cell]:
    """Return the cells in ``folder`` that are there, of ``keys`` or all.

    Raises
    ------
    ReadError
        If one is damaged or of a newer format.
    """
    paths = sorted(folder.glob("*_f*_d*.json")) if keys is None else [folder / f"{key.name}.json" for key in keys]
    cells = [_read(path) for path in paths if path.is_file()]
    return {cell.key: cell for cell in cells}


def _read(path: Path) -> Cell:
    try:
        table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] > FORMAT:
            raise ReadError(f"'{path}' was written by a newer napari-mmssl; update napari-mmssl to read it")
        return Cell(
            CellKey(**table["key"]),
            {name: PersonScores(**scores) for name, scores in table["persons"].items()},
            int(table["labelled"]),
            int(table["unlabelled"]),
            dict(table["cost"]),
            dict(table["made_by"]),
            dict(table.get("probes", {})),
            dict(table.get("values", {})),
            int(table.get("held_out", len(table["persons"]))),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"'{path}' is a damaged cell of a comparison ({error}); remove it to measure it again"
        ) from error
