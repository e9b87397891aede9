"""Correcting which file is what, and keeping it."""

import hashlib

import pytest
from qtpy.QtWidgets import QLabel, QPushButton

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.viewer.cases.pairing_table import HEADS
from napari_mmssl.viewer.cases.widget import CasesWidget


@pytest.fixture
def widget(viewer, qtbot, cohort_folder):
    made = CasesWidget(viewer)
    qtbot.addWidget(made)
    made.open_cohort(cohort_folder)
    qtbot.waitUntil(lambda: made.session.cohort is not None, timeout=10_000)
    return made


def change(dialog, path, head, value):
    table = dialog.table
    (row,) = [n for n in range(table.rowCount()) if table.value(n, "path").endswith(path)]
    table.setData(table.index(row, HEADS.index(head)), value)


def test_a_correction_is_kept_as_a_manifest_that_opens_as_the_cohort(widget, qtbot, cohort_folder):
    scans = {path: hashlib.sha256(path.read_bytes()).digest() for path in cohort_folder.rglob("*.nii.gz")}
    dialog = widget.open_pairing()
    change(dialog, "anna/t2.nii.gz", "modality", "pd")
    change(dialog, "cleo/flair.nii.gz", "role", "left_out")

    dialog.save(cohort_folder / "sorted.csv")
    qtbot.waitUntil(lambda: widget.session.cohort.layout == "manifest", timeout=10_000)

    cohort = widget.session.cohort
    assert set(cohort.case("anna").modalities) == {"t1", "t1ce", "pd", "flair"}
    assert set(cohort.case("cleo").modalities) == {"t1", "t1ce", "t2"}
    assert cohort.case("anna").modalities["pd"].path.samefile(cohort_folder / "anna" / "t2.nii.gz")
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in scans} == scans


def test_paths_hold_wherever_the_manifest_is_saved(widget, tmp_path):
    dialog = widget.open_pairing()
    (tmp_path / "far" / "away").mkdir(parents=True)

    dialog.save(tmp_path / "far" / "away" / "m.json")

    cohort = find_cohort(tmp_path / "far" / "away" / "m.json")
    assert [case.id for case in cohort.cases] == ["anna", "bert", "cleo"]


def test_the_person_goes_with_the_case_unless_named_apart(widget):
    dialog = widget.open_pairing()
    change(dialog, "anna/t2.nii.gz", "case", "dora")
    change(dialog, "cleo/t2.nii.gz", "subject", "cleopatra")
    change(dialog, "cleo/t2.nii.gz", "case", "cleo-2")
    table = dialog.table
    rows = {
        table.value(n, "path"): (table.value(n, "case"), table.value(n, "subject")) for n in range(table.rowCount())
    }

    assert rows["anna/t2.nii.gz"] == ("dora", "dora")
    assert rows["cleo/t2.nii.gz"] == ("cleo-2", "cleopatra")


def test_two_files_for_one_modality_are_told_before_saving(widget):
    dialog = widget.open_pairing()
    change(dialog, "anna/t2.nii.gz", "modality", "t1")
    words = dialog.findChild(QLabel, "pairing_problems")

    assert "case 'anna' has 2 files for t1" in words.text()
    change(dialog, "anna/t2.nii.gz", "modality", "t2")
    assert words.text() == ""
    assert dialog.table.n_changed == 0


def test_files_of_no_known_layout_can_be_sorted_by_hand(viewer, qtbot, cohort_folder, tmp_path):
    folder = tmp_path / "unknown"
    folder.mkdir()
    for n, name in enumerate(("t1", "flair")):
        (folder / f"scan{n}x.nii.gz").write_bytes((cohort_folder / "anna" / f"{name}.nii.gz").read_bytes())
    widget = CasesWidget(viewer)
    qtbot.addWidget(widget)
    widget.open_cohort(folder)
    qtbot.waitUntil(widget.findChild(QPushButton, "pairing").isEnabled, timeout=10_000)

    dialog = widget.open_pairing()
    for n, name in enumerate(("t1", "flair")):
        change(dialog, f"scan{n}x.nii.gz", "role", "modality")
        change(dialog, f"scan{n}x.nii.gz", "modality", name)
    dialog.save(folder / "sorted.csv")
    qtbot.waitUntil(lambda: widget.session.cohort is not None, timeout=10_000)

    assert set(widget.session.cohort.cases[0].modalities) == {"t1", "flair"}
