"""The map of a cohort in the Pretext widget: its colours, what a click does, and what takes it away."""

import tempfile
from pathlib import Path

import pytest
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.viewer.pretext.map_values import LABEL, MODALITIES, SPLIT, CohortMap
from napari_mmssl.viewer.pretext.widget import PretextWidget


def placed(case, subject, x, y, **more):
    return {"case": case, "subject": subject, "x": x, "y": y, "modalities": ["t1"], "clinical": {}, **more}


CASES = [
    placed("anna", "a", 0, 0, labelled=True, clinical={"site": "x"}),
    placed("bert", "b", 1, 0, labelled=False, clinical={"site": "y"}),
    placed("cleo", "c", 0, 1, labelled=True, modalities=["t2"]),
]


@pytest.fixture
def found():
    return CohortMap({"cases": CASES, "explained": [0.5, 0.25]}, {"a": "train", "b": "test"})


@pytest.fixture
def widget(viewer, qtbot, cohort_folder, fake_launch):
    made = PretextWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(made)
    made.session.cohort = find_cohort(cohort_folder)
    return made


def test_cases_are_coloured_by_what_tells_groups_apart(found):
    assert found.columns() == [SPLIT, LABEL, MODALITIES, "site"]

    colours, legend = found.colours("site")

    assert list(legend) == ["x", "y", "not known"]
    assert colours == [legend["x"], legend["y"], legend["not known"]]
    assert len(set(legend.values())) == 3


def test_a_column_with_one_value_each_is_not_offered(found):
    names = [{**CASES[0], "case": f"p{n}", "clinical": {"birth": str(n)}} for n in range(20)]
    assert "birth" not in CohortMap({"cases": names, "explained": [0, 0]}, {}).columns()


def test_who_is_in_no_part_of_the_split_is_said_to_be_unknown(found):
    assert found.words("cleo", SPLIT) == "cleo: split not known"
    assert found.words("bert", SPLIT) == "bert: split test"


def test_a_point_asks_for_its_case(widget, found):
    asked = []
    widget.session.open_asked.connect(asked.append)
    widget.map.show_map(found)

    widget.map.open_case("bert")
    widget.map.open_case("nobody")

    assert [case.id for case in asked] == ["bert"]
    assert widget.findChild(QComboBox, "map_colours").count() == 4
    assert "75%" in widget.findChild(QLabel, "state").text()


def test_a_map_below_the_fold_is_scrolled_to(widget, found, qtbot):
    widget.resize(340, 420)
    widget.show()
    plot = widget.map._plot.viewport()

    widget.map.show_map(found)

    qtbot.waitUntil(lambda: plot.visibleRegion().boundingRect().height() == plot.height())


def test_another_cohort_or_run_takes_the_map_away(widget, found, tmp_path):
    widget.map.show_map(found)

    widget.map.set_run(Path("another"))
    assert widget.map.map is None

    widget.map.show_map(found)
    widget.session.cohort = None
    assert widget.map.map is None
    assert not widget.findChild(QPushButton, "map_cohort").isEnabled()


def test_a_map_that_cannot_be_made_is_a_sentence(viewer, qtbot, cohort_folder, fake_launch):
    widget = PretextWidget(viewer, launch=fake_launch("refuse"))
    qtbot.addWidget(widget)
    widget.session.cohort = find_cohort(cohort_folder)
    widget.map.set_run(Path("run"))

    widget.findChild(QPushButton, "map_cohort").click()

    said = widget.findChild(QLabel, "state")
    qtbot.waitUntil(lambda: "no case in 'here'" in said.text(), timeout=20_000)
    assert widget.findChild(QPushButton, "map_cohort").isEnabled()


@pytest.mark.parametrize("start", ["map", "solve"])
def test_nothing_of_a_scan_stays_among_temporary_files(
    viewer, qtbot, cohort_folder, fake_launch, tmp_path, monkeypatch, start
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    widget = PretextWidget(viewer, launch=fake_launch("refuse"))
    qtbot.addWidget(widget)
    cohort = widget.session.cohort = find_cohort(cohort_folder)
    widget.session.case = cohort.cases[0]
    widget._run = tmp_path
    widget.map.set_run(tmp_path)

    widget.map.start() if start == "map" else widget.solve()

    assert list(tmp_path.glob("mmssl-map-*" if start == "map" else "mmssl-preview-*"))
    qtbot.waitUntil(lambda: not widget.map.active and widget._job is None, timeout=20_000)
    assert not [path for path in tmp_path.glob("mmssl-*") if path.is_dir()]
