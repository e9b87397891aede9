"""The Pretext widget: the puzzle of a case on screen, taken apart, and put away again."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QSlider, QSpinBox

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.ops.sinkhorn import soft_permutation
from napari_mmssl.pictures import Picture, PictureItem, read_picture, write_picture
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.pretext.matrix_view import MatrixView
from napari_mmssl.viewer.pretext.puzzle_view import ROLE, WRONG_ROLE
from napari_mmssl.viewer.pretext.widget import PretextWidget
from napari_mmssl.viewer.reading import read_case
from napari_mmssl.workflows.launch import Job

GRID = 2


@pytest.fixture
def widget(viewer, qtbot, cohort_folder):
    made = PretextWidget(viewer)
    qtbot.addWidget(made)
    cohort = find_cohort(cohort_folder)
    made.session.cohort = cohort
    CaseView(viewer).show(read_case(cohort.cases[0]))
    made.session.case = cohort.cases[0]
    for axis in "zyx":
        made.findChild(QSpinBox, f"grid_{axis}").setValue(GRID)
    return made


def draw(widget, qtbot):
    widget.findChild(QPushButton, "draw_puzzle").click()
    qtbot.waitUntil(lambda: widget.controls.shows_puzzle, timeout=20_000)


def of_role(viewer, role):
    return CaseView(viewer).of_role(f"{ROLE}{role}")


def solved_picture(widget, qtbot, rng):
    """A picture as a network leaves it: the first two tiles are swapped, the rest is right."""
    draw(widget, qtbot)
    unsolved = widget.controls.puzzle.picture
    scores = np.eye(GRID**3)[unsolved.details["perm"]] * 3 + rng.normal(size=(GRID**3, GRID**3)) * 0.1
    matched = list(unsolved.details["perm"])
    matched[:2] = matched[1::-1]
    wrong = np.zeros_like(unsolved.items[1].array, dtype=np.uint8)
    wrong[0, 0, 0] = 1
    items = (
        *unsolved.items,
        PictureItem("wrong_tiles", "labels", wrong, unsolved.items[1].affine, ""),
        PictureItem("scores", "matrix", scores, None, ""),
    )
    details = unsolved.details | {"matched": matched, "tile_accuracy": 0.75, "temperature": 0.5, "rounds": 20}
    return Picture("puzzle", 40, "anna", items, details)


def test_what_is_said_is_of_the_case_in_hand(widget, qtbot):
    said = widget.findChild(QLabel, "state")
    first, second = widget.session.cohort.cases[:2]
    widget.session.case = first
    assert "this case" in said.text()

    widget.draw_puzzle()
    qtbot.waitUntil(lambda: " tiles" in said.text(), timeout=20_000)
    widget.session.case = second
    assert " tiles" not in said.text()

    widget.session.case = None
    assert "Open a case" in said.text()


def test_a_puzzle_is_shown_in_four_cells_and_the_case_hidden(widget, qtbot, viewer):
    draw(widget, qtbot)

    cells = [contents for _, contents in viewer.canvas.grid.iter_viewboxes(viewer.layers)]
    shown = [[viewer.layers[n].name for n in cell] for cell in cells]
    assert [names[0] for names in shown] == ["source", "mixed", "shuffled", "solved"]
    assert shown[3][1] == "wrong tiles"
    assert not viewer.layers["t1 · anna"].visible


def test_the_same_seed_draws_the_same_puzzle_and_another_seed_another(widget, qtbot, viewer):
    draws = []
    for seed in (0, 0, 5):
        widget.findChild(QSpinBox, "seed").setValue(seed)
        widget.controls.clear()
        draw(widget, qtbot)
        draws.append(of_role(viewer, "shuffled").data.copy())

    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_the_slider_goes_from_the_shuffled_to_the_mixed_image(widget, qtbot, viewer):
    draw(widget, qtbot)
    slider = widget.findChild(QSlider, "solved")

    np.testing.assert_array_equal(of_role(viewer, "solved").data, of_role(viewer, "mixed").data)
    slider.setValue(0)

    np.testing.assert_array_equal(of_role(viewer, "solved").data, of_role(viewer, "shuffled").data)


def test_back_to_the_case_leaves_the_viewer_as_it_was(widget, qtbot, viewer):
    before = [(layer.name, layer.visible) for layer in viewer.layers]
    point = viewer.dims.point
    draw(widget, qtbot)

    widget.findChild(QPushButton, "back").click()

    assert [(layer.name, layer.visible) for layer in viewer.layers] == before
    assert viewer.dims.point == point
    assert not viewer.canvas.grid.enabled


def test_another_case_takes_the_puzzle_away(widget, qtbot, viewer):
    draw(widget, qtbot)

    other = widget.session.cohort.cases[1]
    CaseView(viewer).show(read_case(other))
    widget.session.case = other

    assert not widget.controls.shows_puzzle
    assert all(layer.visible for layer in viewer.layers)
    boxes = [box.text() for box in widget.findChildren(QCheckBox) if box.objectName().startswith("mix_")]
    assert "t2" not in boxes[-3:]


def test_the_soft_permutation_moves_with_temperature_and_rounds(widget, qtbot, viewer, rng, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    picture = solved_picture(widget, qtbot, rng)
    run.save_picture(picture)
    widget.set_run(run.path)
    shown = []
    widget.findChild(MatrixView, "matrices").show_matrix = lambda which, matrix: shown.append((which, matrix))

    widget.show_last_picture()
    qtbot.waitUntil(lambda: "75%" in widget.findChild(QLabel, "state").text(), timeout=20_000)
    widget.findChild(QSlider, "rounds").setValue(3)
    widget.findChild(QSlider, "temperature").setValue(0)

    scores = read_picture(run.pictures()[0]).items[-1].array
    np.testing.assert_allclose(shown[-1][1], soft_permutation(scores, 0.03, 3))
    assert "rows sum to 1 within" in widget.findChild(QLabel, "sinkhorn_numbers").text()


def test_wrong_tiles_are_marked_on_the_finished_answer_only(widget, qtbot, viewer, rng, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    run.save_picture(solved_picture(widget, qtbot, rng))
    widget.set_run(run.path)
    widget.show_last_picture()
    qtbot.waitUntil(lambda: "75%" in widget.findChild(QLabel, "state").text(), timeout=20_000)
    wrong = CaseView(viewer).of_role(WRONG_ROLE)

    assert wrong.visible
    assert np.asarray(wrong.data).sum() == 1
    widget.findChild(QSlider, "solved").setValue(3)
    assert not wrong.visible


def test_pictures_of_a_run_are_listed_by_step(widget, qtbot, rng, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    for step in (0, 40):
        picture = solved_picture(widget, qtbot, rng)
        run.save_picture(Picture("puzzle", step, "anna", picture.items, picture.details))

    widget.session.run = run.path

    box = widget.findChild(QComboBox, "pictures")
    assert [box.itemText(n) for n in range(box.count())] == ["step 0: puzzle", "step 40: puzzle"]


def test_the_picture_of_another_objective_is_shown_side_by_side_and_put_away(widget, qtbot, viewer, rng, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    affine = np.array([[0, 0, 2.0, 1], [0, 2.0, 0, 2], [2.0, 0, 0, 3], [0, 0, 0, 1]])
    arrays = rng.normal(size=(3, 4, 5, 6)).astype(np.float16)
    items = [
        PictureItem(name, "image", array, affine, f"what {name} is")
        for name, array in zip(("target", "filled", "reconstruction"), arrays, strict=True)
    ]
    items.append(PictureItem("similarity", "matrix", np.eye(3), None, "samples"))
    run.save_picture(Picture("cross_modal_reconstruction", 7, "anna", tuple(items), {}))
    before = [(layer.name, layer.visible) for layer in viewer.layers]

    widget.set_run(run.path)
    widget.show_last_picture()
    qtbot.waitUntil(lambda: "reconstruction" in [layer.name for layer in viewer.layers], timeout=20_000)

    shown = [layer for layer in viewer.layers if layer.visible]
    assert {layer.name for layer in shown} == {"target", "filled", "reconstruction"}
    filled = next(layer for layer in shown if layer.name == "filled")
    np.testing.assert_allclose(filled.data_to_world((1, 2, 3)), (affine @ (1, 2, 3, 1))[2::-1])
    assert viewer.canvas.grid.enabled
    assert "what filled is" in widget.findChild(QLabel, "state").text()
    widget.findChild(QPushButton, "back").click()
    assert [(layer.name, layer.visible) for layer in viewer.layers] == before
    assert not viewer.canvas.grid.enabled


def test_a_picture_in_an_empty_viewer_faces_the_patient(viewer, qtbot, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    item = PictureItem("target", "image", np.ones((3, 4, 5), np.float16), np.eye(4)[[2, 1, 0, 3]], "a patch")
    run.save_picture(Picture("masked_reconstruction", 1, "anna", (item,), {}))
    other = PretextWidget(viewer)
    qtbot.addWidget(other)

    other.set_run(run.path)
    other.show_last_picture()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=20_000)

    assert [str(sense) for sense in viewer.scene.camera.orientation2d] == ["up", "left"]


def test_solving_shows_what_the_process_left(viewer, qtbot, widget, rng, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    picture = solved_picture(widget, qtbot, rng)

    def launch(arguments):
        folder = tmp_path.__class__(arguments[arguments.index("--out") + 1])
        write_picture(folder / "puzzle", picture)
        log = tmp_path / "job.log"
        log.touch()
        return Job(subprocess.Popen([sys.executable, "-c", ""]), log)

    other = PretextWidget(viewer, launch=launch)
    qtbot.addWidget(other)
    other.set_run(run.path)

    other.findChild(QPushButton, "solve").click()
    qtbot.waitUntil(lambda: other.controls.shows_puzzle, timeout=20_000)

    assert "75%" in other.findChild(QLabel, "state").text()
    assert other.findChild(QPushButton, "solve").isEnabled()


def test_a_solving_that_fails_is_one_sentence(viewer, qtbot, widget, fake_launch, tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    other = PretextWidget(viewer, launch=fake_launch("refuse"))
    qtbot.addWidget(other)
    other.set_run(run.path)

    other.findChild(QPushButton, "solve").click()
    state = other.findChild(QLabel, "state")
    qtbot.waitUntil(lambda: "no case in 'here'" in state.text(), timeout=20_000)

    assert other.findChild(QPushButton, "solve").isEnabled()


def test_a_grid_that_does_not_fit_is_one_sentence(widget, qtbot):
    for axis in "zyx":
        widget.findChild(QSpinBox, f"grid_{axis}").setValue(8)

    widget.findChild(QPushButton, "draw_puzzle").click()
    state = widget.findChild(QLabel, "state")
    qtbot.waitUntil(lambda: "do not fit" in state.text(), timeout=20_000)

    assert not widget.controls.shows_puzzle


def test_the_puzzle_of_any_objective_is_shown_as_one(widget, qtbot, viewer, rng, tmp_path):
    picture = replace(solved_picture(widget, qtbot, rng), name="permutation_classification")
    widget.controls.clear()
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    run.save_picture(picture)

    widget.set_run(run.path)
    widget.show_last_picture()
    qtbot.waitUntil(lambda: widget.controls.shows_puzzle, timeout=20_000)

    assert of_role(viewer, "solved") is not None


def test_back_to_the_case_takes_the_matrices_of_a_picture_away_too(widget, qtbot, viewer):
    widget.controls.show_matrices([("similarity", np.eye(3))])
    assert not widget.controls.matrices.isHidden()

    widget.findChild(QPushButton, "back").click()

    assert widget.controls.matrices.isHidden()
    assert widget.controls.back.isHidden()
