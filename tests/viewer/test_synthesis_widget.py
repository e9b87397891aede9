"""Real beside synthetic: the numbers are those of the workflow, and the mark stays."""

import numpy as np
import pytest
from qtpy.QtWidgets import QComboBox, QLabel, QSlider, QTableWidget

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.training.weights_cards import write_card
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.viewer.synthesis.side_by_side import CHECKERBOARD, CURTAIN, checkerboard, curtain
from napari_mmssl.viewer.synthesis.widget import SynthesisWidget
from napari_mmssl.viewer.writers import write_image
from napari_mmssl.volumes.image_files import read_header, read_volume, write_volume
from napari_mmssl.volumes.volume import Volume
from napari_mmssl.workflows.synthesize import compare_volumes


@pytest.fixture
def widget(viewer, qtbot, cohort_folder, fake_launch):
    made = SynthesisWidget(viewer, launch=fake_launch("done"))
    qtbot.addWidget(made)
    made.session.cohort = find_cohort(cohort_folder)
    case = made.session.cohort.cases[0]
    CaseView(viewer).show(read_case(case))
    made.session.case = case
    return made


@pytest.fixture
def synthetic(cohort_folder, tmp_path):
    real = read_volume(cohort_folder / "anna" / "t2.nii.gz")
    noise = np.random.default_rng(1).normal(0, 3, real.array.shape)
    array = (real.array + noise * (real.array > 0)).astype(np.float32)
    write_volume(tmp_path / "made.nii.gz", Volume(array, real.geometry, synthetic=True))
    return tmp_path / "made.nii.gz"


def compare(widget, qtbot, file):
    widget.compare("t2", file)
    qtbot.waitUntil(lambda: widget.compared is not None, timeout=10_000)


def test_the_table_holds_the_numbers_of_the_workflow(widget, qtbot, synthetic, cohort_folder):
    compare(widget, qtbot, synthetic)

    found = compare_volumes(cohort_folder / "anna" / "t2.nii.gz", synthetic, cohort_folder / "anna" / "seg.nii.gz")
    table = widget.findChild(QTableWidget, "regions")
    assert table.rowCount() == len(found.regions) > 1
    assert table.item(0, 0).text() == "body"
    assert table.item(0, 1).text() == f"{found.regions['body']['ssim']:.3f}"
    assert table.item(0, 2).text() == f"{found.regions['body']['psnr_db']:.1f}"


def test_the_mark_stays_in_the_name_and_goes_into_a_saved_file(widget, qtbot, synthetic, viewer, tmp_path):
    compare(widget, qtbot, synthetic)
    layer = viewer.layers["SYNTHETIC t2"]

    layer.name = "a real scan"
    data, state, _ = layer.as_layer_data_tuple()
    write_image(str(tmp_path / "saved.nii.gz"), data, state)

    assert "SYNTHETIC" in layer.name
    assert read_header(tmp_path / "saved.nii.gz").synthetic
    marked = [one.name for one in viewer.layers if "real t2" not in one.name and one.visible]
    assert all("SYNTHETIC" in name for name in marked)


def test_curtain_and_checkerboard_take_each_voxel_from_one_of_the_two(widget, qtbot, synthetic, viewer, cohort_folder):
    compare(widget, qtbot, synthetic)
    found = compare_volumes(cohort_folder / "anna" / "t2.nii.gz", synthetic)
    empty = (found.real == 0) & (found.synthetic == 0)
    assert empty.any()
    for way in (CURTAIN, CHECKERBOARD):
        widget.findChild(QComboBox, "way").setCurrentText(way)
        widget.findChild(QSlider, "edge").setValue(30)
        shown = viewer.layers["real and SYNTHETIC t2"].data
        from_real, made = shown == widget.compared.real, shown == widget.compared.synthetic
        assert (from_real | made).all()
        assert from_real.any()
        assert (made & ~from_real).any()
        # 0 is the mean of the body: what is outside would be grey.
        assert (shown[empty] <= np.percentile(shown[~empty], 2)).all()


def test_a_curtain_hangs_where_it_is_told_and_fields_alternate():
    real, made = np.zeros((2, 4, 10)), np.ones((2, 4, 10))
    assert curtain(real, made, 0.3)[0, 0].tolist() == [1] * 3 + [0] * 7
    assert checkerboard(real, made, 2)[0, 0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert checkerboard(real, made, 2)[0, 2, 0] == 1


def test_leaving_shows_the_case_again(widget, qtbot, synthetic, viewer):
    compare(widget, qtbot, synthetic)
    assert not viewer.layers["t1 · anna"].visible

    widget.session.case = None

    assert viewer.layers["t1 · anna"].visible
    assert not [layer for layer in viewer.layers if "SYNTHETIC" in layer.name]


def test_a_real_volume_does_not_pass_for_a_synthetic_one(widget, qtbot, cohort_folder):
    widget.compare("t2", cohort_folder / "anna" / "t1.nii.gz")

    qtbot.waitUntil(lambda: "synthetic" in widget.findChild(QLabel, "state").text(), timeout=10_000)
    assert widget.compared is None


def test_weights_of_something_else_make_nothing(widget, tmp_path):
    (tmp_path / "weights").mkdir()
    write_card(tmp_path / "weights", {"kind": "finetune"})

    widget.set_weights(tmp_path)

    assert "holds no generators" in widget.findChild(QLabel, "state").text()
