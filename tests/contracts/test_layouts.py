"""Every registered layout: recognised for what it is, opened without a voxel, written down and read again."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from layout_trees import TREES
from tree_making import write_nifti

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.workflows.manifest import save_manifest

NAMES = [entry.name for entry in layouts.entries()]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return where the made-up cohort of a layout lies; each is made once, and no test changes it."""
    places = {}

    def make(layout):
        if layout not in places:
            root = tmp_path_factory.mktemp("layouts") / f"cohort of {layout}"
            root.mkdir()
            places[layout] = TREES[layout].make(root, write_nifti, np.random.default_rng(20261122)) or root
        return places[layout]

    return make


def seen(cohort: Cohort):
    return {case.id: {*case.modalities, *(["LABEL"] if case.label else [])} for case in cohort.cases}


def on_disk(root):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", NAMES)
def test_a_made_up_tree_is_recognised_for_what_it_is(made, layout):
    path = made(layout)
    before = on_disk(path if path.is_dir() else path.parent)
    cohort = find_cohort(path)
    assert cohort.layout == layout
    assert {case.id.replace("_", " "): what for case in cohort.cases for what in [seen(cohort)[case.id]]} == {
        name.replace("_", " ").replace(" ä", ""): what for name, what in TREES[layout].seen.items()
    }
    assert len({case.subject for case in cohort.cases}) == TREES[layout].subjects
    assert on_disk(path if path.is_dir() else path.parent) == before


@pytest.mark.parametrize("layout", NAMES)
def test_every_file_comes_with_the_reason_for_its_match(made, layout):
    for case in find_cohort(made(layout)).cases:
        files = {**case.modalities, **({"label": case.label} if case.label else {})}
        assert layout == "manifest" or [name for name, scan in files.items() if not scan.why] == []


@pytest.mark.parametrize("layout", [name for name in NAMES if TREES[name].clinical])
def test_the_clinical_table_of_each_is_read(made, layout):
    clinical = {case.id: case.clinical for case in find_cohort(made(layout)).cases if case.clinical}
    assert clinical == TREES[layout].clinical


def plainly(cohort: Cohort, places=lambda path: path.resolve()):
    """Return all of a cohort that a manifest must keep, in a form that can be compared."""

    def file(scan):
        grid = (scan.geometry.shape, scan.geometry.affine.tolist())
        return places(scan.path), scan.channel, scan.series_uid, scan.coding, scan.why, scan.synthetic, grid

    return [
        (
            case.id,
            case.subject,
            case.session,
            {name: file(scan) for name, scan in case.modalities.items()},
            case.label and file(case.label),
            case.clinical,
        )
        for case in cohort.cases
    ]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("layout", NAMES)
def test_a_cohort_written_to_a_manifest_comes_back_equal(made, tmp_path, layout, suffix):
    cohort = find_cohort(made(layout))
    (tmp_path / "lists").mkdir()
    file = tmp_path / "lists" / f"manifest{suffix}"
    save_manifest(cohort, file)
    again = find_cohort(file)
    assert again.layout == "manifest"
    assert plainly(again) == plainly(cohort)
    assert again.label_names == (cohort.label_names if any(case.label for case in cohort.cases) else {})
    assert not any("unreadable" in finding.kind for case in again.cases for finding in case.findings)


@pytest.mark.parametrize("layout", NAMES)
def test_the_documents_tell_of_each(layout):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "my-own-data.md"
    assert f"\n| `{layout}` |" in page.read_text(encoding="utf-8")
