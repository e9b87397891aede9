"""The Cases widget: what it lists and opens, and what it leaves alone."""

import numpy as np
import pytest
from napari.layers import Image, Labels
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QLabel, QPushButton, QTableView

from napari_mmssl.viewer.cases.case_table import MISSING, PRESENT
from napari_mmssl.viewer.cases.widget import CasesWidget
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.session import session_of


@pytest.fixture
def widget(viewer, qtbot, cohort_folder):
    made = CasesWidget(viewer)
    qtbot.addWidget(made)
    made.open_cohort(cohort_folder)
    qtbot.waitUntil(lambda: made.session.cohort is not None, timeout=10_000)
    return made


def open_case(widget, qtbot, row):
    table = widget.findChild(QTableView, "case_table")
    case = widget.session.cohort.cases[row]
    table.activated.emit(table.model().index(row, 0))
    qtbot.waitUntil(lambda: widget.session.case is case, timeout=10_000)
    return case


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_the_table_shows_what_each_case_has_and_lacks(widget):
    model = widget.findChild(QTableView, "case_table").model()
    heads = [model.headerData(n, Qt.Orientation.Horizontal) for n in range(model.columnCount())]
    cell = {head: model.data(model.index(1, n)) for n, head in enumerate(heads)}

    assert heads == ["case", "t1", "t1ce", "t2", "flair", "label", "split", "odd"]
    assert cell["case"] == "bert"
    assert (cell["t1"], cell["t2"], cell["label"]) == (PRESENT, MISSING, PRESENT)
    assert "missing" in cell["odd"]


def test_the_layout_is_named_with_its_reasons(widget):
    about = widget.findChild(QLabel, "about_cohort")

    assert "folder_per_case" in about.text()
    assert about.toolTip().count("\n") >= 1


