"""Slices of a case with the outlines of its label map, as PNG pictures."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from napari_mmssl.volumes.geometry import to_canonical
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

#: Shortest edge of a picture in pixels, about.
_EDGE = 260
_WINDOW = (1.0, 99.5)


def slice_picture(volume: Volume, labels: LabelMap, world_mm: tuple[float, float, float]) -> bytes:
    """Return the axial slice of ``volume`` through a scanner position ``(R, A, S)``, with outlines, as PNG.

    The patient's right is on the left, anterior is up, and millimetres are square. ``labels`` lies on the grid of
    the volume.
    """
    turn = to_canonical(volume.geometry)
    grid = turn.apply_to(volume.geometry)
    array, drawn = turn.apply(volume.array), turn.apply(labels.array)
    level = int(np.clip(round(grid.world_to_index(world_mm)[0]), 0, grid.shape[0] - 1))
    # Rows run to A and columns to R: both are turned round for the screen.
    grey, values = (np.ascontiguousarray(one[level, ::-1, ::-1]) for one in (array, drawn))
    low, high = (float(edge) for edge in np.percentile(array[np.isfinite(array)], _WINDOW))
    shade = np.clip((np.nan_to_num(grey) - low) / max(high - low, 1e-9), 0, 1) * 255
    size = _size(grey.shape, grid.spacing_mm[1:])
    base = np.asarray(Image.fromarray(shade.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR).convert("RGB"))
    # A transparent hairline of one pixel is seen on any grey and hides little.
    picture = _outlined(base.copy(), values, labels.classes, size)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _outlined(
    picture: np.ndarray, values: np.ndarray, classes: tuple[LabelClass, ...], size: tuple[int, int]
) -> np.ndarray:
    for one in classes:
        mask = values == one.value
        if not mask.any():
            continue
        large = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
        picture[large & ~ndimage.binary_erosion(large, iterations=2)] = _rgb(one.colour)
    return picture


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, int]:
    """Return width and height in pixels, square in mm."""
    high_mm, wide_mm = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    pixels_per_mm = _EDGE / min(high_mm, wide_mm)
    return max(1, round(wide_mm * pixels_per_mm)), max(1, round(high_mm * pixels_per_mm))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
