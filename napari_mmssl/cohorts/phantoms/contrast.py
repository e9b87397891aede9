"""How a scanner shows a brain with a tumour: four sequences with their faults."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field
from napari_mmssl.cohorts.phantoms.person import Anatomy
from napari_mmssl.cohorts.phantoms.tumour import ENHANCING, NECROTIC_CORE, OEDEMA, Tumour

MODALITIES = ("t1", "t1ce", "t2", "flair")

#: Brightness of each tissue in each sequence, chosen by eye from published figures of gliomas.
_BRIGHTNESS = {
    #             t1    t1ce  t2    flair
    "csf": (0.26, 0.24, 1.15, 0.16),
    "gm": (0.72, 0.70, 0.60, 0.60),
    "wm": (1.00, 0.92, 0.42, 0.50),
    "oedema": (0.70, 0.64, 0.88, 0.98),
    "enhancing": (0.72, 1.55, 0.74, 0.74),
    "necrosis": (0.40, 0.34, 1.05, 0.55),
    "solid": (0.58, 0.56, 0.90, 0.88),
    "hyperintensity": (0.85, 0.78, 0.72, 0.85),
    "vessel": (0.45, 1.75, 0.20, 0.20),
    "choroid": (0.55, 1.35, 0.85, 0.55),
}
#: How much of the average T1's own detail (nuclei, brain stem) each sequence shows, and in which sense.
_DETAIL = (0.9, 0.7, -0.5, -0.3)
#: Standard deviations of a tissue's brightness between scanners; necrosis on FLAIR runs from dark to bright.
_JITTER, _TUMOUR_JITTER, _NECROSIS_FLAIR_JITTER = 0.06, 0.12, 0.35


@dataclass(frozen=True, eq=False)
class Lesions:
    """What is in a brain besides its tissues and tumour, each as a share of the voxel."""

    hyperintensity: FloatArray
    vessel: FloatArray
    choroid: FloatArray


def draw_lesions(rng: np.random.Generator, anatomy: Anatomy, age_years: float) -> Lesions:
    """Draw white matter hyperintensities (more with age), vessels and choroid plexus; none of them is labelled."""
    grid = anatomy.grid
    load = np.clip(rng.normal((age_years - 50) / 25, 0.6), -1.5, 1.8)
    to_ventricle_mm = ndimage.distance_transform_edt(anatomy.ventricle < 0.5, sampling=grid.spacing_mm)
    spots = 0.8 * smooth_field(rng, grid, 7.0) + 0.6 * smooth_field(rng, grid, 4.0)
    spots = spots - 2.9 + 1.7 * np.exp(-to_ventricle_mm / 5) + 0.55 * load
    white = anatomy.wm * ramp(anatomy.depth_mm, 12, 20) * ramp(anatomy.place_mm[0], -12, 0)
    tubes = smooth_field(rng, grid, 7.0) ** 2 + smooth_field(rng, grid, 7.0) ** 2  # Small where both are near 0: lines.
    up, front, right = anatomy.place_mm
    outside = anatomy.csf * (1 - anatomy.ventricle) * anatomy.head
    sinus = ramp(-abs(right), -4, -2) * ramp(-anatomy.depth_mm, -9, -5) * ramp(up - 0.5 * front, 15, 25)
    vessel = np.maximum(outside * ramp(-tubes, -0.14, -0.04), 0.8 * sinus * anatomy.head)
    plexus = ramp(smooth_field(rng, grid, 5.0), 0.2, 0.9) * ramp(-front, 18, 26) * anatomy.ventricle
    return Lesions(
        hyperintensity=np.asarray(ramp(spots, 0, 0.5) * white, dtype=np.float32),
        vessel=np.asarray(vessel, dtype=np.float32),
        choroid=np.asarray(plexus, dtype=np.float32),
    )


def render(rng: np.random.Generator, anatomy: Anatomy, tumour: Tumour, lesions: Lesions) -> dict[str, FloatArray]:
    """Return one volume per modality, white matter on T1 near 1, 0 outside the head."""
    shares = _shares(anatomy, tumour, lesions)
    grid = anatomy.grid
    ill = np.isin(tumour.label, (NECROTIC_CORE, ENHANCING, OEDEMA)).astype(np.float32)
    solid = ill - (tumour.label == OEDEMA)
    texture = 0.025 * smooth_field(rng, grid, 5.0) + (0.05 * ill + 0.06 * solid) * smooth_field(rng, grid, 6.0)
    cut_mm = rng.uniform(0.5, 3.0) + 0.6 * smooth_field(rng, grid, 12.0)
    stripped = (anatomy.head > 0.5) & (anatomy.depth_mm > cut_mm)  # Skull stripping leaves more fluid, or less.
    volumes = {}
    for channel, modality in enumerate(MODALITIES):
        brightness = _draw_brightness(rng, channel)
        volume = sum(brightness[name] * share for name, share in shares.items())
        volume = volume + _DETAIL[channel] * anatomy.detail * (1 - ill)
        own = 0.02 * smooth_field(rng, grid, 3.5) + (0.02 * ill + 0.03 * solid) * smooth_field(rng, grid, 4.0)
        volume = np.clip(volume * (1 + texture + own), 0.02, None)
        volumes[modality] = _scan(rng, volume, grid) * stripped
    return volumes


def _shares(anatomy: Anatomy, tumour: Tumour, lesions: Lesions) -> dict[str, FloatArray]:
    """Return the share of each tissue in each voxel; later kinds take the place of earlier ones."""
    label = tumour.label
    solid = (label == NECROTIC_CORE) & ~tumour.necrosis
    shares = {"csf": anatomy.csf, "gm": anatomy.gm, "wm": anatomy.wm}
    kinds = {
        "hyperintensity": lesions.hyperintensity,
        # Fluid in the sulci stays fluid when the tissue round it swells; cortex swells less than white matter.
        "oedema": _soft(tumour.swelling) * (anatomy.wm + 0.65 * anatomy.gm),
        "choroid": lesions.choroid,
        "vessel": lesions.vessel,
        "solid": _soft(solid),
        "necrosis": _soft((label == NECROTIC_CORE) & tumour.necrosis),
        "enhancing": _soft(label == ENHANCING),
    }
    for kind, share in kinds.items():
        taken = np.clip(share, 0, 1)
        shares = {name: other * (1 - taken) for name, other in shares.items()}
        shares[kind] = taken
    return shares


def _soft(mask: np.ndarray) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), 0.5), dtype=np.float32)


def _draw_brightness(rng: np.random.Generator, channel: int) -> dict[str, float]:
    """Draw this scanner's brightness of each tissue; its grey-to-white contrast varies most."""
    drawn = {
        name: values[channel] * rng.lognormal(0, _JITTER if name in ("csf", "gm", "wm") else _TUMOUR_JITTER)
        for name, values in _BRIGHTNESS.items()
    }
    middle = (drawn["gm"] + drawn["wm"]) / 2
    contrast = rng.uniform(0.55, 1.2)
    drawn["gm"], drawn["wm"] = (middle + contrast * (drawn[name] - middle) for name in ("gm", "wm"))
    wetness = rng.lognormal(0, _NECROSIS_FLAIR_JITTER)
    if MODALITIES[channel] == "flair":
        drawn["necrosis"] *= wetness
    return drawn


