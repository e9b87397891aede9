"""The demo's report: one HTML file with its pictures inside."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from napari_mmssl import __version__
from napari_mmssl.workflows.evaluate import Evaluation

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; border: 1px solid #ddd; }
.warning { background: #fff4d6; padding: .6rem 1rem; border-left: 4px solid #d58a00; }
figcaption { color: #555; }
"""
_CAPTIONS = {
    "puzzle.png": "The puzzle: source, mixed modalities, shuffled tiles, and the network's answer on an unseen person.",
    "training.png": "The pretraining as the viewer shows it: loss terms and tile accuracy on unseen people.",
    "overlay.png": "The predicted tumour over the scans of a person held out from all training.",
}


def render_report(out: Path, summary: Mapping[str, Any], evaluations: Mapping[str, Evaluation]) -> str:
    """Return the report of the demo in ``out`` as one HTML page."""
    before, after = _percent(summary["puzzle_accuracy_before"]), _percent(summary["puzzle_accuracy_after"])
    figures = "".join(_figure(out / name, caption) for name, caption in _CAPTIONS.items() if (out / name).is_file())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>MMSSL demo</title><style>{_STYLE}</style>
<h1>MMSSL demo</h1>
<p class="warning">Research use only. The people in this demo are <b>phantoms</b>: tumours and contrasts made by a
computer on real average anatomy. One seed and {summary["n_test"]} test people: these numbers show that everything
runs, not which method is better.</p>
<h2>Puzzle</h2>
<p>Tiles put in their right place, on people the network never saw: <b>{before}</b> before, <b>{after}</b> after
{summary["sizes"]["pretrain_steps"]} steps.</p>
<h2>Segmentation</h2>
{_table(evaluations)}
<h2>In the viewer</h2>{figures}
<p>{escape(str(summary["seconds"]))} seconds in all; napari-mmssl {__version__}. Run again: <code>mmssl demo</code>.</p>
</html>
"""


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.0%}"


def _table(evaluations: Mapping[str, Evaluation]) -> str:
    means = {arm: (evaluation.to_json()["mean"] or {}).get("regions", {}) for arm, evaluation in evaluations.items()}
    regions = list(dict.fromkeys(region for mean in means.values() for region in mean))
    head = "".join(f"<th>{escape(region)} Dice</th><th>HD95 (mm)</th>" for region in regions)
    rows = ""
    for arm, mean in means.items():
        cells = "".join(
            f"<td>{_number(mean[region]['dice'], 2)}</td><td>{_number(mean[region]['hd95_mm'], 1)}</td>"
            for region in regions
        )
        rows += f"<tr><td>{escape(arm)}</td>{cells}</tr>"
    return f"<table><tr><th>started</th>{head}</tr>{rows}</table>"


def _number(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _figure(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
