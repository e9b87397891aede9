"""Where napari draws a grid of voxels, and where a layer's own transform puts it. Imports no napari.

napari's world is ours with the axes turned round: ``(S, A, R)`` in mm, so that the cursor reads scanner
coordinates and slicing the first axis goes from the feet to the head. napari does not slice a rotated
volume in two dimensions (its transform is ignored with a warning), so a tilted one is shown on its nearest
anatomical axes, with its centre at the true place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import GRID_TOLERANCE, Geometry, to_canonical

#: What napari writes at its sliders: the direction in which the coordinate grows.
AXIS_LABELS = ("S", "A", "R")
UNITS = ("mm", "mm", "mm")
#: Below this angle a tilt is not seen and not spoken of.
NOTABLE_TILT_DEG = 0.5


@dataclass(frozen=True)
class Place:
    """Scale and translation of a layer, along napari's axes ``(S, A, R)``, in mm."""

    scale: tuple[float, float, float]
    translate: tuple[float, float, float]


def display_place(geometry: Geometry) -> Place:
    """Return where napari draws the array of ``geometry`` once it is turned to run to S, A and R.

    Exact for a grid without tilt; otherwise the centre and the edge lengths are true and the tilt is left out.

    See Also
    --------
    napari_mmssl.volumes.geometry.to_canonical : how the array is turned.
    """
    canonical = to_canonical(geometry).apply_to(geometry)
    centre = (np.array(canonical.shape) - 1) / 2
    scale = np.array(canonical.spacing_mm)
    translate = canonical.index_to_world(centre)[::-1] - scale * centre
    return Place(_triple(scale), _triple(translate))


def transform_of(state: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Return the 4x4 matrix from array index to napari's world that a layer's state describes.

    Parameters
    ----------
    state
        The second part of a layer-data tuple; ``scale translate rotate shear affine`` count, and may be missing.

    Raises
    ------
    GeometryError
        If the layer has not three axes.
    """
    scale, translate = _vector(state.get("scale"), 1.0), _vector(state.get("translate"), 0.0)
    if scale.shape != (3,) or translate.shape != (3,):
        raise GeometryError(f"layer '{state.get('name')}' has {scale.size} axes; a volume has three")
    matrix = np.eye(4)
    matrix[:3, :3] = _square(state.get("rotate")) @ _shear(state.get("shear")) @ np.diag(scale)
    matrix[:3, 3] = translate
    affine = state.get("affine")
    return matrix if affine is None else np.asarray(affine, dtype=np.float64) @ matrix


def own_geometry(shape: tuple[int, ...], state: Mapping[str, Any]) -> Geometry:
    """Return the grid that a layer's own transform describes, for layers that carry no scanner geometry.

    Raises
    ------
    GeometryError
        If the layer has not three axes, or its units are not millimetres: a place in pixels is no place.
    """
    name = state.get("name")
    if len(shape) != 3:
        raise GeometryError(f"layer '{name}' has {len(shape)} axes; only volumes of three can be saved here")
    units = {str(unit) for unit in state.get("units") or ()}
    if not units or not units <= {"mm", "millimeter"}:
        raise GeometryError(
            f"layer '{name}' does not say where it lies (its units are {', '.join(sorted(units)) or 'unknown'}); "
            "paint on a new labels layer made while a scan is selected, or give the layer a scale and units of mm"
        )
    # Rows from (S, A, R) to our (R, A, S).
    return Geometry((shape[0], shape[1], shape[2]), transform_of(state)[[2, 1, 0, 3]])


def is_drawn_at(place: Place, state: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether a layer of ``shape`` lies where ``place`` says, within a small part of a voxel at every corner."""
    wanted = np.diag([*place.scale, 1.0])
    wanted[:3, 3] = place.translate
    corners = np.vstack([np.indices((2, 2, 2)).reshape(3, -1) * (np.array(shape)[:, None] - 1), np.ones(8)])
    apart = np.linalg.norm(((transform_of(state) - wanted) @ corners)[:3], axis=0).max()
    return bool(apart <= GRID_TOLERANCE * min(place.scale))


def contrast_limits(array: np.ndarray) -> tuple[float, float]:
    """Return the darkest and the brightest intensity to show: the 1st and 99.5th percentile of the body.

    The most common value is taken for background when it fills a tenth of the volume, since medical volumes
    are mostly empty. NaN and infinity do not count; a volume of one value gets a width of 1.
    """
    # A hundred thousand voxels tell percentiles as well as ten million.
    step = max(1, int((array.size / 1e5) ** (1 / 3)))
    sample = array[::step, ::step, ::step].ravel()
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if sample.size == 0:
        return 0.0, 1.0
    values, counts = np.unique(sample, return_counts=True)
    background = values[counts.argmax()]
    body = sample[sample != background] if counts.max() > sample.size / 10 else sample
    if body.size == 0:
        return float(background), float(background) + 1.0
    low, high = np.percentile(body, (1, 99.5))
    low = min(low, background) if background < high else low
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def darkened(array: np.ndarray, dark: float) -> np.ndarray:
    """Return z-scores with what is empty, 0 as the mean of the body is, as dark as ``dark``: as a scan looks."""
    return np.where(array == 0, np.float32(dark), array)


def _triple(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _vector(values: Any, default: float) -> npt.NDArray[np.float64]:
    return np.full(3, default) if values is None else np.asarray(values, dtype=np.float64)


def _square(rotate: Any) -> npt.NDArray[np.float64]:
    matrix = np.eye(3) if rotate is None else np.asarray(rotate, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise GeometryError("the rotation of a layer is given as an angle; only layers that napari holds can be saved")
    return matrix


def _shear(shear: Any) -> npt.NDArray[np.float64]:
    matrix = np.eye(3)
    if shear is not None:
        given = np.asarray(shear, dtype=np.float64)
        if given.shape == (3, 3):
            return given
        matrix[np.triu_indices(3, k=1)] = given
    return matrix
