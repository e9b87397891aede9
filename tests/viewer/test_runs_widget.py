"""The Runs widget: what it lists, compares and orders; attaching again; how long a training will take."""

import json
from pathlib import Path

import pytest
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QTableView

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.parts.two_step_button import TwoStepButton
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.runs import unanswered
from napari_mmssl.viewer.runs.comparison import RunComparison
from napari_mmssl.viewer.runs.curves import CurvesView
from napari_mmssl.viewer.runs.log import last_lines
from napari_mmssl.viewer.runs.rows import RunReader, started_words, training_at_work
from napari_mmssl.viewer.runs.table import HEADS
from napari_mmssl.viewer.runs.widget import RunsWidget
from napari_mmssl.viewer.train.estimate import measured
from napari_mmssl.viewer.train.widget import TrainWidget


def make_run(name, state="done", scores=(0.2, 0.5, 0.4), started_s=1000.0, config=None):
    run = RunFolder.create(runs_folder() / name, "pretrain", config or {"recipe": "taleb2020"})
    for step, score in enumerate(scores, start=1):
        run.emit("step", step=step, losses={"puzzle.matching": 3.0 / step, "total": 4.0 / step}, metrics={})
        run.emit("validation", step=step, metrics={"tile_accuracy": score})
    run.set_status(state, step=len(scores), total=3, started_s=started_s)
    return run


@pytest.fixture
def runs():
    return [make_run("older", started_s=1000.0), make_run("newer", "running", (0.1, 0.3), 2000.0)]


@pytest.fixture
def widget(viewer, qtbot, runs):
    made = RunsWidget(viewer)
    qtbot.addWidget(made)
    made.look()
    qtbot.waitUntil(lambda: made.findChild(QTableView, "run_table").model().rowCount() == len(runs), timeout=10_000)
    return made


def select(widget, *rows):
    view = widget.findChild(QTableView, "run_table")
    selection = view.selectionModel()
    selection.clearSelection()
    for row in rows:
        flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
        selection.select(view.model().index(row, 0), flags)


def button(widget, name):
    return widget.findChild(QPushButton, name)


def test_the_table_tells_state_step_best_and_where_newest_first(widget):
    model = widget.findChild(QTableView, "run_table").model()
    cells = [{head: model.data(model.index(row, n)) for n, head in enumerate(HEADS)} for row in range(2)]

    assert [cell["run"] for cell in cells] == ["newer", "older"]
    assert (cells[0]["state"], cells[1]["state"]) == ("running", "done")
    assert cells[1]["best"] == "tile accuracy 0.500, step 2"
    assert cells[0]["step"] == "2 / 3"
    assert cells[1]["what"] == "pretrain taleb2020"
    assert cells[0]["where"]


def test_selected_runs_are_drawn_together(widget, qtbot):
    select(widget, 0, 1)
    comparison = widget.findChild(RunComparison, "comparison")
    qtbot.waitUntil(lambda: len(comparison.shown) == 2, timeout=10_000)

    assert comparison.shown["older"].values == [0.2, 0.5, 0.4]
    quantity = widget.findChild(QComboBox, "quantity")
    quantity.setCurrentIndex(quantity.findText("loss, total"))
    assert comparison.shown["newer"].values == [4.0, 2.0]


def test_orders_reach_the_selected_runs_that_are_at_work(widget, runs):
    select(widget, 0, 1)

    button(widget, "pause").click()

    assert [request.order for request in runs[1].pending()] == ["pause"]
    assert runs[0].pending() == []


def test_discarding_asks_for_a_second_click(widget, runs):
    select(widget, 0)
    button(widget, "cancel").click()
    first = runs[1].pending()
    button(widget, "cancel").click()

    assert first == []
    assert [request.order for request in runs[1].pending()] == ["cancel"]


def test_only_what_a_run_can_do_is_offered(widget):
    met = {}
    for row in (0, 1):
        select(widget, row)
        met[row] = {name for name in ("attach", "use_weights", "pause", "resume") if button(widget, name).isEnabled()}

    assert met == {0: {"attach", "pause"}, 1: {"attach", "use_weights"}}


def test_a_shown_run_goes_to_whoever_watches_runs(widget, runs):
    asked = []
    widget.session.attach_asked.connect(asked.append)
    select(widget, 1)

    button(widget, "attach").click()
    button(widget, "use_weights").click()

    assert asked == [runs[0].path]
    assert widget.session.run == runs[0].path


def test_an_empty_folder_says_what_will_come_here(viewer, qtbot, tmp_path):
    made = RunsWidget(viewer)
    qtbot.addWidget(made)

    made.set_folder(tmp_path)

    assert "No run in this folder yet" in made.findChild(QLabel, "about_run").text()


def test_a_reader_takes_what_was_added_and_begins_anew_where_a_run_was_cut(runs):
    reader = RunReader()
    path = runs[1].path
    first = list(reader.curves(path)["loss", "total"].values)
    runs[1].emit("step", step=3, losses={"total": 1.0}, metrics={})
    grown = list(reader.curves(path)["loss", "total"].values)
    runs[1].cut_events_after(1)
    runs[1].emit("step", step=2, losses={"total": 9.0}, metrics={})

    assert (first, grown) == ([4.0, 2.0], [4.0, 2.0, 1.0])
    assert reader.curves(path)["loss", "total"].values == [4.0, 9.0]


