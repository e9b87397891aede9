"""A report on one case: what was drawn, how much of it there is, how it compares, and which model drew it."""

import base64
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from napari_mmssl import __version__
from napari_mmssl.atomic import make_folder, write_text
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import ConfigError, LayoutError, MmsslError, ReadError
from napari_mmssl.tasks.conventions import read_table
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.volumes.image_files import is_image, read_label_map, stem
from napari_mmssl.volumes.label_classes import complete
from napari_mmssl.volumes.reindex import reindexed
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.difference import Difference, compare_label_maps
from napari_mmssl.workflows.evaluate import read_record
from napari_mmssl.workflows.lesions import Lesion, find_lesions
from napari_mmssl.workflows.report_pictures import slice_picture

RESEARCH_USE = "Research use only. Not a medical device; nothing in this report may guide the care of a person."
#: More rows than this are left to the table.
_MOST_LESIONS, _MOST_PLACES, _MOST_MODALITIES = 20, 3, 4
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.warning { background: #fff4d6; padding: .6rem 1rem; border-left: 4px solid #d58a00; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; } figure { margin: 0; } figcaption { color: #555; }
@media print { body { margin: 0; } }
"""


@dataclass(frozen=True, eq=False)
class Facts:
    """What a report tells beside the label map.

    Parameters
    ----------
    drawn_by
        In words: which network, or which file from elsewhere.
    card
        The model card of a network of ours; empty if there is none.
    corrected
        Whether a person changed what was drawn.
    trained_on
        Whether the network learned from this person; ``None`` if that is not known.
    reference
        A label map to compare with.
    convention
        What the values mean, as ``predictions.json`` has it.
    """

    drawn_by: str
    card: Mapping[str, Any]
    corrected: bool = False
    trained_on: bool | None = None
    reference: LabelMap | None = None
    convention: Mapping[str, Any] | None = None


def report_cases(labels: Path, cohort_path: Path, out: Path, case_ids: Sequence[str] = ()) -> list[Path]:
    """Write a report on each case of which ``labels`` holds a label map.

    Parameters
    ----------
    labels
        A folder of label maps named after the cases, such as ``mmssl predict`` writes; or one of its files.
    cohort_path
        The cohort with the scans; its own label maps are the reference.
    out
        Folder to write into.
    case_ids
        Only these, where given.

    Raises
    ------
    MmsslError
        If something cannot be read or written, or no label map belongs to a case.
    """
    if not labels.exists():
        raise ReadError(f"there is no file or folder '{labels}'")
    files = [labels] if labels.is_file() else sorted(path for path in labels.iterdir() if is_image(path))
    by_id = {case.id: case for case in find_cohort(cohort_path).chosen(case_ids)}
    chosen = [(by_id[name], path) for path in files for name in [_case_of(path)] if name in by_id]
    if not chosen:
        raise LayoutError(f"no label map in '{labels}' is called like a case of '{cohort_path}': {', '.join(by_id)}")
    return [write_report(out, case, read_label_map(path), facts_of(path, case)) for case, path in chosen]


def facts_of(path: Path, case: Case, *, corrected: bool = False) -> Facts:
    """Return what is known of the label map file ``path``, from ``predictions.json`` beside it and the model's card."""
    record = read_record(path.parent) or {}
    corrected = corrected or stem(path).endswith("_corrected")
    reference = None if case.label is None else read_label(case.label)
    weights = record.get("weights")
    if weights is None:
        return Facts(f"the file {path.name}, made elsewhere", {}, corrected, None, reference)
    every = [weights] if isinstance(weights, str) else list(weights)
    try:
        card = read_card(Path(every[0]))
    except MmsslError:
        # The numbers stand without the weights, which may have been moved.
        card = {}
    entry = record.get("cases", {}).get(case.id, {})
    names = ", ".join(Path(one).name for one in every)
    return Facts(names, card, corrected, entry.get("trained_on"), reference, record.get("convention"))


def write_report(out: Path, case: Case, labels: LabelMap, facts: Facts) -> Path:
    """Write ``<case>_report.html``, ``<case>_volumes.csv`` and ``<case>_lesions.csv`` into ``out``.

    The page stands alone: its pictures are inside. It holds the id of the case and no path, date or value of a
    scan's header.

    Returns
    -------
    The page.

    Raises
    ------
    ConfigError
        If the case has no scan on the grid of the label map.
    WriteError
        If something cannot be written.
    """
    pictures = _pictures(case, labels)
    lesions = find_lesions(labels, together=True)
    compared = None if facts.reference is None else _compared(labels, facts)
    make_folder(out)
    volumes = _volume_rows(labels, compared)
    write_text(out / f"{case.id}_volumes.csv", _csv(("class", "volume_ml", "dice", "hd95_mm", "nsd"), volumes))
    by_class = [_lesion_row(n, one) for n, one in enumerate(find_lesions(labels), start=1)]
    write_text(out / f"{case.id}_lesions.csv", _csv(LESION_COLUMNS, by_class))
    page = out / f"{case.id}_report.html"
    write_text(page, _page(case, labels, facts, volumes, lesions, pictures))
    return page


LESION_COLUMNS = ("number", "class", "volume_ml", "longest_mm", "centroid_R_mm", "centroid_A_mm", "centroid_S_mm")


def _case_of(path: Path) -> str:
    return stem(path).removesuffix("_corrected").removesuffix("_seg")


def _compared(labels: LabelMap, facts: Facts) -> Difference | None:
    assert facts.reference is not None
    convention = None if facts.convention is None else read_table(dict(facts.convention))
    try:
        return compare_label_maps(labels, facts.reference, convention)
    except MmsslError:
        # A reference in another coding or on another grid says nothing of this map; the rest of the report stands.
        return None


def _volume_rows(labels: LabelMap, compared: Difference | None) -> list[tuple[Any, ...]]:
    scores = {} if compared is None else {**compared.classes, **compared.regions}
    ml = labels.geometry.voxel_ml
    rows: list[tuple[Any, ...]] = []
    for one in complete(labels.array, labels.classes):
        found = scores.pop(one.name, None)
        rows.append((one.name, float((labels.array == one.value).sum()) * ml, *_three_scores(found)))
    return [*rows, *((name, None, *_three_scores(found)) for name, found in scores.items())]


def _three_scores(found: Any) -> tuple[float | None, ...]:
    values = (math.nan,) * 3 if found is None else (found.dice, found.hd95_mm, found.nsd)
    return tuple(None if math.isnan(value) else value for value in values)


def _lesion_row(number: int, one: Lesion) -> tuple[Any, ...]:
    return (number, one.label.name, one.volume_ml, one.longest_mm, *one.centroid_mm)


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return table.getvalue()


def _pictures(case: Case, labels: LabelMap) -> list[tuple[str, bytes]]:
    """Return pictures of the largest lesions, or of the middle, in each modality on the grid of the labels."""
    on_grid = {}
    for name, scan in case.modalities.items():
        moved = reindexed(labels, scan.geometry)
        if moved is not None:
            on_grid[name] = (read_scan(scan), moved)
        if len(on_grid) == _MOST_MODALITIES:
            break
    if not on_grid:
        raise ConfigError(
            f"no scan of case '{case.id}' lies on the grid of the label map; name the scans it was drawn on"
        )
    right, front, head = (float(value) for value in labels.geometry.corners_world().mean(axis=0))
    lesions = find_lesions(labels, together=True)[:_MOST_PLACES]
    places = [(f"lesion {n}", one.inside_mm) for n, one in enumerate(lesions, start=1)] or [
        ("middle", (right, front, head))
    ]
    return [
        (f"{place}, {name}", slice_picture(volume, drawn, at))
        for place, at in places
        for name, (volume, drawn) in on_grid.items()
    ]


def _page(
    case: Case,
    labels: LabelMap,
    facts: Facts,
    volumes: Sequence[Sequence[Any]],
    lesions: Sequence[Lesion],
    pictures: Sequence[tuple[str, bytes]],
) -> str:
    rows = [_lesion_row(n, one) for n, one in enumerate(lesions, start=1)]
    more = f"<p>{len(rows) - _MOST_LESIONS} smaller ones are in the CSV.</p>" if len(rows) > _MOST_LESIONS else ""
    figures = "".join(_figure(name, png) for name, png in pictures)
    head = ("lesion", "class", "ml", "longest (mm)", "R (mm)", "A (mm)", "S (mm)")
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(case.id)}</title><style>{_STYLE}</style>
<h1>{escape(case.id)}</h1>
<p class="warning"><b>{RESEARCH_USE}</b></p>
{"".join(f"<p>{escape(sentence)}</p>" for sentence in _story(facts))}
<h2>Classes</h2>
{_table(("class", "ml", "Dice", "HD95 (mm)", "NSD at 2 mm"), volumes)}
<h2>Separate lesions, all classes together</h2>
{_table(head, rows[:_MOST_LESIONS])}{more}
<p>Longest: the largest distance between two points of the lesion, in any direction. R, A, S: its centroid in the
scanner's millimetres, to the patient's right, front and head.</p>
<h2>Pictures</h2>
<p>Axial; the patient's right is on the left. {_legend(labels)}</p>
<div class="row">{figures}</div>
<h2>Model card</h2>
{_card(facts)}
<p>napari-mmssl {__version__}. {RESEARCH_USE}</p>
</html>
"""


def _legend(labels: LabelMap) -> str:
    classes = complete(labels.array, labels.classes)
    return " ".join(f'<span style="color:{one.colour}">■</span> {escape(one.name)}' for one in classes)


def _story(facts: Facts) -> list[str]:
    said = [f"Drawn by: {facts.drawn_by}."]
    if facts.corrected:
        said.append("A person corrected what was drawn: volumes and lesions are those of the corrected map.")
    if facts.trained_on:
        said.append("The network was trained on this person: its scores here say nothing of how it does on others.")
    if facts.reference is None:
        said.append("There is no reference to compare with.")
    return said


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>" if rows else "<p>None.</p>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))


def _card(facts: Facts) -> str:
    if not facts.card:
        return "<p>None: the label map was made elsewhere, or its weights were moved.</p>"
    return _table(("", ""), card_rows(facts.card))


def card_rows(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a person should know of a model, from its card: name and words, in reading order."""
    encoder = card.get("encoder", {})
    convention = card.get("convention") or {}
    classes = ", ".join(one["name"] for one in convention.get("classes", ()))
    rows = {
        "task": card.get("task", card.get("kind")),
        "network": " ".join(str(encoder.get(key, "")) for key in ("name", "size")).strip(),
        "sequences": ", ".join(card.get("modalities", ())),
        "classes": classes,
        "coding": convention.get("name"),
        "spacing (mm, z y x)": " × ".join(f"{edge:.3g}" for edge in card.get("spacing_mm", ())),
        "began with": _began_with(card.get("weights")),
        "share of the labels": card.get("label_fraction"),
        "use": "research only" if card.get("research_use_only") else None,
    }
    return [(name, str(value)) for name, value in rows.items() if value not in (None, "", ())]


def _began_with(weights: Any) -> str | None:
    if weights == "none":
        return "random weights"
    return None if weights is None else f"the weights of {Path(str(weights)).name}"


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    text = escape(name)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
