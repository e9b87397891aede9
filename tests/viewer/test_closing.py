"""Closing the window while something is at work: the question, its answers, and what is not asked about."""

import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QMainWindow, QPushButton, QWidget

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.parts.closing import CloseGuard
from napari_mmssl.viewer.runs.monitor import RunMonitor


@pytest.fixture
def at_work(qtbot, tmp_path, fake_launch):
    window = QMainWindow()
    qtbot.addWidget(window)
    panel = QWidget()
    window.setCentralWidget(panel)
    window.show()
    monitor = RunMonitor(panel, launch=fake_launch("wait"))
    monitor.start(["pretrain", "--out", str(tmp_path / "run")], tmp_path / "run", "pretraining")
    qtbot.waitUntil(lambda: monitor.last is not None and monitor.last.step == 4, timeout=20_000)
    yield window, monitor
    monitor.leave()
    WorkerBase.await_workers(5_000)


def close_by_hand(window, qtbot):
    """Close from within the event loop, as a click or a key does."""
    guard = CloseGuard.of(window)
    QTimer.singleShot(0, window.close)
    qtbot.waitUntil(lambda: guard.dialog is not None and guard.dialog.isVisible(), timeout=5_000)
    return guard.dialog


def answer(dialog, name):
    dialog.findChild(QPushButton, f"closing_{name}").click()


def test_keeping_closes_the_window_and_leaves_the_run_going(at_work, qtbot):
    window, monitor = at_work
    answer(close_by_hand(window, qtbot), "keep")
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=5_000)

    run = RunFolder.open(monitor.path)
    assert not monitor.active
    assert run.is_alive()
    assert run.pending() == []


@pytest.mark.parametrize(("name", "state"), [("stop", "stopped"), ("cancel", "cancelled")])
def test_the_run_ends_as_the_person_said(at_work, qtbot, name, state):
    window, monitor = at_work
    answer(close_by_hand(window, qtbot), name)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=5_000)

    run = RunFolder.open(monitor.path)
    qtbot.waitUntil(lambda: run.status()["state"] == state, timeout=10_000)


def test_not_closing_changes_nothing(at_work, qtbot):
    window, monitor = at_work
    dialog = close_by_hand(window, qtbot)
    assert "pretraining 'run', step 4 of 4" in dialog.findChildren(QWidget)[0].text()

    answer(dialog, "stay")
    qtbot.wait(50)

    assert window.isVisible()
    assert monitor.active


def test_a_script_that_closes_its_window_is_not_asked(at_work):
    window, _ = at_work

    assert window.close()


def test_an_ended_run_is_not_asked_about(at_work, qtbot):
    window, monitor = at_work
    monitor.order("stop")
    qtbot.waitUntil(lambda: not monitor.active, timeout=20_000)

    QTimer.singleShot(0, window.close)

    qtbot.waitUntil(lambda: not window.isVisible(), timeout=5_000)
