"""The Align widget: one case looked at before and after, all of them aligned, label maps taken back."""

import hashlib
import json

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QPushButton

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.viewer.align.fit_view import CHECKERBOARD, COLOURS, ROLE, checkered, fit_layers
from napari_mmssl.viewer.align.widget import AlignWidget
from napari_mmssl.viewer.cases.widget import CasesWidget
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, labels_layer
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.viewer.session import session_of
from napari_mmssl.viewer.writers import PREDICTION_ROLE
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_label_map, write_volume
from napari_mmssl.volumes.volume import LabelMap, Volume
from napari_mmssl.workflows.align_preview import Fit

FINE = Geometry((16, 20, 20), np.array([[0, 0, -2.0, 19], [0, -2.0, 0, 19], [2.0, 0, 0, -15], [0, 0, 0, 1]]))
COARSE = Geometry((8, 20, 20), np.array([[0, 0, -2.0, 19], [0, -2.0, 0, 19], [4.0, 0, 0, -14], [0, 0, 0, 1]]))
PATIENCE_MS = 60_000


def ball(geometry):
    world = geometry.index_to_world(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return (np.linalg.norm(world - (3, -2, 1), axis=-1) < 9).astype(np.uint8)


@pytest.fixture
def cohort(tmp_path):
    """Two people of whom t2 was taken in thick slices."""
    root = tmp_path / "thick"
    for name in ("anna", "bert"):
        (root / name).mkdir(parents=True)
        for modality, grid in (("t1", FINE), ("t2", COARSE)):
            array = 40 + 100 * ball(grid).astype(np.int16)
            write_volume(root / name / f"{modality}.nii.gz", Volume(array, grid))
    return root


@pytest.fixture
def widget(viewer, qtbot, cohort):
    session = session_of(viewer)
    session.cohort = find_cohort(cohort)
    CaseView(viewer).show(read_case(session.cohort.cases[0]))
    session.case = session.cohort.cases[0]
    made = AlignWidget(viewer)
    qtbot.addWidget(made)
    box = made.findChild(QComboBox, "method")
    # Registration is proven elsewhere; this is about what a person sees of it.
    box.setCurrentIndex(box.findData("resample"))
    return made


def click(widget, name):
    widget.findChild(QPushButton, name).click()


def state(widget):
    return widget.findChild(QLabel, "state").text()


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_a_preview_shows_the_case_before_and_after_and_leaves_nothing_behind(widget, viewer, qtbot, cohort):
    before = digests(cohort)
    names = [layer.name for layer in viewer.layers]
    click(widget, "preview")
    assert not widget.findChild(QPushButton, "align").isEnabled()
    qtbot.waitUntil(lambda: widget.fits.shown, timeout=PATIENCE_MS)

    shown = [layer for layer in viewer.layers if layer.visible]
    assert [layer.metadata[METADATA_KEY].role for layer in shown] == [
        f"{ROLE}{what}" for what in ("before reference", "before", "after reference", "after")
    ]
    assert all(layer.data.shape == FINE.shape for layer in shown)
    assert viewer.canvas.grid.enabled
    assert viewer.canvas.grid.stride == 2
    assert "t2 is not moved" in state(widget)

    widget.findChild(QComboBox, "how").setCurrentText(CHECKERBOARD)
    qtbot.waitUntil(lambda: sum(layer.visible for layer in viewer.layers) == 2, timeout=PATIENCE_MS)
    folder = widget.job.out
    click(widget, "leave_preview")

    assert [layer.name for layer in viewer.layers] == names
    assert all(layer.visible for layer in viewer.layers)
    assert not folder.exists()
    assert digests(cohort) == before


def test_an_aligned_cohort_is_opened_and_label_maps_go_back_to_the_scans(widget, viewer, qtbot, cohort, tmp_path):
    before = digests(cohort)
    widget.findChild(QLineEdit, "out").setText(str(tmp_path / "aligned"))
    assert not widget.findChild(QPushButton, "back").isEnabled()
    click(widget, "align")
    qtbot.waitUntil(lambda: widget.session.cohort.root == tmp_path / "aligned", timeout=PATIENCE_MS)

    assert "2 cases are aligned" in state(widget)
    assert json.loads((tmp_path / "aligned/align.json").read_text())["method"] == "resample"
    case = widget.session.cohort.cases[1]
    assert {scan.geometry.shape for scan in case.modalities.values()} == {FINE.shape}
    widget.session.case = case
    view = CaseView(viewer)
    view.show(read_case(case))
    view.add(labels_layer(LabelMap(ball(FINE), FINE), "drawn", case=case.id, role=PREDICTION_ROLE))
    qtbot.waitUntil(widget.findChild(QPushButton, "back").isEnabled, timeout=PATIENCE_MS)
    widget.back_to_scans(tmp_path / "back")
    qtbot.waitUntil(lambda: "was written" in state(widget), timeout=PATIENCE_MS)

    back = read_label_map(tmp_path / "back/bert_t2.nii.gz")
    assert back.geometry.same_grid(COARSE)
    assert (back.array != ball(COARSE)).mean() < 0.02
    assert back.array.any()
    assert digests(cohort) == before


def test_what_goes_wrong_is_one_sentence_and_the_buttons_come_back(widget, qtbot, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("kept")
    widget.findChild(QLineEdit, "out").setText(str(tmp_path / "full"))
    click(widget, "align")
    qtbot.waitUntil(widget.findChild(QPushButton, "align").isEnabled, timeout=PATIENCE_MS)

    assert "is not empty; choose another folder" in state(widget)
    assert (tmp_path / "full/mine.txt").read_text() == "kept"


def test_what_is_cancelled_stops_and_says_where_the_written_cases_are(widget, qtbot, tmp_path):
    (tmp_path / "aligned").mkdir()
    widget.findChild(QLineEdit, "out").setText(str(tmp_path / "aligned"))
    click(widget, "align")
    click(widget, "cancel")

    assert not widget.job.active
    assert widget.findChild(QPushButton, "align").isEnabled()
    assert str(tmp_path / "aligned") in state(widget)


def test_another_case_ends_a_preview(widget, viewer, qtbot):
    click(widget, "preview")
    folder = widget.job.out
    widget.session.case = widget.session.cohort.cases[1]

    assert not widget.job.active
    assert not folder.exists()
    assert not [layer for layer in viewer.layers if layer.name.startswith("before")]


def test_cases_offers_to_make_modalities_fit_where_they_do_not(viewer, qtbot, cohort, cohort_folder):
    made = CasesWidget(viewer)
    qtbot.addWidget(made)
    button = made.findChild(QPushButton, "make_fit")
    offered = []
    for folder in (cohort, cohort_folder):
        made.open_cohort(folder)
        qtbot.waitUntil(lambda folder=folder: getattr(made.session.cohort, "root", None) == folder, timeout=PATIENCE_MS)
        assert button.isHidden()
        made.open_case(made.session.cohort.cases[0])
        qtbot.waitUntil(lambda: made.session.case is not None, timeout=PATIENCE_MS)
        offered.append(not button.isHidden())

    assert offered == [True, False]


def test_a_checkerboard_takes_cubes_of_both_in_turn():
    ramp = np.arange(np.prod(FINE.shape), dtype=np.float32).reshape(FINE.shape)
    board = checkered(Volume(ramp, FINE), Volume(-ramp, FINE)).array
    # Forty millimetres in eight squares: cubes of 2.5 voxels, rounded to 2; one grows along them, one falls.
    middle = np.diff(board[6:10, 8:12, 8:12].astype(np.float64), axis=2)[..., ::2]
    assert (np.sign(middle[0, 0]) == (-1, 1)).all()
    assert (np.sign(middle[0, 2]) == (1, -1)).all()
    assert (np.sign(middle[2, 0]) == (1, -1)).all()
    assert (np.sign(middle[2, 2]) == (-1, 1)).all()


def test_in_two_colours_the_body_is_as_bright_in_one_as_in_the_other(rng):
    body = ball(FINE) * rng.uniform(0.8, 1.2, FINE.shape)
    spotted = 50 * body
    spotted[8, 8:11, 8:11] = 2000
    fixed, moving = Volume(100 * body, FINE), Volume(spotted, FINE)

    layers = fit_layers(Fit("anna", "t1ce", "t1", fixed, before=moving, after=moving, words="."), COLOURS)

    windows = [state["contrast_limits"] for _, state, _ in layers]
    assert windows[:2] == windows[2:]
    for (low, high), volume in zip(windows, (fixed, moving), strict=False):
        middle = np.median(volume.array[body > 0])
        assert (middle - low) / (high - low) == pytest.approx(0.5, abs=0.02)


def test_the_widget_fits_a_narrow_dock(widget):
    assert widget.minimumSizeHint().width() <= 360
    assert widget.findChild(QPushButton, "preview").text() == "Preview anna"
    assert isinstance(widget.viewer.layers[0], Image)
