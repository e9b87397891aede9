"""What Segment tells of a label map beside its volumes, and how corrections are kept apart from it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QTableWidget
from trained_networks import write_network

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.tasks.conventions import LESION
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.viewer.segment.drawn import mean_dice, measure, read_elsewhere
from napari_mmssl.viewer.segment.keeping import corrections_folder
from napari_mmssl.viewer.segment.widget import SegmentWidget
from napari_mmssl.volumes.image_files import read_label_map, write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume
from napari_mmssl.workflows.export import export


@pytest.fixture
def widget(viewer, qtbot, cohort_folder, fake_launch):
    made = SegmentWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(made)
    made.session.cohort = find_cohort(cohort_folder)
    case = made.session.cohort.cases[0]
    CaseView(viewer).show(read_case(case))
    made.session.case = case
    return made


@pytest.fixture
def answer(widget, tmp_path):
    """A prediction that misses one voxel, adds two, and is unsure of two places."""
    case = widget.session.case
    reference = read_label_map(case.label.path)
    array = (reference.array > 0).astype(np.uint8)
    array[4, 5, 6] = 0
    array[0, 0, 0:2] = 1
    folder = tmp_path / "answer"
    (folder / "entropy").mkdir(parents=True)
    classes = (LabelClass(1, "lesion", "#d55e00"),)
    write_label_map(folder / f"{case.id}.nii.gz", LabelMap(array, reference.geometry, classes))
    entropy = np.zeros(array.shape, np.float32)
    entropy[2, 2:6, 2:6] = 0.9
    entropy[8, 8:10, 2:6] = 0.7
    write_volume(folder / "entropy" / f"{case.id}.nii.gz", Volume(entropy, reference.geometry))
    write_json(folder / "predictions.json", {"format": 1, "convention": LESION.as_table(), "weights": "w", "cases": {}})
    return folder


def part(widget, kind, name):
    return widget.findChild(kind, name)


def show(widget, qtbot, folder):
    widget.show_prediction(folder, widget.session.case)
    qtbot.waitUntil(lambda: part(widget, QTableWidget, "lesions").rowCount() > 0, timeout=10_000)


def cells(table, row):
    return [table.item(row, column).text() if table.item(row, column) else "" for column in range(table.columnCount())]


def test_scores_stand_beside_the_volumes(widget, qtbot, answer):
    show(widget, qtbot, answer)

    legend = part(widget, QTableWidget, "legend")
    # 18 voxels of the reference, 19 drawn, 17 shared.
    assert cells(legend, 0)[1:4] == ["lesion", "0.2", f"{2 * 17 / 37:.2f}"]
    assert not legend.isColumnHidden(4)


def test_what_the_case_lacks_is_told_with_the_answer(widget, qtbot, answer):
    case = widget.session.case
    record = json.loads((answer / "predictions.json").read_text())
    record["cases"] = {case.id: {"missing": {"adc": "drop"}}}
    write_json(answer / "predictions.json", record)

    show(widget, qtbot, answer)

    assert "without adc, which this case lacks" in part(widget, QLabel, "state").text()


def test_painting_moves_no_row_of_the_legend_and_shows_no_score_of_before(widget, qtbot, answer):
    show(widget, qtbot, answer)
    legend = part(widget, QTableWidget, "legend")
    heads, height = legend.columnCount(), legend.height()
    scores = cells(legend, 0)
    widget.correct()

    widget.layer.paint((4, 5, 6), 1)
    painting = cells(legend, 0)

    assert painting[3:] == ["..."] * (heads - 3)
    assert (legend.isColumnHidden(4), legend.height()) == (False, height)
    qtbot.waitUntil(lambda: cells(legend, 0)[3] not in ("...", scores[3]), timeout=10_000)


def test_the_difference_is_a_layer_of_missed_and_added(widget, qtbot, answer, viewer):
    show(widget, qtbot, answer)
    part(widget, QCheckBox, "show_difference").click()

    layer = viewer.layers["difference · anna"]
    assert layer.visible
    assert np.count_nonzero(layer.data == 1) == 1
    assert np.count_nonzero(layer.data == 2) == 2
    assert list(layer.features["class"])[1:3] == ["missed", "added"]


def test_a_click_on_a_lesion_goes_there(widget, qtbot, answer, viewer):
    show(widget, qtbot, answer)
    lesions = part(widget, QTableWidget, "lesions")
    assert lesions.rowCount() == 2

    lesions.cellClicked.emit(1, 0)

    index = widget.layer.world_to_data(viewer.dims.point)
    assert widget.layer.data[tuple(np.round(index).astype(int))] == 1
    # The second lesion is the one that was added in the corner of the file.
    assert viewer.dims.point == pytest.approx((-40, 30, 20), abs=2.1)


def test_next_uncertain_goes_round_the_places_of_doubt(widget, qtbot, answer, viewer):
    show(widget, qtbot, answer)
    entropy = viewer.layers["uncertainty · anna"]
    seen = []
    for _ in range(3):
        part(widget, QPushButton, "next_uncertain").click()
        index = np.round(entropy.world_to_data(viewer.dims.point)).astype(int)
        seen.append(float(entropy.data[tuple(index)]))

    assert seen == pytest.approx([0.9, 0.7, 0.9])
    assert "uncertain place 1 of 2" in part(widget, QLabel, "lesion_words").text()


def test_a_correction_is_a_layer_of_its_own_and_the_answer_stays(widget, qtbot, answer, viewer):
    show(widget, qtbot, answer)
    before = widget.layer.data.copy()
    drawn = widget.layer

    part(widget, QPushButton, "correct").click()
    widget.layer.brush_size = 4
    widget.layer.paint((5, 6, 7), 1)

    assert widget.layer is viewer.layers["corrected · anna"]
    assert not drawn.editable
    np.testing.assert_array_equal(drawn.data, before)
    assert (widget.layer.data != before).any()
    widget.layer.undo()
    np.testing.assert_array_equal(widget.layer.data, before)


def test_a_kept_correction_can_be_opened_as_a_cohort(widget, qtbot, answer):
    show(widget, qtbot, answer)
    part(widget, QPushButton, "correct").click()
    # The missed voxel, in napari's axes.
    index = np.argwhere(np.asarray(widget.layer.data) > 0)[0]
    widget.layer.data_setitem(tuple(np.array([value]) for value in index), 0)
    folder = corrections_folder(widget.session.cohort)

    part(widget, QPushButton, "keep_correction").click()
    qtbot.waitUntil(lambda: part(widget, QPushButton, "open_corrected").isEnabled(), timeout=10_000)
    part(widget, QPushButton, "open_corrected").click()
    qtbot.waitUntil(lambda: widget.session.cohort.layout == "manifest", timeout=10_000)

    story = json.loads((folder / "anna_corrected.json").read_text())
    assert story["changed"]["voxels"] == 1
    assert story["from"]["weights"] == "w"
    assert read_label_map(widget.session.cohort.case("anna").label.path).array.sum() == 18


def test_switching_a_sequence_off_asks_without_it_and_both_answers_are_listed(widget, qtbot, tmp_path):
    (tmp_path / "fine" / "weights").mkdir(parents=True)
    write_card(tmp_path / "fine" / "weights", {"kind": "finetune", "task": "segmentation"})
    asked = []
    launch = widget.monitor._launch
    widget.monitor._launch = lambda words: (asked.append(list(words)), launch(words))[1]
    widget.set_weights(tmp_path / "fine")
    trials = part(widget, QTableWidget, "trials")

    part(widget, QPushButton, "start").click()
    qtbot.waitUntil(lambda: trials.rowCount() == 1, timeout=20_000)
    part(widget, QCheckBox, "use_flair").click()
    qtbot.waitUntil(lambda: part(widget, QPushButton, "start").isEnabled(), timeout=10_000)
    part(widget, QPushButton, "start").click()
    qtbot.waitUntil(lambda: trials.rowCount() == 2, timeout=20_000)

    assert "--without" not in asked[0]
    assert asked[1][asked[1].index("--without") + 1] == "flair"
    assert trials.item(1, 0).text() == "without flair"


def test_a_label_map_made_elsewhere_is_scored_in_the_classes_that_it_names(widget, qtbot, tmp_path):
    case = widget.session.case
    organs = read_label_map(case.label.path)
    write_label_map(tmp_path / "organs.nii.gz", LabelMap(organs.array + (organs.array > 0) * 10, organs.geometry))
    one = replace(case, label=replace(case.label, path=tmp_path / "organs.nii.gz"))
    liver = LabelMap((organs.array == 2).astype(np.uint8) * 12, organs.geometry, (LabelClass(12, "liver", "#d55e00"),))
    write_label_map(tmp_path / "liver.nrrd", liver)

    drawn = read_elsewhere(tmp_path / "liver.nrrd", one)
    measured = measure(drawn, drawn.labels, together=True)

    assert measured.difference.classes["liver"].dice == 1
    assert mean_dice(measured.difference) == 1
    assert not measured.difference.where.array.any()
    assert "'liver.nrrd' names" in measured.remark
    assert "2 classes more" in measured.remark


def test_scores_against_a_lesion_drawn_in_one_piece_are_told_with_their_doubt(widget, tmp_path):
    case = widget.session.case
    drawn = read_elsewhere(case.label.path, case)
    classes = tuple(LabelClass(value, f"class {value}", "#d55e00") for value in np.unique(drawn.labels.array) if value)
    whole = LabelMap((drawn.labels.array > 0).astype(np.uint8), drawn.labels.geometry)
    drawn = replace(drawn, labels=replace(drawn.labels, classes=classes), reference=whole)

    measured = measure(drawn, drawn.labels, together=True)

    assert len(classes) > 1
    assert "holds one value alone" in measured.remark
    assert not measured.difference.where.array[drawn.labels.array == 0].any()


def test_the_brush_begins_with_a_class_that_there_is(widget, qtbot, tmp_path):
    labels = read_label_map(widget.session.case.label.path)
    four = LabelMap((labels.array == 4).astype(np.uint8) * 4, labels.geometry, (LabelClass(4, "enhancing", "#f0e442"),))
    write_label_map(tmp_path / "four.nrrd", four)
    widget.open_elsewhere(tmp_path / "four.nrrd")
    qtbot.waitUntil(lambda: widget.measured is not None, timeout=10_000)

    widget.correct()

    assert widget.layer.selected_label == 4


def test_a_label_map_made_elsewhere_is_treated_as_a_prediction(widget, qtbot, answer, viewer):
    widget.open_elsewhere(answer / "anna.nii.gz")
    qtbot.waitUntil(lambda: part(widget, QTableWidget, "lesions").rowCount() == 2, timeout=10_000)

    assert "prediction (anna.nii.gz) · anna" in viewer.layers
    assert part(widget, QPushButton, "correct").isEnabled()


def test_a_label_map_of_another_grid_is_one_sentence(widget, qtbot, tmp_path):
    from napari_mmssl.volumes.geometry import Geometry

    geometry = Geometry((4, 4, 4), np.eye(4))
    write_label_map(tmp_path / "other.nii.gz", LabelMap(np.ones((4, 4, 4), np.uint8), geometry))

    widget.open_elsewhere(tmp_path / "other.nii.gz")

    qtbot.waitUntil(lambda: "does not lie on the scans" in part(widget, QLabel, "state").text(), timeout=10_000)


def test_a_report_is_written_on_the_map_as_it_is_now(widget, qtbot, answer, tmp_path):
    show(widget, qtbot, answer)
    part(widget, QPushButton, "correct").click()
    widget.layer.paint((5, 6, 7), 1)

    widget._keeping.write_report(tmp_path / "out")
    qtbot.waitUntil(lambda: "report:" in part(widget, QLabel, "state").text(), timeout=10_000)

    page = (tmp_path / "out" / "anna_report.html").read_text()
    assert "A person corrected" in page
    assert "Research use only" in page


def test_classes_without_names_are_called_as_the_cohort_calls_them(widget, qtbot, tmp_path):
    names = {1: "rim", 2: "core", 4: "swelling"}
    widget.session.cohort = replace(widget.session.cohort, layout="", label_names=names)
    case = widget.session.cohort.cases[0]
    widget.session.case = case
    drawn = read_label_map(case.label.path)
    write_label_map(tmp_path / "other.nii.gz", LabelMap(drawn.array, drawn.geometry))

    widget.open_elsewhere(tmp_path / "other.nii.gz")

    legend = part(widget, QTableWidget, "legend")
    qtbot.waitUntil(lambda: legend.rowCount() > 3, timeout=10_000)
    assert [legend.item(row, 1).text() for row in range(3)] == ["rim", "core", "swelling"]
    # Compared by name with the reference, which says no names either.
    qtbot.waitUntil(lambda: widget.measured is not None, timeout=10_000)
    assert set(widget.measured.difference.classes) == set(names.values())


def test_weights_that_were_handed_on_as_a_file_are_used_like_a_folder(widget, qtbot, tmp_path):
    file = export(write_network(tmp_path / "network"), tmp_path / "lesions.zip")

    widget.weights.import_file(file)

    qtbot.waitUntil(lambda: widget.weights.path == file, timeout=10_000)
    assert "lesion" in part(widget, QLabel, "about").text()
    assert part(widget, QPushButton, "start").isEnabled()


def test_a_file_that_holds_no_weights_is_refused_in_a_sentence(widget, qtbot, tmp_path):
    (tmp_path / "holiday.zip").write_bytes(b"not a zip")

    widget.weights.import_file(tmp_path / "holiday.zip")

    qtbot.waitUntil(lambda: "not a file of exported weights" in part(widget, QLabel, "about").text(), timeout=10_000)
    assert widget.weights.path is None
