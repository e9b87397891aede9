"""What the documents mark to be run or written: ``<!-- run: fast -->`` and ``<!-- file: PATH -->`` above a fence."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARKED = re.compile(r"^<!-- (run|file): (.+?) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A fenced block with its mark: ``run`` with ``fast``, ``slow`` ..., or ``file`` with a path."""

    kind: str
    about: str
    language: str
    text: str


def snippets_of(page: Path) -> list[Snippet]:
    """Return the marked blocks of a page, in order."""
    return [Snippet(*match) for match in _MARKED.findall(page.read_text(encoding="utf-8"))]


def pages() -> list[Path]:
    """Return every page that may hold some."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
