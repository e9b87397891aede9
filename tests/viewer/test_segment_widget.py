"""The Segment widget with a process that only pretends to see."""

import numpy as np
import pytest
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QTableWidget

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.viewer.segment.legend import class_volumes
from napari_mmssl.viewer.segment.widget import SegmentWidget
from napari_mmssl.volumes.image_files import read_label_map, read_volume, write_label_map
from napari_mmssl.volumes.volume import LabelClass, LabelMap


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "fine" / "weights").mkdir(parents=True)
    write_card(tmp_path / "fine" / "weights", {"kind": "finetune", "task": "segmentation"})
    return tmp_path / "fine"


@pytest.fixture
def widget(viewer, qtbot, cohort_folder, fake_launch):
    made = SegmentWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(made)
    cohort = find_cohort(cohort_folder)
    made.session.cohort = cohort
    CaseView(viewer).show(read_case(cohort.cases[0]))
    made.session.case = cohort.cases[0]
    return made


def button(widget, name):
    return widget.findChild(QPushButton, name)


def segment(widget, qtbot, weights):
    widget.set_weights(weights)
    button(widget, "start").click()
    qtbot.waitUntil(lambda: widget.layer is not None, timeout=20_000)
    return widget.layer


def table(widget):
    legend = widget.findChild(QTableWidget, "legend")
    return [[legend.item(row, column).text() for column in (1, 2)] for row in range(legend.rowCount())]


def test_without_weights_it_says_how_to_get_some(widget):
    about = widget.findChild(QLabel, "about").text()

    assert "Train widget" in about
    assert "mmssl demo" in about
    assert not button(widget, "start").isEnabled()


def test_weights_of_a_pretraining_cannot_segment(widget, tmp_path):
    (tmp_path / "weights").mkdir()
    write_card(tmp_path / "weights", {"kind": "pretrain"})

    widget.set_weights(tmp_path)

    assert "holds the weights of a pretrain" in widget.findChild(QLabel, "about").text()
    assert not button(widget, "start").isEnabled()


def test_a_fine_tuning_that_ends_is_taken_at_once(widget, weights):
    widget.session.run = weights

    assert button(widget, "start").isEnabled()


def test_the_answer_lies_over_the_case_with_its_name_and_volume(widget, qtbot, weights, viewer):
    layer = segment(widget, qtbot, weights)

    # 4 voxels of 2 x 2 x 3 mm.
    assert table(widget) == [["lesion", "0.0"]]
    assert class_volumes(layer.data, 0.012, (LabelClass(1, "lesion", "#d55e00"),))[0].volume_ml == pytest.approx(0.048)
    np.testing.assert_allclose(layer.extent.world, viewer.layers["t1 · anna"].extent.world)
    assert viewer.layers["label · anna"].contour == 1


def test_painting_changes_the_volumes(widget, qtbot, weights):
    layer = segment(widget, qtbot, weights)
    layer.brush_size = 8

    for z in range(2, 9):
        layer.paint((z, 6, 7), 1)

    assert float(table(widget)[0][1]) > 0.5


def test_a_stroke_that_is_taken_back_changes_the_volumes_too(widget, qtbot, weights):
    segment(widget, qtbot, weights)
    widget.correct()
    before = table(widget)
    widget.layer.brush_size = 8

    for z in range(2, 9):
        widget.layer.paint((z, 6, 7), 1)
    for _ in range(2, 9):
        widget.layer.undo()
    undone = table(widget)
    for _ in range(2, 9):
        widget.layer.redo()

    assert undone == before
    assert table(widget) == [["lesion", f"{0.012 * np.count_nonzero(widget.layer.data):.1f}"]] != before


def test_a_corrected_map_is_saved_in_the_space_of_the_scan(widget, qtbot, weights, tmp_path, cohort_folder):
    layer = segment(widget, qtbot, weights)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)

    widget.save(tmp_path / "corrected.nii.gz")

    saved, scan = read_label_map(tmp_path / "corrected.nii.gz"), read_volume(cohort_folder / "anna" / "t1.nii.gz")
    np.testing.assert_array_equal(saved.geometry.affine, scan.geometry.affine)
    # The lowest corner in S, A and R is the last voxel of the two axes that run to L and P.
    assert saved.array[0, -1, -1] == 1
    assert saved.array.sum() == 5
    assert saved.classes[0].name == "lesion"


