"""Which pixels lie inside closed polygons, by the even-odd rule: a contour inside another is a hole."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: More crossings of edges and rows than this are no drawing of anatomy.
_MOST_CROSSINGS = 20_000_000


def fill_even_odd(contours: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the mask of pixels whose centres lie inside an odd number of ``contours``.

    A centre exactly on an edge counts as inside on the left and upper side and as outside on the others, so that
    polygons that share an edge share no pixel. Edges that are walked twice (keyholes) cancel out.

    Parameters
    ----------
    contours
        Corners ``(n, 2)`` as (row, column), pixel centres at whole numbers; the last is joined to the first.
    shape
        Rows and columns of the picture.

    Raises
    ------
    ValueError
        If the polygons go up and down so often that it would take minutes.
    """
    rows, columns = shape
    marks = np.zeros(rows * (columns + 1), np.int64)
    total = 0
    for corners in contours:
        start, end = corners, np.roll(corners, -1, axis=0)
        # The same edge walked the other way must cross each row in the same place, to the last bit.
        down = start[:, 0] <= end[:, 0]
        upper, lower = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
        first = np.ceil(upper[:, 0]).clip(0, rows).astype(np.int64)
        last = np.ceil(lower[:, 0]).clip(0, rows).astype(np.int64)
        n_crossed = np.maximum(last - first, 0)
        total += int(n_crossed.sum())
        if total > _MOST_CROSSINGS:
            raise ValueError("its contours go up and down too often to be a drawing")
        edge = np.repeat(np.arange(len(corners)), n_crossed)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(n_crossed) - n_crossed, n_crossed) + first[edge]
        # An edge that crosses a row is never level, so nothing is divided by 0.
        share = (row - upper[edge, 0]) / (lower[edge, 0] - upper[edge, 0])
        x = upper[edge, 1] + share * (lower[edge, 1] - upper[edge, 1])
        marks += np.bincount(row * (columns + 1) + np.ceil(x).clip(0, columns).astype(np.int64), minlength=marks.size)
    inside: npt.NDArray[np.bool_] = marks.reshape(rows, columns + 1).cumsum(axis=1)[:, :columns] % 2 == 1
    return inside
