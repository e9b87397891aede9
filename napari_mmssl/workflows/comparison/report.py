"""The report of a comparison: as an HTML page with charts, as Markdown, and its main table as text."""

import json
import shlex
from html import escape

from napari_mmssl import __version__
from napari_mmssl.workflows.comparison.charts import differences, learning_curves
from napari_mmssl.workflows.comparison.settings import FREE
from napari_mmssl.workflows.comparison.tables import Comparison
from napari_mmssl.workflows.comparison.wording import people_of, tables_of

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
_TITLE = "Did pretraining help?"
_MEANING = """Every arm had the same encoder, people, labels, seeds and fine-tuning (scratch_no_dropout alone sees all
modalities at every step); arms with pretraining had the same budget of it. A draw has its own split of the people,
labelled people and seeds. "No difference shown" means that the 95 % interval of the paired difference holds zero: it is
not evidence that there is none."""
_ONE_PRETRAINING = """Each recipe was pretrained once, on other people, and that network served every draw: the
intervals do not know how another pretraining would have come out."""
_END = f"napari-mmssl {__version__}. Every number of every person is in table.csv."


def command_of(result: Comparison) -> str:
    """Return the command that repeats the study: every setting that is not the default's is in it."""
    settings = result.settings
    words = ["mmssl", "compare", settings.cohort.name, "--recipes", ",".join(settings.arms)]
    words += ["--label-fractions", ",".join(f"{fraction:g}" for fraction in settings.label_fractions)]
    if settings.first_draw:
        words += ["--first-seed", str(settings.first_draw)]
    words += ["--seeds", str(settings.draws)]
    if settings.pretrain_cohort is not None:
        words += ["--pretrain-cohort", settings.pretrain_cohort.name]
    chosen = settings.model_dump(mode="json", exclude=set(FREE), exclude_defaults=True)
    for name, value in chosen.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for part, one in parts:
            words += ["--set", f"{name}{'.' if part else ''}{part}={json.dumps(one, separators=(',', ':'))}"]
    return shlex.join([*words, "--out", "DIR"])


def render_html(result: Comparison) -> str:
    """Return the report as one HTML page that needs nothing beside it."""
    main, title = result.rows(), result.measures[result.metric].title
    curves = learning_curves(main, f"{title}; unseen people")
    forest = differences(main, f"difference to {result.settings.arms[0]} in {title}; 95 % interval")
    tables = "".join(f"<h2>{escape(table.title)}</h2>{_html(table.rows)}" for table in tables_of(result))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{_TITLE}</title><style>{_STYLE}</style>
<h1>{_TITLE}</h1>
{"".join(f'<p class="warning">{escape(note)}</p>' for note in _notes(result))}
<p>{escape(_size(result))}</p>
{curves}{forest}
{tables}
<h2>Again</h2><pre>{escape(command_of(result))}</pre>
<p>{_END}</p>
</html>
"""


def render_markdown(result: Comparison) -> str:
    """Return the tables of the report for a page of text."""
    parts = [f"# {_TITLE}", *_notes(result), _size(result)]
    for table in tables_of(result):
        head, *rows = ["| " + " | ".join(row) + " |" for row in table.rows]
        parts += [f"## {table.title}", "\n".join([head, "|---" * len(table.rows[0]) + "|", *rows])]
    return "\n\n".join([*parts, "## Again", f"```sh\n{command_of(result)}\n```", _END]) + "\n"


def render_text(result: Comparison) -> str:
    """Return the main table as text for a terminal."""
    table = next(tables_of(result))
    widths = [max(map(len, column)) for column in zip(*table.rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table.rows]
    return "\n".join([table.title, "", *map(str.rstrip, lines)])


def _notes(result: Comparison) -> list[str]:
    people = "These people are phantoms, made by a computer. " if "phantom" in result.study["cohort"] else ""
    once = [] if result.settings.pretrain_cohort is None else [_ONE_PRETRAINING]
    return [f"Research use only. {people}{_MEANING}", *once, *result.notes]


def _size(result: Comparison) -> str:
    return f"{len(result.cells)} trainings of protocol {result.study['protocol']}; {people_of(result)}."


def _html(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><tr>{head}</tr>{body}</table>"
