"""The tables of a comparison in words, each a title and rows of text, whatever page they stand on."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from napari_mmssl.metrics.paired import PairedDifference
from napari_mmssl.workflows.comparison.tables import ArmRow, Comparison, ProbeRow

Row = list[str]


@dataclass(frozen=True)
class Table:
    """Rows of text under a title; the first row is the head, the first column holds words."""

    title: str
    rows: list[Row]


def tables_of(result: Comparison) -> Iterator[Table]:
    """Yield the tables that hold something: measures, the main one first, then subsets, probes and cost."""
    for name, measure in result.measures.items():
        rows = [row for row in result.rows(name) if not math.isnan(row.mean)]
        if rows:
            yield Table(measure.title, [_head(result), *map(_cells, rows)])
    yield from _by_subset(result)
    probes = result.probe_rows()
    if probes:
        head = ["labels", "arm", "probe", "pretrained", "random weights", "difference", "better in", "verdict"]
        yield Table("Told from frozen features", [head, *map(_probe_cells, probes)])
    head = ["arm", "pretraining (s)", "fine-tuning (s)"]
    costs = [[arm, *(_number(seconds, 0) for seconds in result.cost_s(arm))] for arm in result.settings.arms]
    yield Table("Cost", [head, *costs])


def people_of(result: Comparison) -> str:
    """Return how many people were held out, pretrained on and labelled."""
    held_out = {cell.held_out for cell in result.cells.values()}
    labelled = sorted({(key.fraction, cell.labelled) for key, cell in result.cells.items()})
    told = ", ".join(f"{fraction:.0%} = {n} labelled" for fraction, n in labelled)
    pretrained = "/".join(str(n) for n in sorted({cell.unlabelled for cell in result.cells.values()} - {0}))
    also = f", {pretrained} pretrained on" if pretrained else ""
    return f"{'/'.join(map(str, sorted(held_out)))} people held out in each draw{also}; {told}"


def _head(result: Comparison) -> Row:
    difference = f"difference to {result.settings.arms[0]} (95 % interval)"
    return ["labels", "arm", "draws", "mean", "sd over draws", difference, "better in", "verdict", "training (s)"]


def _cells(row: ArmRow) -> Row:
    told = ["", "", ""] if row.difference is None else _told(row.difference)
    numbers = [str(len(row.draw_means)), _number(row.mean), _number(row.spread)]
    return [f"{row.fraction:.0%}", row.arm, *numbers, *told, _number(row.training_s, 0)]


def _told(one: PairedDifference) -> Row:
    interval = "one draw" if math.isnan(one.low) else f"{one.low:+.3f} to {one.high:+.3f}"
    return [f"{one.mean:+.3f} ({interval})", f"{one.n_better} of {one.n_draws}", one.verdict]


def _by_subset(result: Comparison) -> Iterator[Table]:
    word = result.measures[result.metric].word
    for fraction in result.settings.label_fractions:
        columns = {arm: result.by_subset(arm, fraction) for arm in result.settings.arms}
        names = list(dict.fromkeys(name for column in columns.values() for name in column))
        if len(names) > 1:
            rows = [[name, *(_number(column.get(name, math.nan)) for column in columns.values())] for name in names]
            yield Table(f"{word} by modality subset, {fraction:.0%} of the labels", [["modalities", *columns], *rows])


def _probe_cells(row: ProbeRow) -> Row:
    return [
        f"{row.fraction:.0%}",
        row.arm,
        row.probe,
        _number(row.pretrained),
        _number(row.random),
        *_told(row.difference),
    ]


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