def test_a_folder_dropped_on_the_widget_is_opened(viewer, qtbot, cohort_folder):
    widget = CasesWidget(viewer)
    qtbot.addWidget(widget)
    folder, rest = QMimeData(), (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    folder.setUrls([QUrl.fromLocalFile(str(cohort_folder))])

    for kind, place in ((QDragEnterEvent, QPoint(5, 5)), (QDropEvent, QPointF(5, 5))):
        QApplication.sendEvent(widget, kind(place, Qt.DropAction.CopyAction, folder, *rest))

    qtbot.waitUntil(lambda: widget.session.cohort is not None, timeout=10_000)
    assert widget.session.cohort.root == cohort_folder


def test_opening_a_case_adds_one_layer_for_each_sequence_and_one_for_the_labels(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)

    assert names(viewer) == ["t1 · anna", "t1ce · anna", "t2 · anna", "flair · anna", "label · anna"]
    assert [type(layer) for layer in viewer.layers] == [Image] * 4 + [Labels]
    label = viewer.layers["label · anna"]
    assert list(label.features["class"])[1:] == ["necrotic core", "oedema", "enhancing tumour"]


def test_the_view_goes_to_the_lesion(widget, viewer, qtbot):
    case = open_case(widget, qtbot, 0)

    # Labels lie in array rows 4 and 5; S = 3 * row - 40.
    assert viewer.dims.point[0] in (-28.0, -25.0)
    assert case.label is not None


def test_next_replaces_the_layers_and_keeps_what_the_person_set_on_them(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)
    viewer.layers["t1 · anna"].visible = False
    kept = viewer.layers["t1 · anna"]

    widget.findChild(QPushButton, "next_case").click()
    qtbot.waitUntil(lambda: widget.session.case.id == "bert", timeout=10_000)

    assert names(viewer) == ["t1 · bert", "t1ce · bert", "flair · bert", "label · bert"]
    assert viewer.layers["t1 · bert"] is kept
    assert not kept.visible
    assert kept.data.shape == (10, 12, 16)


def test_layers_of_others_are_never_touched(widget, viewer, qtbot):
    theirs = viewer.add_image(np.zeros((4, 5, 6)), name="theirs")
    before = theirs.data

    open_case(widget, qtbot, 0)
    open_case(widget, qtbot, 2)

    assert theirs in viewer.layers
    assert theirs.data is before
    assert METADATA_KEY not in theirs.metadata


def test_a_label_map_that_was_painted_on_is_kept(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)
    label = viewer.layers["label · anna"]
    label.paint((2, 3, 4), 1)

    open_case(widget, qtbot, 2)

    assert label in viewer.layers
    assert not label.visible
    assert viewer.layers["label · cleo"] is not label
    assert label.data[2, 3, 4] == 1


def test_side_by_side_gives_each_sequence_a_cell_with_the_labels_over_it(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)

    widget.findChild(QCheckBox, "side_by_side").setChecked(True)

    cells = [contents for _, contents in viewer.canvas.grid.iter_viewboxes(viewer.layers)]
    assert len(cells) == 4
    for cell in cells:
        assert [type(viewer.layers[n]) for n in cell] == [Image, Labels]
    assert len({id(layer.data.base) for layer in viewer.layers if isinstance(layer, Labels)}) == 1


def test_going_on_to_a_case_with_fewer_sequences_keeps_the_grid(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)
    widget.findChild(QCheckBox, "side_by_side").setChecked(True)

    open_case(widget, qtbot, 1)

    assert len([1 for _, contents in viewer.canvas.grid.iter_viewboxes(viewer.layers) if contents]) == 3


def test_back_to_stacked_leaves_no_copies(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)
    beside = widget.findChild(QCheckBox, "side_by_side")

    beside.setChecked(True)
    beside.setChecked(False)

    assert names(viewer) == ["t1 · anna", "t1ce · anna", "t2 · anna", "flair · anna", "label · anna"]
    assert not viewer.canvas.grid.enabled


def test_a_folder_without_scans_is_one_sentence_in_the_widget(viewer, qtbot, tmp_path):
    widget = CasesWidget(viewer)
    qtbot.addWidget(widget)
    about = widget.findChild(QLabel, "about_cohort")

    widget.open_cohort(tmp_path / "nothing")
    qtbot.waitUntil(lambda: "there is no file or folder" in about.text(), timeout=10_000)

    assert session_of(viewer).cohort is None
    assert widget.findChild(QPushButton, "choose_folder").isEnabled()


def test_a_broken_file_costs_one_layer_and_not_the_case(widget, viewer, qtbot, cohort_folder):
    flair = cohort_folder / "cleo" / "flair.nii.gz"
    flair.write_bytes(flair.read_bytes()[:200])

    open_case(widget, qtbot, 2)

    assert "flair · cleo" not in names(viewer)
    assert "t1 · cleo" in names(viewer)


def test_classes_are_called_as_the_cohort_calls_them_in_one_colour_each(viewer, qtbot, tmp_path, write_nifti):
    for case, value in (("a", 1), ("b", 2)):
        write_nifti(tmp_path / "imagesTr" / f"{case}.nii.gz", shape_xyz=(8, 8, 8))
        write_nifti(tmp_path / "labelsTr" / f"{case}.nii.gz", array=np.full((8, 8, 8), value), dtype="uint8")
    names = '{"0": "background", "1": "liver", "2": "spleen"}'
    training = ", ".join(f'{{"image": "./imagesTr/{c}.nii.gz", "label": "./labelsTr/{c}.nii.gz"}}' for c in "ab")
    (tmp_path / "dataset.json").write_text(
        f'{{"modality": {{"0": "CT"}}, "labels": {names}, "training": [{training}], "test": []}}'
    )
    made = CasesWidget(viewer)
    qtbot.addWidget(made)
    made.open_cohort(tmp_path)
    qtbot.waitUntil(lambda: made.session.cohort is not None, timeout=10_000)
    seen = []
    for row in range(2):
        open_case(made, qtbot, row)
        classes = viewer.layers[-1].metadata[METADATA_KEY].classes
        seen.append([(one.value, one.name, one.colour) for one in classes])

    assert [(value, name) for value, name, _ in seen[0]] == [(1, "liver"), (2, "spleen")]
    assert seen[0] == seen[1]


def opened(viewer, qtbot, folder, write_nifti, shapes):
    """Open a case whose modalities have these shapes, in file order ``(x, y, z)``, over the same 64 mm."""
    for name, shape in shapes.items():
        affine = np.diag([*(64 / np.array(shape)), 1])
        write_nifti(folder / "person" / f"{name}.nii.gz", affine=affine, array=np.ones(shape))
    widget = CasesWidget(viewer)
    qtbot.addWidget(widget)
    widget.open_cohort(folder)
    qtbot.waitUntil(lambda: widget.session.cohort is not None, timeout=10_000)
    widget.open_case(widget.session.cohort.cases[0])
    qtbot.waitUntil(lambda: widget.session.case is not None, timeout=10_000)
    return widget


def test_a_coarse_scan_does_not_hide_a_fine_one(viewer, qtbot, tmp_path, write_nifti):
    opened(viewer, qtbot, tmp_path, write_nifti, {"t2": (32, 32, 8), "adc": (16, 16, 8)})

    assert names(viewer) == ["adc · person", "t2 · person"]


@pytest.mark.parametrize(("shape", "first"), [((32, 32, 8), 0), ((32, 8, 32), 1), ((8, 32, 32), 2), ((20, 32, 32), 0)])
def test_a_case_is_shown_in_the_plane_in_which_it_was_scanned(viewer, qtbot, tmp_path, write_nifti, shape, first):
    opened(viewer, qtbot, tmp_path, write_nifti, {"t2": shape})

    # Axes run to S, A and R; the first of the order is the one that is gone through.
    assert viewer.dims.order[0] == first


def test_the_plane_that_a_person_chose_stays_for_the_next_case(widget, viewer, qtbot):
    open_case(widget, qtbot, 0)
    widget.findChild(QPushButton, "show_sagittal").click()

    open_case(widget, qtbot, 1)

    assert viewer.dims.order == (2, 0, 1)
