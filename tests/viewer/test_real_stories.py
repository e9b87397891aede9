"""The two stories on real scans, by mouse and keyboard; skipped where those scans are not.

What the window showed at each step lies in the test's ``pictures`` (``pytest --basetemp FOLDER``). They show people:
look at them and delete them.
"""

import numpy as np
import pytest
from clicked_window import ClickedWindow
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QLineEdit,
    QPushButton,
    QSlider,
    QSpinBox,
    QTableView,
    QTableWidget,
)
from trained_networks import write_network

from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.volumes.image_files import read_label_map, write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap

pytestmark = pytest.mark.gl


@pytest.fixture
def window(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    return ClickedWindow(make_napari_viewer(show=True), qtbot, monkeypatch, tmp_path / "pictures")


def open_cohort(window, folder):
    before = window.session.cohort
    window.answer("getExistingDirectory", folder)
    window.click("Cases", "choose_folder")
    window.until(lambda: window.session.cohort is not before)
    window.look(f"listed_{folder.name}")


def open_row(window, row):
    before = window.session.case
    window.click_cell("Cases", "case_table", row, 0, twice=True)
    window.until(lambda: window.session.case is not before)
    window.look(f"case_{window.session.case.id}")


def shown(window):
    return [layer.name.partition(" ")[0] for layer in window.viewer.layers if layer.visible]


def test_a_clinician_looks_at_a_tumour_of_four_sequences(window, shared_data):
    window.look("start")
    open_cohort(window, shared_data / "tumour_4mod")
    open_row(window, 1)
    assert shown(window) == ["t1", "t1ce", "t2", "flair", "label"]

    window.click("Cases", "side_by_side", QCheckBox)
    window.look("side_by_side")
    assert window.viewer.canvas.grid.enabled
    window.click("Cases", "side_by_side", QCheckBox)
    # What was selected is still in hand.
    assert window.viewer.layers.selection.active.name.startswith("label")

    window.press(Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    window.until(lambda: window.session.case.id == "TCGA-DU-7294")
    window.click("Cases", "three_planes")
    window.look("planes")
    window.click("Cases", "show_coronal")
    window.look("coronal")
    window.hover((0.4, 0.5))
    assert " mm" in window.words("Cases", "cursor_position")
    assert " mm" in window.viewer.status["coordinates"]
    assert not window.viewer.status["coordinates"].endswith(":")

    window.choose("Cases", QComboBox, "filter_choice", "with a label")
    window.type("Cases", QLineEdit, "filter", "TCGA")
    window.look("filtered")
    assert window.part("Cases", QTableView, "case_table").model().rowCount() == 2


@pytest.mark.slow
def test_a_clinician_opens_dicom_sees_what_was_matched_and_saves_for_the_archive(window, shared_data, tmp_path):
    open_cohort(window, shared_data / "dicom" / "ProstateX-0218")
    open_row(window, 0)
    # The fine scan is on top, and in hand.
    assert window.viewer.layers.selection.active.name.startswith("t2")

    window.click("Cases", "pairing")
    dialog = next(one for one in window["Cases"].findChildren(QDialog) if one.isVisible())
    window.look_at(dialog, "pairing")
    dialog.reject()
    window.click("Cases", "make_fit")
    window.click("Align", "preview")
    window.until(lambda: window["Align"].fits.shown)
    window.look("fits")
    assert "adc is moved by" in window.words("Align")
    window.click("Align", "leave_preview")

    window.turn_to("Segment")
    window.answer("getExistingDirectory", write_network(tmp_path / "network", modalities=("t2",)))
    window.click("Segment", "choose_weights")
    window.click("Segment", "start")
    window.until(lambda: window["Segment"].measured is not None)
    window.choose("Segment", QComboBox, "file_format", ".dcm")
    window.answer("getSaveFileName", tmp_path / "mine.dcm")
    window.click("Segment", "save")
    window.until(lambda: "saved:" in window.words("Segment"))
    drawn = CaseView(window.viewer).of_role("prediction").data.copy()
    # As another program would read it from the archive.
    window.answer("getOpenFileName", tmp_path / "mine.dcm")
    window.click("Segment", "open_elsewhere")
    window.until(lambda: window["Segment"].drawn.file.name == "mine.dcm")
    window.look("from_dicom")
    np.testing.assert_array_equal(CaseView(window.viewer).of_role("prediction").data, drawn)


@pytest.mark.slow
def test_a_clinician_judges_corrects_and_takes_home_a_segmentation(window, shared_data, tmp_path):
    open_cohort(window, shared_data / "mini_cohort_2mm")
    open_row(window, 1)
    window.turn_to("Segment")
    window.look("nothing_yet")
    window.answer("getExistingDirectory", write_network(tmp_path / "network"))
    window.click("Segment", "choose_weights")
    window.look("weights")
    # What the network does not know cannot be switched off.
    assert window.part("Segment", QCheckBox, "use_t2") is None
    window.click("Segment", "start")
    window.until(lambda: window["Segment"].measured is not None)
    window.look("segmented")

    window.click("Segment", "next_lesion")
    window.click("Segment", "show_difference", QCheckBox)
    window.look("difference")
    window.click("Segment", "show_difference", QCheckBox)
    window.click("Segment", "show_uncertainty", QCheckBox)
    window.click("Segment", "next_uncertain")
    window.look("uncertain")
    window.click("Segment", "show_uncertainty", QCheckBox)
    first, where = window["Segment"].measured, window.viewer.dims.point
    window.click("Segment", "use_t1", QCheckBox)
    window.click("Segment", "start")
    window.until(lambda: window["Segment"].measured is not first)
    window.look("without_t1")
    assert window.part("Segment", QTableWidget, "trials").rowCount() == 2
    assert window.viewer.dims.point == where

    window.click("Segment", "correct")
    layer = window["Segment"].layer
    before = layer.data.copy()
    window.drag(window.canvas, window.at((0.45, 0.5)), window.at((0.55, 0.55)))
    window.look("painted")
    window.until(lambda: (layer.data != before).any())
    window.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.until(lambda: (layer.data == before).all())
    window.drag(window.canvas, window.at((0.45, 0.5)), window.at((0.55, 0.55)))
    window.click("Segment", "keep_correction")
    window.until(lambda: "kept:" in window.words("Segment"))
    window.answer("getSaveFileName", tmp_path / "mine.nii.gz")
    window.click("Segment", "save")
    window.until(lambda: "saved:" in window.words("Segment"))
    saved = read_label_map(tmp_path / "mine.nii.gz")
    assert saved.array.sum() == layer.data.sum()
    assert saved.geometry.same_grid(window.session.case.modalities["flair"].geometry)


@pytest.mark.slow
def test_a_clinician_sorts_an_abdomen_in_ct_and_mr_and_measures_the_liver(window, shared_data, tmp_path):
    open_cohort(window, shared_data / "abdomen_ct_mr_unpaired")
    open_row(window, 0)
    # Two people in one folder: said, and set right.
    assert "Which file is what" in window.words("Cases", "about_case")
    window.click("Cases", "pairing")
    dialog = next(one for one in window["Cases"].findChildren(QDialog) if one.isVisible())
    window.look_at(dialog, "pairing")
    files = dialog.findChild(QTableView, "pairing_table")
    heads = [dialog.table.headerData(n, Qt.Orientation.Horizontal) for n in range(dialog.table.columnCount())]
    for row in range(dialog.table.rowCount()):
        name = dialog.table.value(row, "path").rpartition("/")[2]
        if "_seg_" in name:
            window.correct_cell(files, row, heads.index("role"), "label")
        window.correct_cell(files, row, heads.index("case"), name[:2])
        assert dialog.table.value(row, "subject") == name[:2]
    window.look_at(dialog, "sorted")
    window.answer("getSaveFileName", tmp_path / "manifest.csv")
    dialog.findChild(QPushButton, "save_manifest").click()
    window.until(lambda: window.session.cohort.layout == "manifest")
    window.look("two_people")
    open_row(window, 0)
    assert shown(window) == ["ct", "label"]
    ct = CaseView(window.viewer).of_role("ct")
    assert tuple(ct.contrast_limits) == (-160, 240)
    window.choose("Cases", QComboBox, "window", "CT liver")
    assert tuple(ct.contrast_limits) == (-20, 140)
    window.look("liver_window")
    window.click("Cases", "show_coronal")
    window.look("coronal")
    window.click("Cases", "next_case")
    window.until(lambda: window.session.case.id == "mr")
    window.look("mr")
    # Of 49 organs, a label map made elsewhere with the liver alone.
    organs = read_label_map(shared_data / "abdomen_ct_mr_unpaired" / "mr_seg_totalmr50_liver5.nii.gz")
    liver = LabelMap((organs.array == 5).astype(np.uint8) * 5, organs.geometry, (LabelClass(5, "liver", "#d55e00"),))
    write_label_map(tmp_path / "liver.nrrd", liver)
    window.turn_to("Segment")
    window.look("nothing_yet")
    window.answer("getOpenFileName", tmp_path / "liver.nrrd")
    window.click("Segment", "open_elsewhere")
    window.until(lambda: window["Segment"].measured is not None)
    window.look("liver")
    legend = window.part("Segment", QTableWidget, "legend")
    assert legend.item(0, 1).text() == "liver"
    assert float(legend.item(0, 2).text()) == pytest.approx(liver.array.astype(bool).sum() * 27 / 1000, abs=0.1)
    assert legend.item(0, 3).text() == "1.00"
    window.click("Segment", "correct")
    layer = window["Segment"].layer
    assert layer.selected_label == 5
    before = np.count_nonzero(layer.data)
    window.drag(window.canvas, window.at((0.45, 0.5)), window.at((0.55, 0.55)))
    window.until(lambda: np.count_nonzero(layer.data) > before)
    window.look("painted")
    window.click("Segment", "keep_correction")
    window.until(lambda: "kept:" in window.words("Segment"))
    window.look("kept")
    window.answer("getSaveFileName", tmp_path / "mine.nii.gz")
    window.click("Segment", "save")
    window.until(lambda: "saved:" in window.words("Segment"))
    assert (read_label_map(tmp_path / "mine.nii.gz").array == 5).sum() == (layer.data == 5).sum()


@pytest.mark.slow
def test_a_clinician_outlines_a_stroke_and_hands_it_on(window, shared_data, tmp_path):
    open_cohort(window, shared_data / "stroke_dwi_adc")
    open_row(window, 0)
    assert shown(window) == ["dwi", "adc"]
    window.click("Cases", "side_by_side", QCheckBox)
    window.look("side_by_side")
    window.click("Cases", "side_by_side", QCheckBox)
    window.click("Cases", "three_planes")
    window.hover((0.4, 0.5))
    window.look("planes")
    window.turn_to("Segment")
    window.answer("getExistingDirectory", write_network(tmp_path / "network", modalities=("dwi", "adc")))
    window.click("Segment", "choose_weights")
    window.click("Segment", "start")
    window.until(lambda: window["Segment"].measured is not None)
    window.look("segmented")
    window.click("Segment", "use_adc", QCheckBox)
    window.click("Segment", "start")
    window.until(lambda: window.part("Segment", QTableWidget, "trials").rowCount() == 2)
    window.look("without_adc")
    window.click("Segment", "next_lesion")
    window.click("Segment", "correct")
    layer = window["Segment"].layer
    before = layer.data.copy()
    window.drag(window.canvas, window.at((0.3, 0.4)), window.at((0.4, 0.45)))
    window.until(lambda: (layer.data != before).any())
    window.look("corrected")
    window.choose("Segment", QComboBox, "file_format", ".nrrd")
    window.answer("getSaveFileName", tmp_path / "mine.nrrd")
    window.click("Segment", "save")
    window.until(lambda: "saved:" in window.words("Segment"))
    saved = read_label_map(tmp_path / "mine.nrrd")
    assert saved.array.sum() == layer.data.sum()
    assert saved.geometry.same_grid(window.session.case.modalities["dwi"].geometry)
    assert [one.name for one in saved.classes] == ["lesion"]
    window.answer("getExistingDirectory", tmp_path / "report")
    window.click("Segment", "report")
    window.until(lambda: any(tmp_path.glob("report/*.html")))
    window.look("report")


@pytest.mark.slow
def test_a_researcher_plays_with_a_puzzle_watches_a_training_and_sees_what_it_made(window, shared_data, tmp_path):
    open_cohort(window, shared_data / "mini_cohort_2mm")
    open_row(window, 0)
    window.turn_to("Pretext")
    window.look("pretext")
    window.click("Pretext", "draw_puzzle")
    window.until(lambda: window["Pretext"].controls.shows_puzzle)
    window.look("puzzle")
    window.hover((0.15, 0.7))
    assert "tile" in window.words("Pretext", "tile")
    slider = window.part("Pretext", QSlider, "solved")
    window.drag(
        slider, QPoint(slider.width() - 6, slider.height() // 2), QPoint(slider.width() // 2, slider.height() // 2)
    )
    window.look("half_solved")
    assert 0 < slider.value() < slider.maximum()

    window.turn_to("Train")
    window.look("train")
    window.choose("Train", QComboBox, "goal", "Pretrain: taleb2020")
    steps = window.part("Train", QSpinBox, "steps")
    steps.selectAll()
    window.write(steps, "300")
    window.type("Train", QLineEdit, "out", str(tmp_path / "runs" / "first"))
    window.click("Train", "start")
    monitor = window["Train"].monitor
    window.until(lambda: monitor.last is not None and monitor.last.step > 3, seconds=240)
    window.look("training")
    window.click("Train", "pause")
    window.until(lambda: not monitor.active)
    window.look("paused")
    window.click("Train", "resume")
    window.until(lambda: monitor.active and monitor.last is not None and monitor.last.state == "running", seconds=240)
    # From its latest checkpoint, while it runs.
    window.turn_to("Pretext")
    window.answer("getExistingDirectory", tmp_path / "runs" / "first")
    window.click("Pretext", "choose_run")
    window.click("Pretext", "solve")
    window.until(lambda: "the network has" in window.words("Pretext"), seconds=240)
    window.look("solved")
    window.turn_to("Train")
    window.click("Train", "stop")
    window.until(lambda: not monitor.active, seconds=240)
    window.look("stopped")
    window.turn_to("Runs")
    window.answer("getExistingDirectory", tmp_path / "runs")
    window.click("Runs", "choose_runs")
    table = window.part("Runs", QTableView, "run_table")
    window.until(lambda: table.model().rowCount() == 1)
    window.look("runs")
    window.turn_to("Pretext")
    window.click("Pretext", "map_cohort")
    window.until(lambda: window["Pretext"].map.map is not None, seconds=240)
    window.look("map")
