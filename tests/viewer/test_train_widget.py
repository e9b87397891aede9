"""The Train widget with a process that only pretends to learn."""

import pytest
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QPushButton, QSpinBox

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.runs.curves import CurvesView
from napari_mmssl.viewer.train.dry_run import words as dry_words
from napari_mmssl.viewer.train.form import goals
from napari_mmssl.viewer.train.sections import sections_of
from napari_mmssl.viewer.train.settings_form import SettingsForm
from napari_mmssl.viewer.train.widget import TrainWidget
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings


@pytest.fixture
def make(viewer, qtbot, cohort_folder, fake_launch):
    def made(how="done"):
        widget = TrainWidget(viewer, launch=fake_launch(how))
        qtbot.addWidget(widget)
        widget.session.cohort = find_cohort(cohort_folder)
        return widget

    return made


def button(widget, name):
    return widget.findChild(QPushButton, name)


def words(widget):
    # The name of the run stands before it.
    return widget.findChild(QLabel, "state").text().rpartition("</b>: ")[2]


def run_to_end(widget, qtbot):
    met = []
    widget.monitor.updated.connect(met.append)
    button(widget, "start").click()
    qtbot.waitUntil(lambda: bool(met) and met[-1].ended, timeout=20_000)
    return met


def choose(widget, kind):
    box = widget.findChild(QComboBox, "goal")
    box.setCurrentIndex([box.itemData(n).kind for n in range(box.count())].index(kind))


def test_the_choices_come_from_the_catalogue():
    assert {goal.kind for goal in goals()} == {"pretrain", "finetune"}
    assert "taleb2020" in {goal.name for goal in goals()}


def test_what_is_chosen_becomes_settings_that_the_command_line_takes(make, tmp_path):
    widget = make()
    widget.findChild(QSpinBox, "seed").setValue(7)
    widget.findChild(QComboBox, "budget").setCurrentText("smoke")

    widget.fields.choice().write(tmp_path / "settings.toml")

    settings = pretrain_settings(file=tmp_path / "settings.toml")
    assert (settings.seed, settings.optimisation.steps) == (7, 20)
    assert settings.cohort == widget.session.cohort.root
    assert "puzzle" in settings.objectives


def test_fine_tuning_takes_weights_and_labels(make, tmp_path):
    widget = make()
    choose(widget, "finetune")
    run = tmp_path / "pretraining"
    (run / "weights").mkdir(parents=True)
    write_card(run / "weights", {"kind": "pretrain"})
    widget.fields.set_weights(str(run))
    widget.findChild(QDoubleSpinBox, "label_fraction").setValue(0.5)

    widget.fields.choice().write(tmp_path / "settings.toml")

    settings = finetune_settings(file=tmp_path / "settings.toml")
    assert settings.weights == str(run)
    assert settings.label_fraction == 0.5
    # The network is the one of the weights.
    assert not widget.findChild(QComboBox, "encoder").isEnabled()


def test_weights_of_another_kind_are_refused(make, tmp_path):
    widget = make()
    choose(widget, "finetune")
    (tmp_path / "weights").mkdir()
    write_card(tmp_path / "weights", {"kind": "finetune"})

    widget.fields.set_weights(str(tmp_path))

    assert widget.fields.choice().weights == "none"


def test_without_a_cohort_nothing_starts_and_a_sentence_says_why(viewer, qtbot, fake_launch):
    widget = TrainWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(widget)

    button(widget, "start").click()

    assert "choose a folder with cases" in words(widget)
    assert not widget.monitor.active
    with pytest.raises(MmsslError):
        widget.fields.choice()


def test_a_run_is_drawn_and_handed_on_when_it_is_done(make, qtbot):
    widget = make("done")
    out = widget.fields.out
    # Its name is enough where trainings usually go.
    assert widget.findChild(QLineEdit, "out").text() == out.name
    assert out.parent == runs_folder()

    met = run_to_end(widget, qtbot)

    assert met[-1].state == "done"
    assert widget.session.run == out
    curves = widget.findChild(CurvesView, "curves").curves
    assert curves["loss", "total"].values == [4.0, 2.0, 4.0 / 3, 1.0]
    assert curves["metric", "tile_accuracy"].steps == [1, 2, 3, 4]
    assert words(widget) == "done"
    # The next run gets another folder.
    assert widget.fields.out != out


def test_a_failure_is_one_sentence_and_start_is_ready_again(make, qtbot):
    widget = make("fail")

    run_to_end(widget, qtbot)

    assert words(widget) == "the GPU has too little memory; take a smaller patch"
    assert button(widget, "start").isEnabled()
    assert not button(widget, "stop").isEnabled()
    assert widget.session.run is None


def test_stop_keeps_what_was_learned(make, qtbot):
    widget = make("wait")
    button(widget, "start").click()
    qtbot.waitUntil(lambda: words(widget).startswith("step 4 of 4"), timeout=20_000)

    button(widget, "stop").click()
    qtbot.waitUntil(lambda: not widget.monitor.active, timeout=20_000)

    assert widget.monitor.last.state == "stopped"
    assert widget.session.run == widget.monitor.path


def test_cancel_hands_nothing_on(make, qtbot):
    widget = make("wait")
    button(widget, "start").click()
    qtbot.waitUntil(lambda: words(widget).startswith("step 4 of 4"), timeout=20_000)

    button(widget, "cancel").click()
    assert widget.monitor.active
    button(widget, "cancel").click()
    qtbot.waitUntil(lambda: not widget.monitor.active, timeout=20_000)

    assert widget.monitor.last.state == "cancelled"
    assert widget.session.run is None


