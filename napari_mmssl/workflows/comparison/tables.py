"""From cells to tables: means, paired differences to the first arm, modality subsets, cost."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_mmssl.metrics.paired import PairedDifference, paired_difference
from napari_mmssl.tasks import tasks
from napari_mmssl.workflows.comparison.cells import Cell
from napari_mmssl.workflows.comparison.measures import Measure, by_person, mean, measures_of
from napari_mmssl.workflows.comparison.settings import COHORTS, CellKey, CompareSettings


@dataclass(frozen=True)
class ArmRow:
    """One arm at one share of the labels.

    Parameters
    ----------
    arm, fraction
        Which.
    draw_means
        By draw, the mean over the people it held out.
    difference
        To the first arm, on the same people in the same draws; ``None`` for the first arm itself, or without pairs.
    training_s
        Mean seconds of all training steps of a draw, pretraining included.
    """

    arm: str
    fraction: float
    draw_means: dict[int, float]
    difference: PairedDifference | None
    training_s: float

    @property
    def mean(self) -> float:
        """Mean over draws."""
        return mean(self.draw_means.values())

    @property
    def spread(self) -> float:
        """Standard deviation over draws; NaN for one draw."""
        values = [value for value in self.draw_means.values() if not math.isnan(value)]
        return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


@dataclass(frozen=True)
class ProbeRow:
    """One probe of the frozen features of one arm: mean over draws, beside an encoder of random weights.

    Parameters
    ----------
    arm, fraction, probe
        Which; a probe is fitted to the voxels of the labelled people of a cell.
    pretrained, random
        Means over draws.
    difference
        Between the two, a number per draw.
    """

    arm: str
    fraction: float
    probe: str
    pretrained: float
    random: float
    difference: PairedDifference


@dataclass(frozen=True)
class Comparison:
    """A study as far as it is done: settings, what makes it one study, its cells, and what is doubtful about it."""

    settings: CompareSettings
    study: dict[str, Any]
    cells: dict[CellKey, Cell]
    notes: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """The headline of the task, which the main table is of."""
        return tasks.get(self.settings.task).headline

    @property
    def measures(self) -> dict[str, Measure]:
        """What there are tables of, the main one first."""
        return measures_of(self.metric)

    def rows(self, name: str | None = None) -> list[ArmRow]:
        """Return a row for each share of the labels and arm that has cells, for one of :attr:`measures`."""
        measure = self.measures[name or self.metric]
        rows = []
        for fraction in self.settings.label_fractions:
            for arm in self.settings.arms:
                values = self._values(arm, fraction, measure)
                if values:
                    means = {draw: mean(persons.values()) for draw, persons in values.items()}
                    seconds = mean(sum(cell.cost.values()) for cell in self._cells(arm, fraction))
                    difference = self._difference(arm, fraction, values, measure)
                    rows.append(ArmRow(arm, fraction, means, difference, seconds))
        return rows

    def probe_rows(self) -> list[ProbeRow]:
        """Return a row for each share of the labels, pretrained arm and probe that was measured."""
        rows = []
        for fraction in self.settings.label_fractions:
            for arm in self.settings.arms:
                found: dict[str, list[tuple[float, float]]] = {}
                for cell in self._cells(arm, fraction):
                    for name, told in cell.probes.items():
                        if told["pretrained"] is not None and told["random"] is not None:
                            found.setdefault(name, []).append((told["pretrained"], told["random"]))
                for name, pairs in found.items():
                    means = (mean(one for one, _ in pairs), mean(other for _, other in pairs))
                    difference = paired_difference([[one - other] for one, other in pairs])
                    rows.append(ProbeRow(arm, fraction, name, *means, difference))
        return rows

    def by_subset(self, arm: str, fraction: float) -> dict[str, float]:
        """Return the mean of the headline over people and draws by modality subset."""
        found: dict[str, list[float]] = {}
        for cell in self._cells(arm, fraction):
            for subsets in by_person(cell, self.metric).values():
                for names, value in subsets.items():
                    found.setdefault(names, []).append(value)
        return {
            names: mean(values)
            for names, values in sorted(found.items(), key=lambda item: (item[0].count("+"), item[0]))
        }

    def cost_s(self, arm: str) -> tuple[float, float]:
        """Return the mean seconds of pretraining and of fine-tuning of ``arm``; NaN where there is no cell."""
        cells = [cell for key, cell in self.cells.items() if key.arm == arm]
        return mean(cell.cost.get("pretrain_s", 0.0) for cell in cells), mean(cell.cost["finetune_s"] for cell in cells)

    def to_json(self) -> dict[str, Any]:
        """Return the stable form of ``summary.json``; undefined is null."""
        return {
            "format": 1,
            "study": self.study,
            "settings": self.settings.model_dump(mode="json", exclude=set(COHORTS)),
            "notes": list(self.notes),
            "cells": len(self.cells),
            "tables": {name: [_row_json(row) for row in self.rows(name)] for name in self.measures},
            "subsets": {
                f"{fraction:g}": {arm: _clean(self.by_subset(arm, fraction)) for arm in self.settings.arms}
                for fraction in self.settings.label_fractions
            },
            "probes": [{**asdict(row), "difference": _difference_json(row.difference)} for row in self.probe_rows()],
            "cost_s": {
                arm: dict(zip(("pretrain", "finetune"), map(_or_null, self.cost_s(arm)), strict=True))
                for arm in self.settings.arms
            },
        }

    def _cells(self, arm: str, fraction: float) -> list[Cell]:
        """Return the cells of an arm at a share of the labels, by draw."""
        return [cell for key, cell in sorted(self.cells.items()) if (key.arm, key.fraction) == (arm, fraction)]

    def _values(self, arm: str, fraction: float, measure: Measure) -> dict[int, dict[str, float]]:
        return {cell.key.draw: measure.of(cell) for cell in self._cells(arm, fraction)}

    def _difference(
        self, arm: str, fraction: float, values: dict[int, dict[str, float]], measure: Measure
    ) -> PairedDifference | None:
        if arm == self.settings.arms[0]:
            return None
        base = self._values(self.settings.arms[0], fraction, measure)
        draws = [
            [value - base[draw][name] for name, value in persons.items() if name in base[draw]]
            for draw, persons in values.items()
            if draw in base
        ]
        if all(math.isnan(value) for draw in draws for value in draw):
            return None
        return paired_difference(draws, less_is_better=measure.less_is_better)


def to_csv(result: Comparison) -> str:
    """Return every number of every person, a line each; what only a group has stands under ``everybody``."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["arm", "label_fraction", "draw", "labelled", "person", "modalities", "measure", "value"])
    for key, cell in sorted(result.cells.items()):
        start = [key.arm, key.fraction, key.draw, cell.labelled]
        table.writerows([*start, *numbers] for numbers in _numbers_of(cell))
    return text.getvalue()


