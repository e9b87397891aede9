"""The table of faults in the documents names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs/reference/faults.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip()[:40] for row in ROWS])
def test_each_row_names_tests_that_are_there(row):
    named = re.findall(r"`((?:tests/\w+/)?test_\w+\.py)?(?:::)?(test_\w+|…\w+)?…?`", row.split("|")[3])
    named = [(file, name) for file, name in named if file or name]
    assert named
    assert all(name for _, name in named), "a file alone names no test"
    text = ""
    for file, name in named:
        if file:
            path = ROOT / file if "/" in file else ROOT / "tests" / "training" / file
            text = path.read_text(encoding="utf-8")
        assert re.search(rf"def test_\w*{name.removeprefix('…').removeprefix('test_')}", text), name
