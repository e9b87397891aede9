"""Chance changes of a patch: how it looks, and which modalities are withheld; ``turning`` holds where it is cut.

Probabilities and ranges of the full augmentation are those of nnU-Net (Isensee et al. 2021,
doi:10.1038/s41592-020-01008-z, supplementary note 4), but for mirroring, which is left to right only: nobody is scanned
upside down.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional


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
    # Not by ndimage.zoom, which takes some outermost voxels for ones beyond the array and leaves them zero.
    fewer = np.maximum(1, np.round(np.array(volume.shape) / rng.uniform(1, 2))).astype(int)
    taken = [np.rint(np.linspace(0, edge - 1, few)).astype(int) for edge, few in zip(volume.shape, fewer, strict=True)]
    coarse = torch.from_numpy(volume[np.ix_(*taken)])
    again = functional.interpolate(coarse[None, None], size=volume.shape, mode="trilinear", align_corners=True)
    smooth: np.ndarray = again[0, 0].numpy()
    return smooth


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
