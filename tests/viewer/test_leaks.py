"""Nothing of ours is left when a dock or the window closes, at whatever moment that is."""

import gc

import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication, QTableView

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.align.widget import AlignWidget
from napari_mmssl.viewer.cases.widget import CasesWidget
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.planes.widget import PlanesWidget
from napari_mmssl.viewer.pretext.widget import PretextWidget
from napari_mmssl.viewer.runs.widget import RunsWidget
from napari_mmssl.viewer.segment.widget import SegmentWidget
from napari_mmssl.viewer.session import session_of
from napari_mmssl.viewer.synthesis.widget import SynthesisWidget
from napari_mmssl.viewer.train.widget import TrainWidget

pytestmark = pytest.mark.gl

WIDGETS = {
    "Cases": CasesWidget,
    "Train": TrainWidget,
    "Runs": RunsWidget,
    "Planes": PlanesWidget,
    "Align": AlignWidget,
} | {
    "Pretext": PretextWidget,
    "Synthesis": SynthesisWidget,
    "Segment": SegmentWidget,
}


def settle(qtbot):
    WorkerBase.await_workers(10_000)
    qtbot.wait(50)
    gc.collect()


def ours():
    return sorted(
        widget.objectName() for widget in QApplication.allWidgets() if widget.objectName().startswith("mmssl_")
    )


def emitters(viewer):
    session = session_of(viewer)
    layer = [viewer.layers[0].events.opacity, viewer.layers[0].events.visible]
    named = [
        viewer.dims.events.point,
        viewer.cursor.events.position,
        viewer.events.theme,
        viewer.layers.events.inserted,
    ]
    return [len(one.callbacks) for one in (*named, *layer)] + [
        len(one) for one in (session.cohort_changed, session.case_changed, session.run_changed, session.attach_asked)
    ]


@pytest.fixture
def shown(make_napari_viewer, cohort_folder, qtbot):
    """A window with a case in it."""
    viewer = make_napari_viewer()
    cases = CasesWidget(viewer)
    dock = viewer.window.add_dock_widget(cases, name="first")
    cases.open_cohort(cohort_folder)
    qtbot.waitUntil(lambda: cases.session.cohort is not None, timeout=10_000)
    cases.open_case(cases.session.cohort.cases[0])
    qtbot.waitUntil(lambda: cases.session.case is not None, timeout=10_000)
    viewer.window.remove_dock_widget(dock)
    settle(qtbot)
    return viewer


def test_a_closed_dock_leaves_neither_widget_nor_callback_nor_thread(shown, qtbot):
    before, threads = emitters(shown), QThreadPool.globalInstance().activeThreadCount()
    assert ours() == []

    for name, make in WIDGETS.items():
        dock = shown.window.add_dock_widget(make(shown), name=name)
        qtbot.wait(20)
        shown.window.remove_dock_widget(dock)
        settle(qtbot)

        assert ours() == [], name
        assert emitters(shown) == before, name
    assert QThreadPool.globalInstance().activeThreadCount() == threads


def open_cohort(viewer, cohort_folder, qtbot):
    cases = CasesWidget(viewer)
    viewer.window.add_dock_widget(cases, name="Cases")
    cases.open_cohort(cohort_folder)
    return cases


def while_looking(viewer, cohort_folder, qtbot):
    open_cohort(viewer, cohort_folder, qtbot)


def while_reading_a_case(viewer, cohort_folder, qtbot):
    cases = open_cohort(viewer, cohort_folder, qtbot)
    qtbot.waitUntil(lambda: cases.session.cohort is not None, timeout=10_000)
    view = cases.findChild(QTableView, "case_table")
    view.activated.emit(view.model().index(0, 0))


def while_a_pairing_is_open(viewer, cohort_folder, qtbot):
    cases = open_cohort(viewer, cohort_folder, qtbot)
    qtbot.waitUntil(lambda: cases.session.cohort is not None, timeout=10_000)
    cases.open_pairing()


def while_a_run_is_shown(viewer, cohort_folder, qtbot):
    run = RunFolder.create(runs_folder() / "run", "pretrain", {})
    run.set_status("running", step=1, total=9)
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train")
    qtbot.waitUntil(lambda: train.monitor.active, timeout=10_000)


def while_runs_are_listed(viewer, cohort_folder, qtbot):
    RunFolder.create(runs_folder() / "run", "pretrain", {})
    viewer.window.add_dock_widget(RunsWidget(viewer), name="Runs")


@pytest.mark.parametrize(
    "moment",
    [while_looking, while_reading_a_case, while_a_pairing_is_open, while_a_run_is_shown, while_runs_are_listed],
)
def test_the_window_may_close_at_a_bad_moment(make_napari_viewer, cohort_folder, qtbot, moment):
    viewer = make_napari_viewer()
    moment(viewer, cohort_folder, qtbot)

    # An exception in a callback fails the test by itself.
    viewer.close()
    settle(qtbot)

    assert ours() == []
