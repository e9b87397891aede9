"""The map of a cohort as points with colours: what can be coloured, and by what. Knows no Qt and no napari."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_mmssl.tasks.conventions import colour

#: With more values than this, a column tells cases apart by number, not by group.
_MOST_GROUPS = 8
SPLIT, LABEL, MODALITIES = "split", "label", "modalities"
_UNKNOWN, _UNKNOWN_COLOUR = "not known", "#999999"


@dataclass(frozen=True)
class Point:
    """A case on the map."""

    case: str
    x: float
    y: float


class CohortMap:
    """What ``mmssl embed`` wrote, with what its cases can be coloured by.

    Parameters
    ----------
    found
        As :func:`napari_mmssl.workflows.embedding.embed` returns it.
    groups
        Subject to the part of the split that it is in.
    """

    def __init__(self, found: Mapping[str, Any], groups: Mapping[str, str]) -> None:
        self._cases: list[dict[str, Any]] = found["cases"]
        self._groups = groups
        self.points = [Point(one["case"], one["x"], one["y"]) for one in self._cases]
        self.explained: tuple[float, float] = tuple(found["explained"])

    def columns(self) -> list[str]:
        """Return what cases can be coloured by: split, label, modalities, and clinical columns with few values."""
        clinical = dict.fromkeys(name for one in self._cases for name in one["clinical"])
        few = [name for name in clinical if 1 < len(set(self._values(name)) - {_UNKNOWN}) <= _MOST_GROUPS]
        return [SPLIT, LABEL, MODALITIES, *few]

    def colours(self, column: str) -> tuple[list[str], dict[str, str]]:
        """Return the colour of each point, and the legend: value to colour."""
        values = self._values(column)
        known = sorted(set(values) - {_UNKNOWN})
        legend = {value: colour(n) for n, value in enumerate(known)}
        if _UNKNOWN in values:
            legend[_UNKNOWN] = _UNKNOWN_COLOUR
        return [legend[value] for value in values], legend

    def words(self, case: str, column: str) -> str:
        """Return what is said of a point."""
        values = dict(zip((point.case for point in self.points), self._values(column), strict=True))
        return f"{case}: {column} {values[case]}"

    def _values(self, column: str) -> list[str]:
        return [self._value(one, column) for one in self._cases]

    def _value(self, one: dict[str, Any], column: str) -> str:
        if column == SPLIT:
            return self._groups.get(one["subject"], _UNKNOWN)
        if column == LABEL:
            return "labelled" if one["labelled"] else "without a label"
        if column == MODALITIES:
            return " ".join(one["modalities"])
        value = one["clinical"].get(column)
        return _UNKNOWN if value is None else str(value)
