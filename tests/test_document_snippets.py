"""What the documents say to type works, and what they say to write can be added."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import pytest
from clinical_cohorts import write_clinical_cohort
from document_snippets import ROOT, Snippet, pages, snippets_of
from small_cohorts import write_small_cohort

PAGES = {
    speed: [page for page in pages() if speed in {s.about for s in snippets_of(page)}] for speed in ("fast", "slow")
}
ADDING = [page for page in pages() if any(snippet.kind == "file" for snippet in snippets_of(page))]


def run_snippet(snippet: Snippet, folder: Path, packages: Path = ROOT) -> str:
    """Run a block in ``folder`` with the package from ``packages``; ``mmssl`` is this interpreter's."""
    commands = folder.parent / "commands"
    commands.mkdir(exist_ok=True)
    for name, call in (("mmssl", f'"{sys.executable}" -m napari_mmssl'), ("python", f'"{sys.executable}"')):
        (commands / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PYTHONPATH": str(packages),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
    }
    call = ["bash", "-euc", snippet.text] if snippet.language == "sh" else [sys.executable, "-c", snippet.text]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{snippet.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def play(page: Path, folder: Path, speeds: set[str]) -> None:
    folder.mkdir()
    for snippet in snippets_of(page):
        if snippet.kind == "run" and snippet.about in speeds:
            run_snippet(snippet, folder)


@pytest.mark.skipif(os.name == "nt", reason="the snippets are for a POSIX shell")
@pytest.mark.parametrize("page", PAGES["fast"], ids=lambda page: page.stem)
def test_what_is_marked_as_fast_runs(page, tmp_path):
    play(page, tmp_path / "there", {"fast"})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES["slow"], ids=lambda page: page.stem)
def test_what_is_marked_as_slow_runs(page, tmp_path):
    play(page, tmp_path / "there", {"fast", "slow"})


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A copy of the package with every file that the pages say to write, and cohorts to try them on."""
    packages = tmp_path_factory.mktemp("grown")
    shutil.copytree(ROOT / "napari_mmssl", packages / "napari_mmssl", ignore=shutil.ignore_patterns("__pycache__"))
    for page in ADDING:
        for snippet in snippets_of(page):
            if snippet.kind == "file":
                assert not (packages / snippet.about).exists(), snippet.about
                (packages / snippet.about).write_text(snippet.text)
    there = packages / "there"
    write_small_cohort(there / "cohort")
    write_clinical_cohort(there / "aged", 8)
    # The table of the clinical cohort gives one age to all; a spread is needed to tell ages apart.
    table = there / "aged" / "survival_info.csv"
    rows = [row.split(",") for row in table.read_text().splitlines()]
    rows[1:] = [[row[0], str(50 + 3 * n), *row[2:]] for n, row in enumerate(rows[1:])]
    table.write_text("\n".join(",".join(row) for row in rows) + "\n")
    for place in ("scans", "outlines"):
        (there / "outlined" / place).mkdir(parents=True)
    image = nib.load(there / "cohort" / "sub-01" / "t1.nii.gz")
    nib.save(image, there / "outlined" / "scans" / "anna--t1.nii.gz")
    nib.save(nib.load(there / "cohort" / "sub-01" / "seg.nii.gz"), there / "outlined" / "outlines" / "anna.nii.gz")
    run_snippet(Snippet("run", "with added", "sh", CATALOGUE), there, packages)
    return packages


#: First on each page; run once for all of them.
CATALOGUE = "python -m napari_mmssl.workflows.catalogue\n"
EXPECTED = {
    "add-an-objective": "mirror_accuracy",
    "add-an-encoder": "plain",
    "add-a-layout": "layout scans_and_outlines",
    "add-a-task": "spread of",
}


@pytest.mark.skipif(os.name == "nt", reason="the snippets are for a POSIX shell")
@pytest.mark.parametrize("page", ADDING, ids=lambda page: page.stem)
def test_what_a_page_adds_is_there_and_works(page, grown):
    (snippet,) = [snippet for snippet in snippets_of(page) if snippet.about == "with added"]
    there = grown / "there"
    assert snippet.text.startswith(CATALOGUE)
    said = run_snippet(replace(snippet, text=snippet.text.removeprefix(CATALOGUE)), there, grown)
    runs = "".join(path.read_text() for path in there.glob("*/events.jsonl")) + "".join(
        path.read_text() for path in there.glob("*/run.toml")
    )
    assert EXPECTED[page.stem] in said + runs
