"""Cuts through layers along one anatomical plane, as colours in millimetres. Pure array code; imports no Qt, no napari.

Layers are taken as napari shows them: on axes that run to S, A and R, with a scale and a translation. Whatever is
turned or sheared, or has not three axes, is not cut.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_mmssl.viewer.layers.anatomy import PLANES
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY

#: Steps of a colour table; eyes tell fewer greys.
_SHADES = 256


@dataclass(frozen=True)
class Slice:
    """One layer in one plane.

    Parameters
    ----------
    rgba
        ``(rows, columns, 4)`` of ``uint8``; rows grow with the plane's vertical axis, columns with its horizontal one.
    low, high
        Edges of the picture in mm along (vertical, horizontal), on the outer sides of the outer voxels.
    opacity
        In [0, 1].
    additive
        Whether it is added to what lies below it.
    smooth
        Whether it may be interpolated; label maps may not.
    """

    rgba: npt.NDArray[np.uint8]
    low: tuple[float, float]
    high: tuple[float, float]
    opacity: float = 1.0
    additive: bool = False
    smooth: bool = True


def can_be_cut(layer: Any) -> bool:
    """Whether ``layer`` is a volume or label map that lies straight on three axes."""
    if type(layer).__name__ not in ("Image", "Labels") or layer.ndim != 3:
        return False
    if getattr(layer, "rgb", False) or getattr(layer, "multiscale", False):
        return False
    straight = np.allclose(layer.rotate, np.eye(3)) and np.allclose(layer.shear, 0)
    return bool(straight and np.allclose(layer.affine.affine_matrix, np.eye(4)))


def cut(layer: Any, plane: str, point: npt.NDArray[np.float64]) -> Slice | None:
    """Return ``layer`` where ``plane`` passes through ``point`` ``(S, A, R)`` in mm; ``None`` if it misses it."""
    normal, vertical, horizontal = PLANES[plane]
    index = index_at(layer, point)[normal]
    if not 0 <= index < layer.data.shape[normal]:
        return None
    array = np.asarray(np.take(layer.data, index, axis=normal))
    # What is left of the axes ascends, and each plane asks for (vertical, horizontal) in ascending order.
    scale, translate = np.asarray(layer.scale), np.asarray(layer.translate)
    axes = [vertical, horizontal]
    low = translate[axes] - scale[axes] / 2
    high = low + scale[axes] * np.array(array.shape)
    image = type(layer).__name__ == "Image"
    return Slice(
        _shades(layer, array) if image else _class_colours(layer, array),
        (float(low[0]), float(low[1])),
        (float(high[0]), float(high[1])),
        float(layer.opacity),
        str(layer.blending) == "additive",
        smooth=image and str(layer.interpolation2d) != "nearest",
    )


def index_at(layer: Any, point: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the index of the voxel of ``layer`` at ``point`` ``(S, A, R)``; it may lie outside of the array."""
    index = (np.asarray(point) - np.asarray(layer.translate)) / np.asarray(layer.scale)
    nearest: npt.NDArray[np.intp] = np.floor(index + 0.5).astype(np.intp)
    return nearest


def value_words(layers: Iterable[Any], point: npt.NDArray[np.float64]) -> list[str]:
    """Return what each visible layer holds at ``point``, such as ``t1 412`` or ``label: oedema``."""
    words = []
    for layer in layers:
        index = index_at(layer, point)
        if not layer.visible or (index < 0).any() or (index >= layer.data.shape).any():
            continue
        origin = layer.metadata.get(METADATA_KEY)
        name = (getattr(origin, "role", None) or layer.name).strip()
        value = np.asarray(layer.data[tuple(index)]).item()
        if type(layer).__name__ == "Labels":
            classes = {one.value: one.name for one in getattr(origin, "classes", ())}
            words.append(f"{name}: {'-' if value == 0 else classes.get(value, value)}")
        else:
            words.append(f"{name} {value:.4g}")
    return words


def _shades(layer: Any, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = layer.contrast_limits
    share = np.clip((array.astype(np.float32) - low) / max(high - low, 1e-12), 0, 1)
    if layer.gamma != 1:
        share = share**layer.gamma
    table = _bytes(np.asarray(layer.colormap.map(np.linspace(0, 1, _SHADES))))
    table[:, 3] = 255
    shades: npt.NDArray[np.uint8] = table[_bytes(np.nan_to_num(share))]
    return shades


def _class_colours(layer: Any, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    values, inverse = np.unique(array, return_inverse=True)
    # Values are few; napari's own table is asked for each once.
    colours: npt.NDArray[np.uint8] = _bytes(np.asarray(layer.colormap.map(values)).reshape(-1, 4))[
        inverse.reshape(array.shape)
    ]
    return colours


def _bytes(shares: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.round(shares * 255).astype(np.uint8)