def test_closing_the_widget_leaves_the_run_going(make, qtbot):
    widget = make("wait")
    button(widget, "start").click()
    qtbot.waitUntil(lambda: words(widget).startswith("step 4 of 4"), timeout=20_000)

    widget.removed()

    run = RunFolder.open(widget.monitor.path)
    assert not widget.monitor.active
    assert run.is_alive()
    assert run.pending() == []


def test_a_run_of_another_window_is_shown_with_its_whole_curve(make, qtbot, tmp_path):
    run = RunFolder.create(tmp_path / "older", "pretrain", {})
    for step in (1, 2, 3):
        run.emit("step", step=step, losses={"total": float(step)}, metrics={})
    run.set_status("done", step=3, total=3)
    widget = make()

    widget.open_run(run.path)
    qtbot.waitUntil(lambda: not widget.monitor.active, timeout=20_000)

    assert widget.findChild(CurvesView, "curves").curves["loss", "total"].values == [1.0, 2.0, 3.0]


def test_a_folder_that_is_no_run_changes_nothing(make, tmp_path):
    widget = make()

    widget.open_run(tmp_path)

    assert not widget.monitor.active
    assert button(widget, "start").isEnabled()


def test_a_run_goes_where_its_path_says_and_needs_a_name(make, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    widget = make()
    field = widget.findChild(QLineEdit, "out")
    field.setText("first")
    assert widget.fields.out == runs_folder() / "first"
    assert str(widget.fields.out) in field.toolTip()
    field.setText("~/elsewhere/first")
    assert widget.fields.out == tmp_path / "elsewhere" / "first"
    field.setText("")

    button(widget, "start").click()

    assert "give the run folder a name" in words(widget)
    assert not widget.monitor.active


def test_a_taken_folder_is_refused(make, tmp_path):
    widget = make()
    widget.findChild(QLineEdit, "out").setText(str(tmp_path))

    button(widget, "start").click()

    assert "exists already" in words(widget)
    assert not widget.monitor.active


def test_every_setting_can_be_set_and_only_what_is_changed_is(make, tmp_path):
    widget = make()
    before = widget.fields.choice().settings_table()
    form = widget.findChild(SettingsForm, "all_settings")
    form.set_text("objectives.puzzle.start", "0.25")
    form.set_text("objectives.puzzle.grid", "[2, 2, 2]")
    form.set_text("data.patch", "[32, 40, 48]")
    form.set_text("optimisation.learning_rate", "5e-4")
    form.set_text("device", "cpu")

    after = widget.fields.choice().settings_table()

    assert form.text() == "All settings (5 changed)"
    assert after["objectives"]["puzzle"] == before["objectives"]["puzzle"] | {"start": 0.25, "grid": [2, 2, 2]}
    assert (after["data"]["patch"], after["optimisation"]["learning_rate"]) == ([32, 40, 48], 5e-4)
    assert after["device"] == "cpu"
    button(widget, "reset_settings").click()
    assert widget.fields.choice().settings_table() == before


def test_a_value_that_does_not_fit_is_the_same_sentence_as_on_the_command_line(make):
    widget = make()
    widget.findChild(SettingsForm, "all_settings").set_text("optimisation.batch_size", "0")

    button(widget, "start").click()

    assert "optimisation.batch_size" in widget.findChild(QLabel, "state").text()
    assert not widget.monitor.active


@pytest.mark.parametrize("goal", goals(), ids=lambda goal: goal.name)
def test_the_form_s_values_are_those_that_a_run_would_take(goal):
    for section in sections_of(goal):
        for setting in section.settings:
            assert setting.title
            assert setting.key.rpartition(".")[2] not in ("kind", "cohort")


def test_each_goal_has_its_own_settings(make):
    widget = make()
    choose(widget, "finetune")
    form = widget.findChild(SettingsForm, "all_settings")

    form.set_text("task.drop_modality", "0.3")

    assert widget.fields.choice().settings_table()["task"]["drop_modality"] == 0.3
    with pytest.raises(KeyError):
        form.set_text("objectives.puzzle.start", "0.25")


def test_a_dry_run_tells_time_and_memory_and_makes_no_run(make, qtbot):
    widget = make("dry")

    button(widget, "try").click()

    qtbot.waitUntil(lambda: "GiB" in widget.findChild(QLabel, "state").text(), timeout=20_000)
    assert widget.findChild(QLabel, "state").text().startswith("50 min for 400 steps on cpu")
    assert not widget.fields.out.exists()


def test_what_does_not_fit_is_said_with_what_does():
    found = {"fits": False, "device": "cuda:0", "free_gib": 3.0, "proposal": ["optimisation.batch_size=1"]}
    assert "what fits: optimisation.batch_size=1" in dry_words(found, 400)
    assert "a smaller encoder may fit" in dry_words(found | {"proposal": None}, 400)


def test_a_comparison_with_scratch_is_a_process_that_is_watched(make, qtbot):
    widget = make("compare")

    button(widget, "compare").click()

    label = widget.findChild(QLabel, "state")
    qtbot.waitUntil(lambda: label.text().startswith("compared; the answer"), timeout=20_000)
    # A comparison holds no weights to hand on.
    assert widget.session.run is None


def test_only_pretrainings_are_compared(make):
    widget = make()
    choose(widget, "finetune")
    assert not button(widget, "compare").isEnabled()
    choose(widget, "pretrain")
    assert button(widget, "compare").isEnabled()