def test_the_scan_itself_is_never_written_over(widget, qtbot, weights, cohort_folder):
    segment(widget, qtbot, weights)
    scan = cohort_folder / "anna" / "t1.nii.gz"
    before = scan.read_bytes()

    widget.save(scan)

    assert scan.read_bytes() == before
    assert "never changed" in widget.findChild(QLabel, "state").text()


def test_going_to_another_case_takes_the_numbers_away(widget, qtbot, weights, viewer):
    segment(widget, qtbot, weights)

    other = widget.session.cohort.cases[1]
    CaseView(viewer).show(read_case(other))
    widget.session.case = other

    assert table(widget) == []
    assert "prediction · anna" not in [layer.name for layer in viewer.layers]
    assert not button(widget, "save").isEnabled()


def test_a_corrected_prediction_stays_when_the_next_case_opens(widget, qtbot, weights, viewer):
    layer = segment(widget, qtbot, weights)
    layer.paint((2, 3, 4), 1)

    CaseView(viewer).show(read_case(widget.session.cohort.cases[1]))

    assert layer in viewer.layers


def test_a_failing_prediction_is_one_sentence(viewer, qtbot, cohort_folder, fake_launch, weights):
    widget = SegmentWidget(viewer, launch=fake_launch("refuse"))
    qtbot.addWidget(widget)
    widget.session.cohort = find_cohort(cohort_folder)
    widget.session.case = widget.session.cohort.cases[0]
    widget.set_weights(weights)

    button(widget, "start").click()
    qtbot.waitUntil(lambda: not widget.monitor.active, timeout=20_000)

    assert widget.findChild(QLabel, "state").text() == "no case in 'here' has a modality to learn from"
    assert button(widget, "start").isEnabled()


def test_a_second_answer_leaves_the_slice_in_view_if_it_shows_any_of_it(widget, qtbot, weights, viewer):
    layer = segment(widget, qtbot, weights)
    drawn = np.argwhere(layer.data)[0]
    shown = layer.data_to_world(drawn)
    viewer.dims.set_point(range(3), shown)
    before = viewer.dims.point

    widget.layer = None
    button(widget, "start").click()
    qtbot.waitUntil(lambda: widget.layer is not None, timeout=20_000)

    assert viewer.dims.point == before


def test_only_sequences_that_the_network_knows_can_be_switched_off(widget, qtbot, tmp_path):
    assert widget.findChild(QCheckBox, "use_t2") is not None
    (tmp_path / "known" / "weights").mkdir(parents=True)
    card = {"kind": "finetune", "task": "segmentation", "modalities": ["flair", "t1", "adc"]}
    write_card(tmp_path / "known" / "weights", card)

    widget.set_weights(tmp_path / "known")

    # What the network knows and this case lacks is seen before anything is drawn.
    assert not widget.findChild(QCheckBox, "lacks_adc").isEnabled()
    assert widget._modalities.left_out() == ()
    qtbot.waitUntil(lambda: widget.findChild(QCheckBox, "use_t2") is None, timeout=5_000)
    assert widget.findChild(QCheckBox, "use_t1").isChecked()


def test_an_answer_without_any_class_is_told(widget, qtbot, cohort_folder, tmp_path):
    scan = read_volume(cohort_folder / "anna" / "t1.nii.gz")
    write_label_map(tmp_path / "empty.nii.gz", LabelMap(np.zeros(scan.geometry.shape, np.uint8), scan.geometry))

    widget.open_elsewhere(tmp_path / "empty.nii.gz")
    qtbot.waitUntil(lambda: widget.measured is not None, timeout=20_000)

    assert "nothing was found" in widget.findChild(QLabel, "state").text()
