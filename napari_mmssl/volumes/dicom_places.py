"""Header values of DICOM as what they should be: places, directions, spacings, numbers, names; or refused."""

from typing import Any, TypeAlias

import numpy as np
from pydicom.multival import MultiValue

from napari_mmssl.errors import GeometryError, ReadError

Vector: TypeAlias = tuple[float, float, float]


def read_position(values: Any) -> tuple[Vector, int]:
    """Return ImagePositionPatient in LPS mm, and with how many digits behind the point it is written.

    Raises
    ------
    GeometryError
        If it is no place in a scanner.
    TypeError, ValueError
        If it is not three numbers.
    """
    x, y, z = (float(value) for value in values)
    if not np.isfinite((x, y, z)).all() or max(abs(x), abs(y), abs(z)) > 1e6:
        raise GeometryError("its position is no place in a scanner")
    texts = [str(getattr(value, "original_string", value)).lower() for value in values]
    return (x, y, z), max(len(text.partition(".")[2].partition("e")[0]) for text in texts)


def read_directions(values: Any) -> tuple[Vector, Vector]:
    """Return the unit vectors of ImageOrientationPatient: along which the column and the row index grow.

    Raises
    ------
    GeometryError
        If they are not two directions at right angles.
    """
    six = np.array([float(value) for value in values])
    if six.shape != (6,) or not np.isfinite(six).all():
        raise GeometryError("its orientation is not two directions")
    row, column = six[:3], six[3:]
    if max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column)) > 1e-2:
        raise GeometryError("its orientation is not two directions at right angles")
    # Rounded to a few digits in the file; the rounding must not show as a shear.
    row = row / np.linalg.norm(row)
    column = column - row * (row @ column)
    return _vector(row), _vector(column / np.linalg.norm(column))


def read_spacing(values: Any) -> tuple[float, float]:
    """Return PixelSpacing: mm between rows and between columns.

    Raises
    ------
    GeometryError
        If one of them is not above 0.
    """
    rows, columns = (float(value) for value in values)
    if not (0 < rows < 1e4 and 0 < columns < 1e4):
        raise GeometryError(f"its pixels are {rows:.4g} x {columns:.4g} mm apart")
    return rows, columns


def read_number(value: Any) -> float | None:
    """Return ``value``, or the first of several, as a finite number; ``None`` if it is none."""
    try:
        number = float(value[0] if isinstance(value, (list, MultiValue)) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def read_finite(value: Any, default: float) -> float:
    """Return a rescaling's ``value``, or ``default`` where there is none.

    Raises
    ------
    ReadError
        If it is there and no number.
    """
    if value is None:
        return default
    number = read_number(value)
    if number is None:
        raise ReadError("its rescaling is no number")
    return number


def one_line(value: Any) -> str:
    """Return a name on one line; one with a backslash in it comes as several values."""
    parts = value if isinstance(value, (list, MultiValue)) else [value]
    return " ".join("\\".join(str(part) for part in parts if part is not None).split())


def _vector(values: np.ndarray) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])


def read_vector(values: Any) -> Vector | None:
    """Return three finite numbers, or ``None`` if they are missing or something else; never raises."""
    try:
        x, y, z = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y, z) if np.isfinite((x, y, z)).all() else None