def _scan(rng: np.random.Generator, volume: FloatArray, grid: Grid) -> FloatArray:
    """Add what a scanner adds: thick slices, gamma, uneven sensitivity, noise."""
    thickness_mm = float(rng.choice([1.0, 3.0, 5.0], p=[0.5, 0.3, 0.2])) * rng.uniform(0.9, 1.2)
    axis = int(rng.choice(3, p=[0.7, 0.1, 0.2]))
    volume = _thick_slices(volume, axis, thickness_mm / grid.spacing_mm[axis])
    volume = volume ** rng.uniform(0.85, 1.2)
    volume = volume * np.exp(rng.uniform(0.05, 0.18) * smooth_field(rng, grid, 65.0))
    noise = rng.uniform(0.005, 0.025)
    first, second = noise * rng.standard_normal((2, *volume.shape), dtype=np.float32)
    return np.asarray(np.hypot(volume + first, second), dtype=np.float32)  # Rician: the magnitude of a complex signal.


def _thick_slices(volume: FloatArray, axis: int, thickness: float) -> FloatArray:
    """Average ``volume`` over slices of ``thickness`` voxels and put it back on its grid by linear interpolation."""
    if thickness <= 1:
        return volume
    count = volume.shape[axis]
    centres = np.arange(thickness / 2 - 0.5, count, thickness)
    apart = np.arange(count)[None] - centres[:, None]  # slices, voxels
    gather = np.clip((thickness + 1) / 2 - abs(apart), 0, 1)
    gather /= gather.sum(axis=1, keepdims=True)
    spread = np.clip(1 - abs(apart) / thickness, 0, 1).T  # voxels, slices
    spread /= spread.sum(axis=1, keepdims=True)
    matrix = (spread @ gather).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis))
