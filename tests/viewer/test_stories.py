"""Two people use the window: a clinician from a folder to a saved correction, a researcher from a puzzle to a map.

By clicks, in a real window, with real processes behind it; only the system's file dialogs are answered for them.
"""

import numpy as np
import pytest
from clicked_window import ClickedWindow
from qtpy.QtWidgets import QComboBox, QLineEdit, QSpinBox, QTableView, QTableWidget
from small_cohorts import write_small_cohort
from trained_networks import write_network

from napari_mmssl.volumes.image_files import read_label_map

pytestmark = pytest.mark.gl


@pytest.fixture
def window(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    return ClickedWindow(make_napari_viewer(show=True), qtbot, monkeypatch, tmp_path / "pictures")


@pytest.fixture
def cohort(tmp_path):
    return write_small_cohort(tmp_path / "cohort", 5)


def test_a_clinician_opens_judges_corrects_and_saves(window, cohort, tmp_path):
    weights = write_network(tmp_path / "network")
    viewer, session = window.viewer, window.session

    window.answer("getExistingDirectory", cohort)
    window.click("Cases", "choose_folder")
    window.until(lambda: session.cohort is not None)
    window.click("Cases", "next_case")
    window.until(lambda: session.case is not None)
    window.click("Cases", "next_case")
    window.until(lambda: session.case.id == "sub-02")
    assert [layer.name for layer in viewer.layers] == ["t1 · sub-02", "flair · sub-02", "label · sub-02"]

    window.turn_to("Segment")
    window.answer("getExistingDirectory", weights)
    window.click("Segment", "choose_weights")
    window.click("Segment", "start")
    window.until(lambda: window["Segment"].measured is not None)
    legend = window.part("Segment", QTableWidget, "legend")
    assert legend.item(0, 1).text() == "lesion"
    assert float(legend.item(0, 2).text()) > 0
    assert legend.item(0, 3).text() != ""

    window.click("Segment", "correct")
    layer = window["Segment"].layer
    before = layer.data.copy()
    layer.paint((5, 5, 5), 1)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.paint((5, 5, 5), 1)
    window.answer("getSaveFileName", tmp_path / "mine.nii.gz")
    window.click("Segment", "save")
    window.click("Segment", "keep_correction")
    window.until(lambda: "kept:" in window.words("Segment"))

    saved = read_label_map(tmp_path / "mine.nii.gz")
    assert saved.array.sum() == layer.data.sum()
    assert saved.geometry.same_grid(session.case.modalities["t1"].geometry)


def test_a_researcher_sees_a_puzzle_trains_stops_and_maps_the_cohort(window, cohort, tmp_path):
    session = window.session
    window.answer("getExistingDirectory", cohort)
    window.click("Cases", "choose_folder")
    window.until(lambda: session.cohort is not None)
    window.click("Cases", "next_case")
    window.until(lambda: session.case is not None)

    window.turn_to("Pretext")
    window.click("Pretext", "draw_puzzle")
    window.until(lambda: window["Pretext"].controls.shows_puzzle)
    assert "27 tiles" in window.words("Pretext")

    window.turn_to("Train")
    goal = window.part("Train", QComboBox, "goal")
    goal.setCurrentIndex(next(n for n in range(goal.count()) if goal.itemText(n) == "Pretrain: mae"))
    window.part("Train", QSpinBox, "steps").setValue(100_000)
    window.part("Train", QLineEdit, "out").setText(str(tmp_path / "runs" / "first"))
    window.click("Train", "start")
    window.until(lambda: window["Train"].monitor.last is not None and window["Train"].monitor.last.step > 1)
    window.click("Train", "stop")
    window.until(lambda: not window["Train"].monitor.active)
    assert "what was made so far is kept" in window.words("Train")

    window.turn_to("Runs")
    window.answer("getExistingDirectory", tmp_path / "runs")
    window.click("Runs", "choose_runs")
    table = window.part("Runs", QTableView, "run_table").model()
    window.until(lambda: table.rowCount() == 1)
    assert table.index(0, 1).data() == "stopped"

    # The run that ended last is in hand everywhere.
    window.turn_to("Pretext")
    window.click("Pretext", "map_cohort")
    window.until(lambda: window["Pretext"].map.map is not None)
    assert len(window["Pretext"].map.map.points) == 5
    window["Pretext"].map.open_case("sub-04")
    window.until(lambda: session.case.id == "sub-04")
