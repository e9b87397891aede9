"""The watching thread: how it tells done, stopped and failed, and what it leaves alone when it goes."""

import warnings

import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import QThreadPool

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.runs import watching
from napari_mmssl.viewer.runs.monitor import RunMonitor
from napari_mmssl.viewer.runs.watching import Watched, watch


def collect(monitor):
    met = []
    monitor.updated.connect(met.append)
    return met


def ended(met):
    return bool(met) and met[-1].ended


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ("done", "done", None),
        ("fail", "failed", "too little memory"),
        ("die", "failed", "code 3"),
        ("refuse", "failed", "no case in 'here' has a modality to learn from"),
    ],
)
def test_the_end_of_a_run_is_told_as_it_was(qtbot, tmp_path, fake_launch, how, state, reason):
    monitor = RunMonitor(launch=fake_launch(how))
    met = collect(monitor)

    monitor.start(["pretrain", "--out", str(tmp_path / "run")], tmp_path / "run", "pretraining")
    qtbot.waitUntil(lambda: ended(met), timeout=20_000)

    assert met[-1].state == state
    assert reason is None or reason in met[-1].reason
    assert "mmssl pretrain:" not in (met[-1].reason or "")
    assert not monitor.active


@pytest.mark.parametrize(("order", "state"), [("stop", "stopped"), ("cancel", "cancelled")])
def test_orders_reach_a_run_at_work(qtbot, tmp_path, fake_launch, order, state):
    monitor = RunMonitor(launch=fake_launch("wait"))
    met = collect(monitor)
    monitor.start(["pretrain", "--out", str(tmp_path / "run")], tmp_path / "run", "pretraining")
    qtbot.waitUntil(lambda: bool(met) and met[-1].step == 4, timeout=20_000)

    monitor.order(order)
    qtbot.waitUntil(lambda: ended(met), timeout=20_000)

    assert met[-1].state == state


def test_a_run_that_has_not_begun_is_cancelled_at_once(qtbot, tmp_path, fake_launch):
    monitor = RunMonitor(launch=fake_launch("slow"))
    met = collect(monitor)
    monitor.start(["pretrain", "--out", str(tmp_path / "run")], tmp_path / "run", "pretraining")
    qtbot.waitUntil(lambda: bool(met), timeout=20_000)

    monitor.order("cancel")
    qtbot.waitUntil(lambda: ended(met), timeout=20_000)

    assert met[-1].state == "cancelled"


def test_leaving_ends_the_watching_and_not_the_run(qtbot, tmp_path, fake_launch):
    monitor = RunMonitor(launch=fake_launch("wait"))
    met = collect(monitor)
    monitor.start(["pretrain", "--out", str(tmp_path / "run")], tmp_path / "run", "pretraining")
    qtbot.waitUntil(lambda: bool(met) and met[-1].step == 4, timeout=20_000)

    monitor.leave()
    WorkerBase.await_workers(5_000)

    run = RunFolder.open(tmp_path / "run")
    assert run.status()["state"] == "running"
    assert run.is_alive()
    assert run.pending() == []


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("nonsense")])
def test_no_error_of_the_watching_itself_is_lost(qtbot, tmp_path, monkeypatch, error):
    def broken(*_args, **_kwargs):
        yield watching.Update("starting")
        raise error

    monkeypatch.setattr(watching, "follow", broken)
    met, failed = [], []

    watch(Watched(tmp_path, "pretraining"), met.append, failed.append)
    qtbot.waitUntil(lambda: bool(failed), timeout=5_000)

    assert failed == [error]
    assert len(met) == 1


def test_a_watcher_keeps_neither_the_warnings_nor_the_threads_of_others(qtbot, tmp_path):
    shown = warnings.showwarning
    pool = QThreadPool.globalInstance()
    before = pool.maxThreadCount() - pool.activeThreadCount()
    RunFolder.create(tmp_path / "run", "pretrain", {})
    met = []

    worker = watch(Watched(tmp_path / "run", "pretraining"), met.append, lambda error: None)
    qtbot.waitUntil(lambda: len(met) >= 2, timeout=5_000)

    assert warnings.showwarning is shown
    assert pool.maxThreadCount() - pool.activeThreadCount() >= before
    worker.quit()
    WorkerBase.await_workers(5_000)
    assert warnings.showwarning is shown


def test_napari_is_told_what_goes_on_without_the_window(tmp_path):
    words = str(Watched(tmp_path / "run7", "pretraining"))

    assert "run7" in words
    assert "goes on when the window closes" in words
