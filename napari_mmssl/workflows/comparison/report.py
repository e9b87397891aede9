"""The report of a comparison: one HTML page, and the same table as text."""

import json
import math
import shlex
from html import escape

from napari_mmssl import __version__
from napari_mmssl.metrics.paired import PairedDifference
from napari_mmssl.workflows.comparison.charts import differences, learning_curves
from napari_mmssl.workflows.comparison.tables import ArmRow, Comparison, ProbeRow

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 15px; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; max-width: 44rem; height: auto; display: block; margin: 1rem 0; }
.warning { background: #fff4d6; padding: .6rem 1rem; border-left: 4px solid #d58a00; }
code { background: #f4f4f4; padding: .1rem .3rem; }
pre { background: #f4f4f4; padding: .8rem; overflow-x: auto; }
"""
#: What makes no other study of it: the command names these on their own.
_NAMED = {"kind", "cohort", "arms", "label_fractions", "draws", "device"}


def command_of(result: Comparison) -> str:
    """Return the command that repeats the study: every setting that is not the default's is in it."""
    settings = result.settings
    words = ["mmssl", "compare", settings.cohort.name, "--recipes", ",".join(settings.arms)]
    words += ["--label-fractions", ",".join(f"{fraction:g}" for fraction in settings.label_fractions)]
    words += ["--seeds", str(settings.draws)]
    chosen = settings.model_dump(mode="json", exclude=_NAMED, exclude_defaults=True)
    for name, value in chosen.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, one in parts:
            words += ["--set", f"{name}{'.' if part else ''}{part}={json.dumps(one, separators=(',', ':'))}"]
    return shlex.join([*words, "--out", "DIR"])


def render_report(result: Comparison) -> str:
    """Return the report as one HTML page that needs nothing beside it."""
    main = result.rows()
    sections = "".join(_section(result, name) for name in result.measures)
    phantom = "phantom" in result.study["cohort"]
    people = "These people are <b>phantoms</b>, made by a computer. " if phantom else ""
    notes = "".join(f'<p class="warning">{escape(note)}</p>' for note in result.notes)
    title = result.measures[result.metric].title
    curves = learning_curves(main, f"{title}; unseen people")
    forest = differences(main, f"difference to {result.settings.arms[0]} in {title}; 95 % interval")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Did pretraining help?</title><style>{_STYLE}</style>
<h1>Did pretraining help?</h1>
<p class="warning">Research use only. {people}Every arm had the same encoder, people, labels, seeds and fine-tuning;
arms with pretraining had the same budget of it. A draw has its own split of the people, labelled people and seeds.
<b>No difference shown</b> means that the 95 % interval of the paired difference holds zero: it is not evidence that
there is none.</p>
{notes}
<p>{len(result.cells)} trainings of protocol {result.study["protocol"]}; {_people(result)}.</p>
{curves}{forest}
{sections}
{_subset_table(result)}
{_probe_table(result)}
<h2>Cost</h2>{_cost_table(result)}
<h2>Again</h2><pre>{escape(command_of(result))}</pre>
<p>napari-mmssl {escape(__version__)}. Every number of every person is in <code>table.csv</code>.</p>
</html>
"""


def render_text(result: Comparison) -> str:
    """Return the main table as text for a terminal."""
    lines = [result.measures[result.metric].title, ""]
    cells = [_head(result), *map(_cells, result.rows())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def _people(result: Comparison) -> str:
    held_out = {cell.held_out for cell in result.cells.values()}
    labelled = sorted({(key.fraction, cell.labelled) for key, cell in result.cells.items()})
    told = ", ".join(f"{fraction:.0%} = {n} labelled" for fraction, n in labelled)
    return f"{'/'.join(map(str, sorted(held_out)))} people held out in each draw; {told}"


def _head(result: Comparison) -> list[str]:
    return [
        "labels",
        "arm",
        "draws",
        "mean",
        "sd over draws",
        f"difference to {result.settings.arms[0]}",
        "better in",
        "verdict",
        "training (s)",
    ]


def _cells(row: ArmRow) -> list[str]:
    told = ["", "", ""] if row.difference is None else _told(row.difference)
    numbers = [str(len(row.draw_means)), _number(row.mean), _number(row.spread)]
    return [f"{row.fraction:.0%}", row.arm, *numbers, *told, _number(row.training_s, 0)]


def _told(one: PairedDifference) -> list[str]:
    interval = "one draw" if math.isnan(one.low) else f"{one.low:+.3f} to {one.high:+.3f}"
    return [f"{one.mean:+.3f} ({interval})", f"{one.n_better} of {one.n_draws}", one.verdict]


def _section(result: Comparison, measure: str) -> str:
    rows = [row for row in result.rows(measure) if not math.isnan(row.mean)]
    return (
        f"<h2>{escape(result.measures[measure].title)}</h2>{_table([_head(result), *map(_cells, rows)])}"
        if rows
        else ""
    )


def _subset_table(result: Comparison) -> str:
    title, parts = escape(result.measures[result.metric].word), []
    for fraction in result.settings.label_fractions:
        columns = {arm: result.by_subset(arm, fraction) for arm in result.settings.arms}
        names = list(dict.fromkeys(name for column in columns.values() for name in column))
        if len(names) > 1:
            rows = [[name, *(_number(column.get(name, math.nan)) for column in columns.values())] for name in names]
            parts.append(f"<h2>{title} by modality subset, {fraction:.0%} of the labels</h2>")
            parts.append(_table([["modalities", *columns], *rows]))
    return "".join(parts)


def _probe_table(result: Comparison) -> str:
    rows = result.probe_rows()
    if not rows:
        return ""
    head = ["labels", "arm", "probe", "pretrained", "random weights", "difference", "better in", "verdict"]
    return f"<h2>Told from frozen features</h2>{_table([head, *map(_probe_cells, rows)])}"


def _probe_cells(row: ProbeRow) -> list[str]:
    numbers = [_number(row.pretrained), _number(row.random)]
    return [f"{row.fraction:.0%}", row.arm, row.probe, *numbers, *_told(row.difference)]


def _cost_table(result: Comparison) -> str:
    head = ["arm", "pretraining (s)", "fine-tuning (s)"]
    rows = [[arm, *(_number(seconds, 0) for seconds in result.cost_s(arm))] for arm in result.settings.arms]
    return _table([head, *rows])


def _table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
