"""The real window, through the manifest, looked at. Needs OpenGL; run under xvfb where there is no screen."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLabel, QWidget

from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer import dropped
from napari_mmssl.viewer.layers.orientation_letters import show_plane
from napari_mmssl.viewer.parts.docking import dock_name
from napari_mmssl.viewer.preferences import PLUGIN
from napari_mmssl.viewer.session import session_of
from napari_mmssl.viewer.workspace import PLANES, WIDGETS, open_planes, open_workspace
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import write_volume
from napari_mmssl.volumes.volume import Volume

pytestmark = pytest.mark.gl

#: A cube with a bright bar to the patient's right, a middling one to the front and a dim one to the head.
SIZE = 40


def phantom_in_ras():
    s, a, r = np.indices((SIZE, SIZE, SIZE)) - SIZE // 2
    array = np.zeros((SIZE, SIZE, SIZE), np.int16)
    array[(abs(s) < 9) & (abs(a) < 9) & (abs(r) < 9)] = 200
    array[(abs(s) < 3) & (abs(a) < 3) & (r >= 9)] = 1000
    array[(abs(s) < 3) & (abs(r) < 3) & (a >= 9)] = 700
    array[(abs(a) < 3) & (abs(r) < 3) & (s >= 9)] = 450
    return array


STORED = {
    "RAS": np.array([[0, 0, 1.0, -20], [0, 1.0, 0, -20], [1.0, 0, 0, -20], [0, 0, 0, 1]]),
    "LPI": np.array([[0, 0, -1.0, 19], [0, -1.0, 0, 19], [-1.0, 0, 0, 19], [0, 0, 0, 1]]),
    # File axes x, y, z run to S, L and P.
    "SLP": np.array([[0, -1.0, 0, 19], [-1.0, 0, 0, 19], [0, 0, 1.0, -20], [0, 0, 0, 1]]),
}


def write_phantom(path, stored):
    grid = Geometry((SIZE,) * 3, STORED[stored])
    indices = np.indices((SIZE,) * 3).reshape(3, -1).T
    r, a, s = np.round(grid.index_to_world(indices)).astype(int).T + SIZE // 2
    array = phantom_in_ras()[s, a, r].reshape((SIZE,) * 3)
    write_volume(path, Volume(np.ascontiguousarray(array), grid))


def picture(viewer):
    for _ in range(3):
        QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., 0].astype(int)


def bars(shot):
    """Where the picture is brightest on the way from the middle to each edge, as mean grey."""
    height, width = shot.shape
    y, x, d = height // 2, width // 2, min(height, width) // 3
    spots = {"top": (y - d, x), "bottom": (y + d, x), "left": (y, x - d), "right": (y, x + d)}
    return {name: shot[j - 3 : j + 4, i - 3 : i + 4].mean() for name, (j, i) in spots.items()}


@pytest.mark.parametrize("stored", STORED)
def test_the_patient_is_seen_the_right_way_round_however_the_file_is_stored(make_napari_viewer, tmp_path, stored):
    path = tmp_path / "phantom.nii.gz"
    write_phantom(path, stored)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(900, 700)

    viewer.open(str(path), plugin=PLUGIN)

    # Axial: R left, A up; coronal: R left, S up; sagittal: A left, S up; the bar on the left is the brighter one.
    for plane in ("axial", "coronal", "sagittal"):
        show_plane(viewer, plane)
        viewer.dims.set_point(range(3), (0, 0, 0))
        viewer.reset_view()
        seen = bars(picture(viewer))
        assert sorted(seen, key=seen.get)[-2:] == ["top", "left"], (stored, plane, seen)
        assert seen["right"] < 40
        assert seen["bottom"] < 40


def test_the_letters_are_drawn_at_the_edges(make_napari_viewer, tmp_path):
    path = tmp_path / "phantom.nii.gz"
    write_phantom(path, "LPI")
    viewer = make_napari_viewer(show=True)
    viewer.open(str(path), plugin=PLUGIN)
    viewer.layers[0].visible = False
    with_letters = picture(viewer)
    for overlay in viewer.canvas.overlays.values():
        overlay.visible = False

    without = picture(viewer)

    height, width = without.shape
    drawn = np.abs(with_letters - without) > 60
    for edge in (drawn[:60], drawn[-60:], drawn[:, :60], drawn[:, -60:]):
        assert edge.any()
    assert not drawn[80 : height - 80, 80 : width - 80].any()


def test_the_workspace_opens_all_widgets_once(make_napari_viewer):
    viewer = make_napari_viewer()

    open_workspace(viewer)
    open_workspace(viewer)

    names = list(viewer.window.dock_widgets)
    assert names == [dock_name(name) for name in WIDGETS]
    for name in names:
        assert isinstance(viewer.window.dock_widgets[name], QWidget)


def test_three_planes_open_once_below_the_view_and_close_for_good(make_napari_viewer, cohort_folder):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(cohort_folder), plugin=PLUGIN)

    planes = open_planes(viewer)
    again = open_planes(viewer)
    viewer.dims.set_point(range(3), (-28.0, 20.0, 5.0))
    shot = planes.panes["axial"].grab().toImage()
    seen = {shot.pixelColor(x, y).lightness() for x in range(0, shot.width(), 7) for y in range(0, shot.height(), 7)}
    viewer.window.remove_dock_widget(planes)
    viewer.dims.set_point(range(3), (-25.0, 20.0, 5.0))

    assert again is planes
    assert max(seen) > 150
    assert PLANES not in viewer.window.dock_widgets


def test_widgets_fit_a_narrow_dock(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    open_workspace(viewer)
    QApplication.processEvents()

    for name in WIDGETS:
        widget = viewer.window.dock_widgets[dock_name(name)]
        assert widget.minimumSizeHint().width() <= 360
        assert widget.minimumWidth() <= 360


def test_what_the_menu_opens_becomes_a_tab_beside_what_is_open_and_is_not_opened_twice(make_napari_viewer, qtbot):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer(show=True)
    for name in ("cases", "segment", "planes"):
        get_app_model().commands.execute_command(f"napari-mmssl.{name}").result()
    window = viewer.window._qt_window
    cases, segment, planes = (viewer.window.dock_widgets[name].parent() for name in viewer.window.dock_widgets)

    qtbot.waitUntil(lambda: window.dockWidgetArea(planes) == Qt.DockWidgetArea.BottomDockWidgetArea)
    qtbot.waitUntil(lambda: window.tabifiedDockWidgets(cases) == [segment])
    assert cases.windowTitle() == "Cases"
    open_workspace(viewer)
    open_planes(viewer)
    assert sorted(viewer.window.dock_widgets) == sorted([*map(dock_name, WIDGETS), PLANES])


def test_the_menu_command_gets_the_viewer(make_napari_viewer):
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()

    get_app_model().commands.execute_command("napari-mmssl.workspace").result()

    assert len(viewer.window.dock_widgets) == len(WIDGETS)


def test_a_dropped_cohort_is_in_the_hand_of_the_widgets(make_napari_viewer, cohort_folder):
    viewer = make_napari_viewer()
    open_workspace(viewer)

    viewer.open(str(cohort_folder), plugin=PLUGIN)

    assert session_of(viewer).case.id == "anna"
    assert "label · anna" in viewer.layers


def test_a_dropped_case_is_shown_as_cases_shows_it(make_napari_viewer, tmp_path):
    fine, coarse, sagittal = (40, 40, 6), (20, 20, 3), np.diag([1.0, 1.0, 8.0, 1.0])[[2, 1, 0, 3]]
    (tmp_path / "sub-1").mkdir()
    for name, shape, factor in (("t2", fine, 1), ("adc", coarse, 2)):
        geometry = Geometry(shape, sagittal * [factor, factor, factor, 1])
        write_volume(tmp_path / "sub-1" / f"{name}.nii.gz", Volume(np.ones(shape, np.int16), geometry))
    viewer = make_napari_viewer()

    viewer.open(str(tmp_path / "sub-1"), plugin=PLUGIN)

    # Scanned in six sagittal slices; the coarse scan hides nothing.
    assert [layer.name.partition(" ")[0] for layer in viewer.layers] == ["adc", "t2"]
    assert viewer.dims.order[0] == 2


def test_a_large_folder_is_looked_through_while_the_window_lives(make_napari_viewer, cohort_folder, monkeypatch, qtbot):
    monkeypatch.setattr(dropped, "MOST_FILES_AT_ONCE", 3)
    viewer = make_napari_viewer()
    open_workspace(viewer)

    viewer.open(str(cohort_folder), plugin=PLUGIN)
    at_once = len(viewer.layers)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.case is not None, timeout=10_000)

    assert at_once == 0
    assert session.case.id == "anna"
    assert "label · anna" in viewer.layers
    assert len(session.cohort.cases) == 3


def test_a_damaged_file_is_one_notification_and_no_exception(make_napari_viewer, tmp_path):
    from napari.utils.notifications import notification_manager

    path = tmp_path / "cut.nii.gz"
    write_phantom(path, "RAS")
    path.write_bytes(path.read_bytes()[:150])
    viewer = make_napari_viewer()
    before = len(notification_manager.records)

    viewer.open(str(path), plugin=PLUGIN)

    (note,) = notification_manager.records[before:]
    assert "cut.nii.gz" in note.message
    assert str(note.severity) == "error"
    assert len(viewer.layers) == 0


@pytest.mark.parametrize("several", [False, True])
def test_napari_s_new_labels_button_makes_a_layer_that_is_saved_in_the_scan_s_space(
    make_napari_viewer, tmp_path, several
):
    from napari_mmssl.volumes.image_files import read_label_map, read_volume

    path = tmp_path / "t1.nii.gz"
    tilted = Geometry((6, 7, 8), np.array([[0, 0.2, -1.0, 20], [0, -1.0, -0.2, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]]))
    write_volume(path, Volume(np.arange(336, dtype=np.int16).reshape(6, 7, 8), tilted))
    viewer = make_napari_viewer()
    viewer.open(str(path), plugin=PLUGIN)
    if several:
        viewer.open(str(path), plugin=PLUGIN)
        viewer.layers.select_all()
    # What the button of the layer list calls; the button itself has no public handle.
    viewer._new_labels()
    viewer.layers[-1].data[0, 0, 0] = 1

    saved = viewer.layers[-1:]
    target = tmp_path / "new.nii.gz"
    viewer.layers.selection = set(saved)
    viewer.layers.save(str(target), selected=True, plugin=PLUGIN)

    np.testing.assert_allclose(read_label_map(target).geometry.affine, read_volume(path).geometry.affine, atol=1e-5)


@pytest.mark.slow
def test_the_sample_is_drawn_at_the_first_call_and_read_at_the_next(make_napari_viewer):
    viewer = make_napari_viewer()

    viewer.open_sample(PLUGIN, "glioma")
    assert len(viewer.layers) == 5
    viewer.layers.selection.clear()
    viewer.layers.clear()
    viewer.open_sample(PLUGIN, "glioma")

    assert [layer.name.split(" ")[0] for layer in viewer.layers] == ["t1", "t1ce", "t2", "flair", "label"]
    assert list(viewer.layers[-1].features["class"])[1:] == ["necrotic core", "oedema", "enhancing tumour"]


def test_the_sign_of_work_repaints_the_window_seldom_while_a_run_is_watched(make_napari_viewer, tmp_path, qtbot):
    viewer = make_napari_viewer(show=True)
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    run.set_status("running", step=1, total=5)
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    train.open_run(run.path)
    qtbot.waitUntil(lambda: train.monitor.last is not None and train.monitor.last.state == "running", timeout=10_000)
    signs = [label.movie() for label in train.window().statusBar().findChildren(QLabel) if label.movie()]
    frames = []
    for sign in signs:
        sign.frameChanged.connect(frames.append)

    qtbot.wait(1000)

    assert signs, "napari has no such sign any more: napari_mmssl/viewer/runs/indicator.py can go"
    # At its own pace it would be 33.
    assert len(frames) <= 3
    train.monitor.leave()
