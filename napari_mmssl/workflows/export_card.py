"""The card of exported weights in words, for whoever is handed the file and knows nothing of us."""

from collections.abc import Iterator, Mapping
from typing import Any

from napari_mmssl.workflows.report import card_rows

_HEAD = """# {title}

**Research use only. Not a medical device: nothing these weights say may guide the care of a person.**
"""
_USE = """
## Use

```sh
pip install napari-mmssl
{command}
```

The program also takes this folder, or the `.zip` it came in, wherever it asks for weights. Scans are turned so that
their {orientation}, resampled to the spacing above, and normalised: {normalisation}.
"""
_PORTABLE = """
## Without the program

`predictor.pt2` needs torch {torch} or newer, and what is done to scans before (above). For any number n of samples:

{shapes}

```python
import torch

predictor = torch.export.load("predictor.pt2").module()
with torch.no_grad():
    answer = predictor({arguments})
```

It was tried against the network when it was written: they differed by {difference:.1e} of the largest number at most.
A `.pt2` file is a program; load it only from people you trust. The safetensors files cannot run anything.
"""
_PEOPLE = """
## People that were learned from

`people.json` holds image hashes of {people} cases and nothing of who they are. No scan can be made from a hash; whoever
has a scan can tell by it whether these weights were learned from it, and napari-mmssl warns of it.
"""
_COMMANDS = {
    "pretrain": "mmssl finetune COHORT --weights . --out RUN",
    "finetune": "mmssl predict COHORT --weights . --out DIR",
    "synthesis": "mmssl synthesize apply COHORT --weights . --out DIR",
}


def card_text(card: Mapping[str, Any]) -> str:
    """Return the whole card as Markdown."""
    known = card["export"]
    parts = [_HEAD.format(title=_title(card)), *_tables(card)]
    kind = str(card["kind"])
    how = {name: card.get(name, "not stated") for name in ("orientation", "normalisation")}
    parts.append(_USE.format(command=_COMMANDS.get(kind, "mmssl --help"), **how))
    if known.get("people"):
        parts.append(_PEOPLE.format(people=known["people"]))
    if portable := known.get("portable"):
        shapes = [f"- in: `{name}` {words}" for name, words in portable["inputs"].items()]
        shapes += [f"- out: `{name}` {words}" for name, words in portable["outputs"].items()]
        told = {name: portable[name] for name in ("torch", "difference")}
        parts.append(_PORTABLE.format(shapes="\n".join(shapes), arguments=", ".join(portable["inputs"]), **told))
    return "".join(parts)


def _title(card: Mapping[str, Any]) -> str:
    encoder = card.get("encoder") or {}
    what = str(card.get("recipe") or card.get("task") or card["kind"])
    return " ".join(word for word in (what, str(encoder.get("name", "")), str(encoder.get("size", ""))) if word)


def _tables(card: Mapping[str, Any]) -> Iterator[str]:
    known = card["export"]
    yield _table("Network", dict(card_rows(card)))
    data = known.get("data") or {}
    yield _table("Learned from", {**data, "steps": known.get("steps"), "seed": known.get("seed")})
    before = known.get("pretraining") or {}
    rows = {"recipe": before.get("recipe"), "objectives": ", ".join(before.get("objectives") or ())}
    yield _table("Pretrained with", rows | dict(before.get("data") or {}))
    yield _table("Metrics", known.get("metrics") or {})
    yield _table("Licence of the weights", {"terms": known.get("licence")})
    versions = {"napari-mmssl": known.get("napari_mmssl"), **(known.get("versions") or {})}
    yield _table("Made with", {"date": known.get("date"), **versions})
    yield _table("Files (SHA-256)", known.get("files") or {})


def _table(title: str, rows: Mapping[str, Any]) -> str:
    told = [(name, value) for name, value in rows.items() if value not in (None, "", ())]
    if not told:
        return ""
    lines = [f"| {name.replace('_', ' ')} | {_said(value)} |" for name, value in told]
    return "\n".join([f"\n## {title}\n", "| | |", "|---|---|", *lines, ""])


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
