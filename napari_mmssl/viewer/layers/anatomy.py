"""Which way the patient faces on the screen: conventions, planes and letters. Pure; imports no napari.

napari's last three world axes are ``(S, A, R)``: each grows towards the head, the front and the patient's right.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

Convention: TypeAlias = Literal["radiological", "neurological"]

#: Order of napari's axes that shows each plane with the head, or the front, up.
PLANES: dict[str, tuple[int, int, int]] = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}

_LETTERS = (("S", "I"), ("A", "P"), ("R", "L"))
# Unit vectors of S, A and R in a right-handed (R, A, S) system.
_VECTORS = ((0, 0, 1), (0, 1, 0), (1, 0, 0))


def orientation_2d(convention: Convention) -> tuple[str, str]:
    """Return napari's ``camera.orientation2d``: radiological shows the patient's right on the left of the screen."""
    return ("up", "left" if convention == "radiological" else "right")


def edge_letters(displayed: Sequence[int], vertical: str, horizontal: str) -> dict[str, str]:
    """Return the letter at each edge of the canvas.

    Parameters
    ----------
    displayed
        The two axes on screen, top-to-bottom one first, counted 0 = S, 1 = A, 2 = R.
    vertical, horizontal
        Where the axes grow to: ``up`` or ``down``, ``left`` or ``right``.
    """
    (high, low), (right, left) = (_LETTERS[axis] for axis in displayed)
    top, bottom = (high, low) if vertical == "up" else (low, high)
    on_left, on_right = (right, left) if horizontal == "left" else (left, right)
    return {"top": top, "bottom": bottom, "left": on_left, "right": on_right}


def depth_without_mirroring(order: Sequence[int], vertical: str, horizontal: str) -> str:
    """Return where the first of three displayed axes must grow to, ``towards`` or ``away`` from the viewer.

    napari leaves the depth axis as it is when axes are swapped, which would show a mirrored patient in 3-D.

    Parameters
    ----------
    order
        The three axes as napari displays them (depth, vertical, horizontal), counted 0 = S, 1 = A, 2 = R.
    vertical, horizontal
        As in :func:`edge_letters`.
    """
    depth, up, right = (np.array(_VECTORS[axis]) for axis in order)
    up = up if vertical == "up" else -up
    right = right if horizontal == "right" else -right
    return "towards" if np.cross(right, up) @ depth > 0 else "away"


def position_words(world_ras: Sequence[float]) -> str:
    """Return a scanner position ``(R, A, S)`` in mm as a clinician writes it: ``L 12.3  A 4.0  S 55.1 mm``."""
    pairs = (_LETTERS[2], _LETTERS[1], _LETTERS[0])
    words = [
        f"{grows if value >= 0 else falls} {abs(value):.1f}"
        for (grows, falls), value in zip(pairs, world_ras, strict=True)
    ]
    return "  ".join(words) + " mm"
