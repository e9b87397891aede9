"""Checks that read voxels: made by a process, shown in the table of the Cases widget."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QPushButton, QTableView

from napari_mmssl.viewer.cases.voxel_checks import VoxelChecks
from napari_mmssl.viewer.cases.widget import CasesWidget


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.mktemp("home")))


def test_what_the_checks_find_comes_into_the_table(viewer, qtbot, tmp_path, write_nifti):
    for case in ("a", "b"):
        write_nifti(tmp_path / case / "t1.nii.gz", shape_xyz=(12, 12, 12))
    write_nifti(tmp_path / "b" / "seg.nii.gz", array=[[[0] * 12] * 12] * 12, dtype="uint8")
    widget = CasesWidget(viewer)
    qtbot.addWidget(widget)
    widget.open_cohort(tmp_path)
    qtbot.waitUntil(lambda: widget.session.cohort is not None, timeout=10_000)
    button = widget.findChild(QPushButton, "check_voxels")
    model = widget.findChild(QTableView, "case_table").model()
    last = model.columnCount() - 1
    assert [model.data(model.index(row, last)) for row in range(2)] == ["", ""]

    button.click()
    assert not button.isEnabled()
    qtbot.waitUntil(button.isEnabled, timeout=60_000)

    assert [model.data(model.index(row, last)) for row in range(2)] == ["", "1: empty label"]


def test_a_cohort_that_is_gone_is_one_sentence(qtbot, tmp_path, qapp):
    checks = VoxelChecks(qapp)
    with qtbot.waitSignal(checks.failed, timeout=60_000) as failed:
        checks.start(tmp_path / "gone")
    assert "no file or folder" in failed.args[0]
    assert not checks.is_running


def test_a_check_that_is_given_up_says_nothing_more(qtbot, qapp, tmp_path):
    checks = VoxelChecks(qapp)
    with qtbot.assertNotEmitted(checks.failed, wait=300):
        checks.start(Path(tmp_path))
        checks.stop()
    assert not checks.is_running
