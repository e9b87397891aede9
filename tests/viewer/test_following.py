"""Following a run folder that somebody else writes. Without Qt."""

import pytest

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.runs.curve_values import Curve, curves_in, is_score, short_names, smoothed
from napari_mmssl.viewer.runs.following import Update, duration_words, follow, progress_words, run_kind


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", "pretrain", {})


def script(*actions):
    """A ``sleep`` that does one thing at each look, and gives up when there is nothing left to do."""
    left = list(actions)

    def sleep(_seconds):
        if not left:
            raise AssertionError("followed on after all was done")
        left.pop(0)()

    return sleep


def never():
    return False


def test_every_event_comes_once_and_the_end_is_told(run):
    def work(step):
        def do():
            run.emit("step", step=step, losses={"total": 1.0}, metrics={})
            run.set_status("running", step=step, total=2)

        return do

    def finish():
        run.emit("ended", state="done", step=2)
        run.set_status("done", step=2, total=2)

    updates = list(follow(run.path, stop=never, sleep=script(work(1), work(2), finish)))

    assert [event.get("step") for update in updates for event in update.events] == [1, 2, 2]
    assert updates[-1].ended
    assert updates[-1].state == "done"


def test_a_run_without_a_folder_yet_is_waited_for(tmp_path):
    path = tmp_path / "later"

    def appear():
        RunFolder.create(path, "pretrain", {}).set_status("done", step=0, total=0)

    updates = list(follow(path, stop=never, sleep=script(lambda: None, appear)))

    assert [update.state for update in updates] == ["starting", "done"]


def test_a_start_that_failed_is_told_in_the_words_of_the_process(tmp_path):
    updates = list(follow(tmp_path / "never", stop=never, failure=lambda: "no case to learn from", sleep=script()))

    assert (updates[-1].state, updates[-1].reason) == ("failed", "no case to learn from")


def test_a_process_that_died_without_a_word_is_a_failure(run):
    run.set_status("running", step=1, total=9)
    status = run.status() | {"pid": 2**22 + 1}
    (run.path / "status.json").write_text(__import__("json").dumps(status))

    updates = list(follow(run.path, stop=never, sleep=script()))

    assert updates[-1].state == "failed"
    assert "log.txt" in updates[-1].reason


def test_watching_ends_when_asked_and_the_run_is_left_alone(run):
    run.set_status("running", step=1, total=9)
    looks = iter([False, True])

    updates = list(follow(run.path, stop=lambda: next(looks), sleep=script(lambda: None)))

    assert not updates[-1].ended
    assert run.status()["state"] == "running"
    assert run.pending() == []


def test_a_resumed_run_writes_its_curve_anew():
    curve = Curve()
    for step, value in ((1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0), (3, 5.0)):
        curve.add(step, value)

    assert (curve.steps, curve.values) == ([1, 2, 3], [9.0, 6.0, 5.0])


def test_losses_and_validation_metrics_are_taken_from_events_and_gaps_left_out():
    curves = {}
    curves_in(
        [
            {"kind": "step", "step": 1, "losses": {"total": 2.0}, "metrics": {"tile_accuracy": 0.1}},
            {"kind": "validation", "step": 1, "metrics": {"dice": None, "tile_accuracy": 0.5}},
            {"kind": "checkpoint", "step": 1},
        ],
        curves,
    )

    assert set(curves) == {("loss", "total"), ("metric", "tile_accuracy")}
    assert curves["metric", "tile_accuracy"].values == [0.5]


def test_only_scores_between_0_and_1_are_drawn_as_such():
    assert is_score("dice", Curve([1], [0.4]))
    assert not is_score("doubly_stochastic_error", Curve([1], [0.001]))
    assert not is_score("loss.total", Curve([1], [0.5]))
    assert not is_score("kendall_tau", Curve([1, 2], [-0.1, 0.3]))


def test_the_name_of_the_only_objective_is_left_out():
    assert short_names(["puzzle.matching", "total"]) == ["matching", "total"]
    assert short_names(["puzzle.matching", "masked.l1"]) == ["puzzle.matching", "masked.l1"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (12.3, "12 s"), (200, "3 min"), (7500, "2 h 5 min"), (89.9, "90 s")]
)
def test_time_left_in_words(seconds, words):
    assert duration_words(seconds) == words


def test_progress_in_words():
    assert progress_words(Update("running", 3, 40, 200.0)) == "step 3 of 40, 3 min left"
    assert progress_words(Update("failed", reason="too little memory")) == "too little memory"


def test_a_folder_that_is_no_run_has_no_kind(run, tmp_path):
    assert run_kind(run.path) == "pretrain"
    assert run_kind(tmp_path) is None


def test_the_smoothed_line_is_the_exponential_mean_and_passes_over_gaps():
    values = [4.0, 2.0, float("nan"), 1.0, 3.0]
    keep, total, weight, wanted = 1 - 2 / 4, 0.0, 0.0, []
    for value in values:
        # A gap makes what came before it older and adds nothing.
        total, weight = keep * total, keep * weight
        if value == value:
            total, weight = total + (1 - keep) * value, weight + (1 - keep)
        wanted.append(total / weight)

    assert smoothed(values, 3) == pytest.approx(wanted)
    assert smoothed(values, 1)[[0, 1, 3, 4]] == pytest.approx([4.0, 2.0, 1.0, 3.0])
    assert smoothed([5.0] * 7, 50) == pytest.approx([5.0] * 7)
