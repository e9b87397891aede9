"""Chance changes of a patch: where it is cut, how it looks, and which modalities are withheld.

Probabilities and ranges of the full augmentation are those of nnU-Net (Isensee et al. 2021,
doi:10.1038/s41592-020-01008-z, supplementary note 4), but for mirroring, which is left to right only: nobody is scanned
upside down.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

Shape = tuple[int, int, int]
#: Slices so much thicker than their pixels are turned in their plane only, as nnU-Net does.
_THICK = 3.0


@dataclass(frozen=True)
class Augmentation:
    """What is left to chance; the defaults change nothing.

    Parameters
    ----------
    flip
        Probability of mirroring left and right.
    intensity
        Largest relative gain and shift, drawn for each channel.
    drop_modality
        Probability of withholding each modality; one always stays.
    spatial
        Whether patches are turned and scaled now and then.
    appearance
        Whether they are made noisy, smooth, coarse, brighter, or of another contrast now and then.
    """

    flip: float = 0.0
    intensity: float = 0.0
    drop_modality: float = 0.0
    spatial: bool = False
    appearance: bool = False


def draw_turn(rng: np.random.Generator, spacing_mm: tuple[float, float, float]) -> np.ndarray | None:
    """Return a matrix ``(3, 3)`` from steps in a patch to steps in its volume, in voxels; ``None`` changes nothing.

    Turned about each axis by up to 30 degrees and scaled by 0.7 to 1.4, each with probability 0.2; in millimetres, so
    that nothing is sheared.
    """
    turns, scales = rng.random(2) < 0.2
    angles, scale = rng.uniform(-np.pi / 6, np.pi / 6, 3), rng.uniform(0.7, 1.4)
    if not turns and not scales:
        return None
    matrix = np.eye(3)
    if turns:
        thick = np.array(spacing_mm) > _THICK * min(spacing_mm)
        for axis, angle in enumerate(angles):
            if thick.any() and not thick[axis]:
                continue
            matrix = matrix @ _rotation(axis, angle)
    if scales:
        matrix = matrix * scale
    to_mm = np.diag(spacing_mm)
    return np.linalg.inv(to_mm) @ matrix @ to_mm


def _rotation(axis: int, angle: float) -> np.ndarray:
    matrix = np.eye(3)
    first, second = (other for other in range(3) if other != axis)
    matrix[[first, second], [first, second]] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def cut_turned(array: np.ndarray, index: np.ndarray, patch: Shape, *, linear: bool) -> np.ndarray:
    """Return a patch whose voxels lie askew in ``array``; zeros beyond it.

    Parameters
    ----------
    array
        Volume ``(D, H, W)``; only the part that the patch touches is read.
    index
        From indices of the patch to indices of the volume ``(4, 4)``.
    patch
        Voxels along ``(z, y, x)``.
    linear
        Interpolate; otherwise the nearest voxel is taken.
    """
    ends = np.stack(np.meshgrid(*[(0, edge - 1) for edge in patch], indexing="ij"), axis=-1).reshape(-1, 3)
    places = ends @ index[:3, :3].T + index[:3, 3]
    low = np.clip(np.floor(places.min(axis=0)).astype(int) - 1, 0, array.shape)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + 2, 0, array.shape)
    if (high <= low).any():
        return np.zeros(patch, array.dtype)
    part = np.asarray(array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    if part.dtype == bool:
        part = part.view(np.uint8)
    cut: np.ndarray = ndimage.affine_transform(
        part, index[:3, :3], index[:3, 3] - low, output_shape=patch, order=1 if linear else 0
    )
    return cut.astype(array.dtype)


def changed_looks(rng: np.random.Generator, volumes: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Return ``volumes`` ``(K, D, H, W)`` as another scanner might have made them; 0 outside ``body`` ``(D, H, W)``.

    In nnU-Net's order: noise, blur, brightness, contrast, lower resolution, gamma of the inverted and of the plain
    intensities. Each is drawn for the patch, and its strength for each channel.
    """
    for chance, per_channel, change in _CHANGES:
        if rng.random() < chance:
            volumes = np.stack([change(rng, one, body) if rng.random() < per_channel else one for one in volumes])
    changed: np.ndarray = volumes * body
    return changed


def _noise(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    noise = rng.standard_normal(volume.shape, np.float32)
    noisy: np.ndarray = volume + np.float32(np.sqrt(rng.uniform(0, 0.1))) * noise
    return noisy


def _blur(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    blurred: np.ndarray = ndimage.gaussian_filter(volume, rng.uniform(0.5, 1.5), truncate=3.0)
    return blurred


def _brightness(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    brighter: np.ndarray = volume * np.float32(rng.uniform(0.7, 1.3))
    return brighter


def _contrast(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    factor = np.float32(rng.uniform(0.65, 1.5))
    if not body.any():
        return volume
    inside = volume[body]
    mean = inside.mean()
    stretched: np.ndarray = np.clip((volume - mean) * factor + mean, inside.min(), inside.max())
    return stretched


def _coarser(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    shape = np.array(volume.shape)
    coarse = np.maximum(1, np.round(shape / rng.uniform(1, 2)))
    few = ndimage.zoom(volume, coarse / shape, order=0)
    again: np.ndarray = ndimage.zoom(few, shape / np.array(few.shape), order=1)
    return again


def _gamma(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Bend the intensities inside the body by a power of 0.7 to 1.5; their mean and deviation stay."""
    power = np.float32(rng.uniform(0.7, 1.5))
    inside = volume[body]
    span = float(np.ptp(inside)) if inside.size else 0.0
    if not span:
        return volume
    bent = ((inside - inside.min()) / span) ** power
    deviation = bent.std()
    changed = volume.copy()
    changed[body] = (bent - bent.mean()) / deviation * inside.std() + inside.mean() if deviation else inside
    return changed


def _gamma_of_inverted(rng: np.random.Generator, volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    return -_gamma(rng, -volume, body)


_Change = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
#: Probability of each change, of each channel then, and the change.
_CHANGES: tuple[tuple[float, float, _Change], ...] = (
    (0.15, 1.0, _noise),
    (0.2, 0.5, _blur),
    (0.15, 1.0, _brightness),
    (0.15, 1.0, _contrast),
    (0.25, 0.5, _coarser),
    (0.15, 1.0, _gamma_of_inverted),
    (0.15, 1.0, _gamma),
)
