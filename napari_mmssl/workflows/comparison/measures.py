"""The numbers that a comparison tells: each from a cell, by person or of all of them together."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from napari_mmssl.workflows.comparison.cells import Cell

#: Person to number; a number that only a group has (a C-index) stands under ``everybody``. NaN where undefined.
Numbers = dict[str, float]

_WORDS = {"dice": "Dice", "c_index": "C-index", "auc": "AUC"}


@dataclass(frozen=True)
class Measure:
    """What is read off a cell, what it is called (in short and in full), and which way is better."""

    word: str
    title: str
    of: Callable[[Cell], Numbers]
    less_is_better: bool = False


def measures_of(metric: str) -> dict[str, Measure]:
    """Return the measures of a comparison by name, the main one first; ``metric`` is the task's headline."""

    def over(chosen: Callable[[dict[str, float]], float]) -> Callable[[Cell], Numbers]:
        return lambda cell: {name: chosen(by_subset) for name, by_subset in by_person(cell, metric).items()}

    word = _WORDS.get(metric, metric)
    found = {
        metric: Measure(word, f"{word}, all modalities", over(_whole)),
        f"{metric}_one_missing": Measure(
            word, f"{word} with one modality missing (mean over which)", over(_one_missing)
        ),
        f"{metric}_loss": Measure(
            "Loss", f"{word} lost when one modality is missing (less is better)", over(_lost), less_is_better=True
        ),
        f"{metric}_subsets_mean": Measure(word, f"{word} over all modality subsets (mean)", over(_mean_of_all)),
        f"{metric}_subsets_worst": Measure(word, f"{word} of the worst modality subset", over(_worst)),
    }
    if metric == "dice":
        found["hd95_mm"] = Measure("HD95", "HD95 in mm, all modalities (less is better)", hd95_mm, less_is_better=True)
    return found


def by_person(cell: Cell, metric: str) -> dict[str, dict[str, float]]:
    """Return the main number by person and modality subset; the Dice of a person is the mean over regions."""
    if cell.values:
        return {"everybody": {names: _number(told.get(metric)) for names, told in cell.values.items()}}
    return {
        name: {names: mean(by_region.values()) for names, by_region in person.dice.items()}
        for name, person in cell.persons.items()
    }


def hd95_mm(cell: Cell) -> Numbers:
    """Return the mean HD95 over regions of each person, in mm, with all modalities."""
    return {name: mean(person.hd95_mm.values()) for name, person in cell.persons.items()}


def mean(values: Iterable[float | None]) -> float:
    """Return the mean of the values that are defined; NaN of none."""
    defined = [value for value in values if value is not None and not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _size(names: str) -> int:
    return names.count("+") + 1


def _whole(by_subset: dict[str, float]) -> float:
    return by_subset[max(by_subset, key=_size)]


def _one_missing(by_subset: dict[str, float]) -> float:
    size = max(map(_size, by_subset)) - 1
    return mean(value for names, value in by_subset.items() if _size(names) == size)


def _lost(by_subset: dict[str, float]) -> float:
    return _whole(by_subset) - _one_missing(by_subset)


def _mean_of_all(by_subset: dict[str, float]) -> float:
    return mean(by_subset.values())


def _worst(by_subset: dict[str, float]) -> float:
    return min((value for value in by_subset.values() if not math.isnan(value)), default=math.nan)