def test_a_damaged_run_is_a_row_that_says_so(runs):
    (runs[0].path / "status.json").write_text("{")

    rows = {row.path.name: row for row in RunReader().rows(runs_folder())}

    assert rows["older"].state == "unreadable"
    assert rows["newer"].state == "running"


def test_a_run_whose_process_is_gone_is_lost(runs):
    status = runs[1].status() | {"pid": 2**22 + 1}
    (runs[1].path / "status.json").write_text(json.dumps(status))

    assert RunReader().rows(runs_folder())[0].state == "lost"
    assert training_at_work(runs_folder()) is None


def test_a_training_at_work_is_shown_again_when_the_window_is_opened(viewer, qtbot, runs):
    train = TrainWidget(viewer)
    qtbot.addWidget(train)

    qtbot.waitUntil(lambda: train.monitor.path == runs[1].path, timeout=10_000)
    curves = train.findChild(CurvesView, "curves").curves
    qtbot.waitUntil(lambda: ("loss", "total") in curves, timeout=10_000)

    assert curves["loss", "total"].values == [4.0, 2.0]
    assert button(train, "stop").isEnabled()
    train.monitor.leave()


def test_a_paused_run_goes_on_and_its_old_end_is_not_taken_for_the_new_one(viewer, qtbot, fake_launch):
    run = make_run("paused", "paused")
    train = TrainWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(train)
    met = []
    train.monitor.updated.connect(met.append)

    train.session.resume_asked.emit(run.path)
    qtbot.waitUntil(lambda: bool(met) and met[-1].ended, timeout=20_000)

    assert met[-1].state == "done"
    assert "paused" not in {update.state for update in met}


def test_when_a_run_started_is_told_by_clock_or_date():
    now = 1_760_000_000.0

    assert len(started_words(now - 60, now)) == 5
    assert started_words(now - 90_000, now).count("-") == 2
    assert started_words(None, now) == ""


def table(patch=(48, 48, 48), steps=400):
    return {
        "kind": "pretrain",
        "recipe": "taleb2020",
        "encoder": {"name": "residual_unet", "size": "tiny"},
        "data": {"patch": list(patch)},
        "optimisation": {"batch_size": 4, "steps": steps},
    }


def test_an_estimate_comes_from_a_run_set_up_alike_and_from_no_other():
    run = make_run("measured", config=table(steps=20), scores=())
    lines = [{"v": 1, "kind": "step", "step": n, "time_s": 100 + 0.5 * n} for n in range(1, 12)]
    # A look takes a minute and is no step.
    lines.insert(6, {"v": 1, "kind": "validation", "step": 6, "time_s": 103.2, "metrics": {}})
    (run.path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    found = measured(table(), runs_folder())

    assert found.step_s == pytest.approx(0.5)
    assert found.words(400) == "about 3 min for 400 steps (0.5 s a step in 'measured')"
    assert measured(table(patch=(32, 32, 32)), runs_folder()) is None
    assert measured(table(), Path("nowhere")) is None


def test_a_log_is_read_from_its_end_in_whole_lines(tmp_path):
    (tmp_path / "log.txt").write_text("first\nsecond\nthird\n")

    assert last_lines(tmp_path / "log.txt", 10) == "third\n"
    assert last_lines(tmp_path / "log.txt") == "first\nsecond\nthird\n"
    assert last_lines(tmp_path / "none.txt") == ""


def test_a_first_click_is_forgotten_after_a_while(qtbot):
    asked = TwoStepButton("Discard", "Really?")
    qtbot.addWidget(asked)
    met = []
    asked.confirmed.connect(lambda: met.append(1))
    asked.click()
    assert asked.text() == "Really?"

    asked.calm()
    asked.click()

    assert met == []


def test_a_run_that_does_not_answer_is_ended_when_a_person_says_so(viewer, qtbot, fake_launch, monkeypatch):
    deaf = fake_launch("deaf")(["pretrain", "--out", str(runs_folder() / "deaf")]).process
    monkeypatch.setattr(unanswered, "grace_s", lambda _run: 0.1)
    widget = RunsWidget(viewer)
    qtbot.addWidget(widget)

    def listed():
        widget.look()
        return [row.state for row in widget.table.rows] == ["running"]

    qtbot.waitUntil(listed, timeout=20_000)
    select(widget, 0)
    assert button(widget, "end_process").isHidden()

    button(widget, "stop").click()
    qtbot.waitUntil(lambda: not button(widget, "end_process").isHidden(), timeout=10_000)
    assert deaf.poll() is None
    button(widget, "end_process").click()

    qtbot.waitUntil(lambda: deaf.poll() is not None, timeout=10_000)
    qtbot.waitUntil(lambda: [row.state for row in widget.table.rows] == ["lost"], timeout=10_000)
    assert button(widget, "end_process").isHidden()
