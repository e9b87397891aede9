"""Filters, splits, reading ahead and windows of the Cases widget."""

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QPushButton

from napari_mmssl.cohorts.checks import check_cohort
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.splits import split_subjects
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.cases.case_list import COMPLETE, WITH_FINDINGS, CaseList
from napari_mmssl.viewer.cases.widget import CasesWidget
from napari_mmssl.viewer.layers.windows import automatic_window, ct_window, looks_like_ct, percentile_window
from napari_mmssl.viewer.runs.split_groups import groups_of


@pytest.fixture
def widget(viewer, qtbot, cohort_folder):
    made = CasesWidget(viewer)
    qtbot.addWidget(made)
    made.session.cohort = check_cohort(find_cohort(cohort_folder))
    return made


def shown(widget):
    return [case.id for case in widget.findChild(CaseList, "case_table").cases()]


def open_first(widget, qtbot):
    widget.open_case(widget.session.cohort.cases[0])
    qtbot.waitUntil(lambda: widget.session.case is not None, timeout=10_000)


def test_in_a_narrow_dock_names_are_cut_and_all_columns_seen(widget, qtbot):
    table = widget.findChild(CaseList, "case_table")
    with qtbot.waitExposed(widget):
        widget.resize(345, 700)
        widget.show()
    assert table.horizontalScrollBar().maximum() == 0
    narrow = table.columnWidth(0)
    widget.resize(700, 700)
    qtbot.waitUntil(lambda: table.columnWidth(7) > 100)
    assert table.columnWidth(0) >= narrow


def test_words_choose_cases_by_name_and_by_what_was_found(widget):
    words = widget.findChild(QLineEdit, "filter")

    words.setText("LEO")
    by_name = shown(widget)
    words.setText("t2 is missing")
    by_finding = shown(widget)
    words.clear()

    assert (by_name, by_finding, shown(widget)) == (["cleo"], ["bert"], ["anna", "bert", "cleo"])


def test_the_choice_shows_some_of_the_cases(widget):
    choice = widget.findChild(QComboBox, "filter_choice")
    met = {}
    for name in (WITH_FINDINGS, COMPLETE, "train", "validation", "test"):
        choice.setCurrentText(name)
        met[name] = shown(widget)

    assert met[WITH_FINDINGS] == ["bert"]
    assert met[COMPLETE] == ["anna", "cleo"]
    split = split_subjects(["anna", "bert", "cleo"], 0, 0.25, 0.15)
    for name in ("train", "validation", "test"):
        assert met[name] == list(getattr(split, name))


def test_next_goes_through_the_filtered_list(widget, qtbot):
    open_first(widget, qtbot)
    widget.findChild(QComboBox, "filter_choice").setCurrentText(COMPLETE)

    widget.findChild(QPushButton, "next_case").click()
    qtbot.waitUntil(lambda: widget.session.case.id != "anna", timeout=10_000)

    assert widget.session.case.id == "cleo"
    assert "2 of 2" in widget.findChild(QLabel, "about_case").text()


def test_both_neighbours_are_read_before_they_are_asked_for(widget, qtbot):
    widget.open_case(widget.session.cohort.cases[1])
    qtbot.waitUntil(lambda: len(widget._ahead._kept) == 2, timeout=10_000)
    assert set(widget._ahead._kept) == {"anna", "cleo"}

    # Nothing is waited for: the case is there when the click returns.
    widget.findChild(QPushButton, "previous_case").click()

    assert widget.session.case.id == "anna"


def test_a_case_of_a_cohort_that_was_left_does_not_come_back(widget, qtbot, cohort_folder):
    widget.open_case(widget.session.cohort.cases[0])
    widget.session.cohort = check_cohort(find_cohort(cohort_folder / "cleo"))
    qtbot.wait(300)

    assert widget.session.case is None
    assert len(widget.viewer.layers) == 0


def test_a_run_s_own_split_is_shown_where_it_holds_the_people(widget, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    run.write_provenance({"split": {"train": ["bert"], "validation": ["cleo"], "test": ["anna"]}})

    groups, source = groups_of(widget.session.cohort, run.path)

    assert groups == {"bert": "train", "cleo": "validation", "anna": "test"}
    assert "run" in source
    other = RunFolder.create(tmp_path / "other", "pretrain", {})
    other.write_provenance({"split": {"train": ["somebody"]}})
    assert "seed 0" in groups_of(widget.session.cohort, other.path)[1]


def test_a_window_holds_for_the_next_case_too(widget, viewer, qtbot):
    open_first(widget, qtbot)
    widget.findChild(QComboBox, "window").setCurrentText("full range")
    widget.findChild(QPushButton, "next_case").click()
    qtbot.waitUntil(lambda: widget.session.case.id == "bert", timeout=10_000)

    for layer in viewer.layers:
        if isinstance(layer, Image):
            assert layer.contrast_limits == [layer.data.min(), layer.data.max()]


def test_ct_windows_leave_magnetic_resonance_alone(widget, viewer, qtbot):
    open_first(widget, qtbot)
    before = [tuple(layer.contrast_limits) for layer in viewer.layers if isinstance(layer, Image)]

    widget.findChild(QComboBox, "window").setCurrentText("CT bone")

    assert [tuple(layer.contrast_limits) for layer in viewer.layers if isinstance(layer, Image)] == before


def test_ct_is_first_seen_through_the_window_of_organs():
    rng = np.random.default_rng(0)
    body = rng.normal(40, 30, (8, 8, 8))
    body[0] = -1000

    window = automatic_window("ct", body)
    assert (window.low, window.high) == (-160, 240)
    assert automatic_window(None, body) == window
    # Not in Hounsfield units any more, or no CT at all.
    assert automatic_window("ct", body / 1000 + 1).high < 2
    assert automatic_window("t1", body).low != window.low
    assert automatic_window("ct", np.minimum(body, -500)).high <= -500


def test_windows_in_numbers():
    rng = np.random.default_rng(0)
    array = np.concatenate([np.full(5000, -7.0), rng.normal(100, 10, 5000)]).reshape(10, 10, 100)
    window = percentile_window(array, "more contrast")

    assert (ct_window("brain").low, ct_window("brain").high) == (0, 80)
    # Of a normal distribution, the background apart: 100 - 1.645 sd and 100 + 2.054 sd.
    assert window.low == pytest.approx(83.6, abs=1)
    assert window.high == pytest.approx(120.5, abs=1)
    assert looks_like_ct("ct", array)
    assert looks_like_ct(None, np.array([-1024, 30]))
    assert not looks_like_ct("t1", np.array([-1024, 30]))
