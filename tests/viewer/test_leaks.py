"""Nothing of ours is left when a dock or the window closes, at whatever moment that is."""

import gc

import pytest
from napari.qt.threading import WorkerBase
from qtpy.QtCore import Qt, QThreadPool, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QTableView

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
    assert QThreadPool.globalInstance().activeThreadCount() <= threads


class Person:
    """Somebody who has a viewer open and does one thing in it."""

    def __init__(self, viewer, cohort_folder, qtbot, fake_launch, monkeypatch):
        self.viewer, self.folder, self.qtbot = viewer, cohort_folder, qtbot
        self._fake_launch, self._monkeypatch = fake_launch, monkeypatch
        self.session = session_of(viewer)
        #: Processes that were started.
        self.jobs = []

    def until(self, true):
        self.qtbot.waitUntil(true, timeout=30_000)

    def answers(self, folder):
        """Answer the next question for a folder."""
        self._monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))

    def launch(self, how):
        start = self._fake_launch(how)

        def started(arguments):
            self.jobs.append(start(arguments))
            return self.jobs[-1]

        return started

    def dock(self, widget):
        self.viewer.window.add_dock_widget(widget, name=widget.objectName())
        return widget

    def looks_for_a_cohort(self):
        cases = self.dock(CasesWidget(self.viewer))
        cases.open_cohort(self.folder)
        return cases

    def has_a_cohort(self):
        cases = self.looks_for_a_cohort()
        self.until(lambda: self.session.cohort is not None)
        return cases

    def has_a_case(self):
        cases = self.has_a_cohort()
        cases.open_case(self.session.cohort.cases[1])
        self.until(lambda: self.session.case is not None)
        return cases

    def has_a_run(self):
        run = RunFolder.create(runs_folder() / "run", "pretrain", {})
        run.set_status("running", step=1, total=9)
        return run.path

    def trains(self, how):
        self.has_a_cohort()
        train = self.dock(TrainWidget(self.viewer, launch=self.launch(how)))
        train.start()
        return train

    def has_a_label_map(self):
        self.has_a_case()
        segment = self.dock(SegmentWidget(self.viewer))
        segment.open_elsewhere(self.session.case.label.path)
        self.until(lambda: segment.drawn is not None)
        return segment


def while_looking_for_a_cohort(person):
    person.looks_for_a_cohort()


def while_reading_a_case(person):
    view = person.has_a_cohort().findChild(QTableView, "case_table")
    view.activated.emit(view.model().index(0, 0))


def while_reading_ahead(person):
    person.has_a_case()


def while_a_pairing_is_open(person):
    person.has_a_cohort().open_pairing()


def while_voxels_are_checked(person):
    person.has_a_cohort().check_voxels()


def while_a_puzzle_is_drawn(person):
    person.has_a_case()
    person.dock(PretextWidget(person.viewer)).draw_puzzle()


def while_a_case_is_solved(person):
    person.has_a_case()
    pretext = person.dock(PretextWidget(person.viewer, launch=person.launch("slow")))
    pretext.set_run(person.has_a_run())
    pretext.solve()
    return person.jobs


def while_the_cohort_is_mapped(person):
    person.has_a_case()
    pretext = person.dock(PretextWidget(person.viewer, launch=person.launch("slow")))
    pretext.set_run(person.has_a_run())
    pretext.map.start()
    return person.jobs


def while_an_alignment_is_previewed(person):
    person.has_a_case()
    person.dock(AlignWidget(person.viewer, launch=person.launch("slow"))).preview()
    return person.jobs


def while_dry_steps_are_made(person):
    person.has_a_cohort()
    person.dock(TrainWidget(person.viewer, launch=person.launch("slow"))).try_out()
    return person.jobs


def while_a_training_starts(person):
    person.trains("slow")


def while_a_training_is_at_work(person):
    train = person.trains("wait")
    person.until(lambda: train.monitor.last is not None and train.monitor.last.step == 4)


def while_a_training_ends(person):
    train = person.trains("done")
    # Without letting Qt work: the widget has not heard of it.
    person.jobs[0].process.wait(20)
    assert train.monitor.active


def while_a_run_of_somebody_else_is_shown(person):
    path = person.has_a_run()
    train = person.dock(TrainWidget(person.viewer))
    train.open_run(path)
    person.until(lambda: train.monitor.active)


def while_runs_are_listed(person):
    person.has_a_run()
    person.dock(RunsWidget(person.viewer))


def while_a_label_map_is_measured(person):
    person.has_a_label_map()


def while_a_stroke_is_not_measured_yet(person):
    segment = person.has_a_label_map()
    segment.correct()
    segment.layer.paint((5.0, 5.0, 5.0), 1)


def while_a_report_is_written(person):
    segment = person.has_a_label_map()
    person.answers(person.folder.parent / "report")
    segment.findChild(QPushButton, "report").click()


MOMENTS = [found for name, found in sorted(globals().items()) if name.startswith("while_")]
#: Moments at which the same happens as at others; a real window for each takes its time.
ALIKE = (
    while_looking_for_a_cohort,
    while_a_puzzle_is_drawn,
    while_the_cohort_is_mapped,
    while_a_run_of_somebody_else_is_shown,
    while_runs_are_listed,
    while_a_label_map_is_measured,
)


@pytest.mark.parametrize(
    "moment",
    [pytest.param(one, id=one.__name__, marks=[pytest.mark.slow] if one in ALIKE else []) for one in MOMENTS],
)
def test_the_window_may_close_at_a_bad_moment(
    make_napari_viewer, cohort_folder, qtbot, fake_launch, monkeypatch, qtlog, moment
):
    viewer = make_napari_viewer()
    to_end = moment(Person(viewer, cohort_folder, qtbot, fake_launch, monkeypatch)) or []

    # An exception in a callback fails the test by itself.
    viewer.close()
    settle(qtbot)

    assert ours() == []
    assert not [record.message for record in qtlog.records if "QThread" in record.message]
    # What serves this window alone ends with it; a training goes on.
    qtbot.waitUntil(lambda: all(job.process.poll() is not None for job in to_end), timeout=5_000)


@pytest.mark.parametrize(
    "button",
    ["save", *(pytest.param(name, marks=pytest.mark.slow) for name in ("open_elsewhere", "report"))],
)
def test_the_window_may_close_while_a_file_dialog_is_open(
    make_napari_viewer, cohort_folder, qtbot, fake_launch, monkeypatch, button
):
    # Not the system's own, which would need somebody to close it.
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    viewer = make_napari_viewer()
    segment = Person(viewer, cohort_folder, qtbot, fake_launch, monkeypatch).has_a_label_map()
    seen = []

    def close():
        seen.extend(one for one in QApplication.topLevelWidgets() if isinstance(one, QFileDialog) and one.isVisible())
        viewer.close()

    QTimer.singleShot(500, close)
    segment.findChild(QPushButton, button).click()
    settle(qtbot)

    assert seen
    assert ours() == []