def _numbers_of(cell: Cell) -> Iterator[tuple[str, str, str, float | None]]:
    """Yield person, modalities, measure and value."""
    for name, person in cell.persons.items():
        for names, by_region in person.dice.items():
            yield from ((name, names, f"dice {region}", value) for region, value in by_region.items())
        yield from ((name, person.modalities, f"hd95_mm {region}", value) for region, value in person.hd95_mm.items())
    for names, told in cell.values.items():
        yield from (("everybody", names, metric, value) for metric, value in told.items())


def _row_json(row: ArmRow) -> dict[str, Any]:
    table: dict[str, Any] = {
        "arm": row.arm,
        "label_fraction": row.fraction,
        "mean": _or_null(row.mean),
        "spread_over_draws": _or_null(row.spread),
        "draws": _clean({str(draw): value for draw, value in row.draw_means.items()}),
    }
    if row.difference is not None:
        table["difference"] = _difference_json(row.difference)
    return table


def _difference_json(one: PairedDifference) -> dict[str, Any]:
    return {
        "mean": _or_null(one.mean),
        "low": _or_null(one.low),
        "high": _or_null(one.high),
        "draws": one.n_draws,
        "draws_better": one.n_better,
        "verdict": one.verdict,
    }


def _clean(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _or_null(value) for name, value in values.items()}


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
