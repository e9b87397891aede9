"""Which side is which on the screen, checked against what the words mean."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmssl.viewer.layers.anatomy import (
    PLANES,
    depth_without_mirroring,
    edge_letters,
    orientation_2d,
    position_words,
)

VECTORS = {"S": (0, 0, 1), "A": (0, 1, 0), "R": (1, 0, 0), "I": (0, 0, -1), "P": (0, -1, 0), "L": (-1, 0, 0)}


@pytest.mark.parametrize(
    ("plane", "letters"),
    [
        ("axial", {"top": "A", "bottom": "P", "left": "R", "right": "L"}),
        ("coronal", {"top": "S", "bottom": "I", "left": "R", "right": "L"}),
        ("sagittal", {"top": "S", "bottom": "I", "left": "A", "right": "P"}),
    ],
)
def test_radiological_planes_have_head_or_front_up_and_the_patients_right_on_the_left(plane, letters):
    assert edge_letters(PLANES[plane][1:], *orientation_2d("radiological")) == letters


def test_neurological_swaps_left_and_right_only():
    radiological = edge_letters((1, 2), *orientation_2d("radiological"))
    neurological = edge_letters((1, 2), *orientation_2d("neurological"))

    assert (neurological["left"], neurological["right"]) == (radiological["right"], radiological["left"])
    assert neurological["top"] == radiological["top"]


@given(
    order=st.permutations(range(3)),
    vertical=st.sampled_from(["up", "down"]),
    horizontal=st.sampled_from(["left", "right"]),
)
def test_three_dimensions_are_never_a_mirror_image(order, vertical, horizontal):
    letters = edge_letters(order[1:], vertical, horizontal)
    depth = depth_without_mirroring(order, vertical, horizontal)
    grows = "SAR"[order[0]]
    towards = np.array(VECTORS[grows]) * (1 if depth == "towards" else -1)

    # Right hand: screen right x screen up points to the person who looks.
    np.testing.assert_array_equal(np.cross(VECTORS[letters["right"]], VECTORS[letters["top"]]), towards)


def test_opposite_edges_are_opposite_directions():
    for displayed in itertools.permutations(range(3), 2):
        letters = edge_letters(displayed, "down", "right")
        for one, other in (("top", "bottom"), ("left", "right")):
            np.testing.assert_array_equal(np.negative(VECTORS[letters[one]]), VECTORS[letters[other]])


def test_positions_are_written_with_sides_not_signs():
    assert position_words((-12.34, 4.0, 55.06)) == "L 12.3  A 4.0  S 55.1 mm"
