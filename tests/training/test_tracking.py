"""What TensorBoard reads is what ``events.jsonl`` says, whatever became of the run."""

import logging
import sys

import pytest
from small_cohorts import write_small_cohort

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.tracking import Tracking, scalars
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.resume import resume


def in_tensorboard(run):
    """Return name -> [(step, value)], as TensorBoard's own reader finds them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0})
    read.Reload()
    return {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}


def in_events(run):
    found = {}
    for event in run.events()[0]:
        for name, value in scalars(event).items():
            found.setdefault(name, []).append((event["step"], pytest.approx(value)))
    return found


def test_a_run_that_crashed_and_went_on_has_each_step_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    flags = {"cohort": str(write_small_cohort(tmp_path / "cohort")), "data": {"patch": [16, 16, 16]}}
    flags |= {"optimisation": {"steps": 6, "batch_size": 2}, "validate_every": 3, "checkpoint_every": 2}
    settings = pretrain_settings(flags=flags | {"objectives": {"puzzle": {"grid": [2, 2, 2], "jitter": 1}}})
    run = RunFolder(tmp_path / "run")

    def crash(event):
        if event["kind"] == "step" and event["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, run.path, listener=crash)
    run.set_status("paused")
    resume(run.path)

    told = in_tensorboard(run)
    assert [step for step, _ in told["loss/total"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in told["validation/tile_accuracy"]] == [0, 3, 6]
    assert {"learning_rate", "gradient_norm"} <= told.keys()
    speed = told.pop("steps_per_s")
    assert len(speed) >= 4
    assert all(value > 0 for _, value in speed)
    assert told == in_events(run)


def test_numbers_that_are_null_are_left_out_and_others_follow_as_they_come(tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    tracking = Tracking(run)
    run.emit("step", step=1, losses={"total": None}, metrics={"a": 2.0}, learning_rate=0.5, gradient_norm=None)
    tracking.catch_up()
    assert in_tensorboard(run) == {"metric/a": [(1, 2.0)], "learning_rate": [(1, 0.5)]}

    run.emit("step", step=2, losses={"total": 3.0}, metrics={}, learning_rate=0.25, gradient_norm=1.0)
    tracking.close()

    assert in_tensorboard(run)["learning_rate"] == [(1, 0.5), (2, 0.25)]


def test_without_tensorboard_the_log_says_so_once_and_nothing_is_written(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = RunFolder.create(tmp_path / "run", "pretrain", {})

    with caplog.at_level(logging.INFO, "napari_mmssl"):
        tracking = Tracking(run)
        tracking.catch_up()
        tracking.close()

    assert [record.getMessage() for record in caplog.records] == [
        "no files for TensorBoard are written: pip install 'napari-mmssl[tensorboard]'"
    ]
    assert not (run.path / "tensorboard").exists()


def test_a_folder_that_cannot_be_made_ends_the_tracking_and_not_the_run(tmp_path, caplog):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    (run.path / "tensorboard").write_text("in the way")

    Tracking(run).close()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
