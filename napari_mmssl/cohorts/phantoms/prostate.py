"""The prostate phantom: T2 and ADC in thick slices, peripheral and transition zone, a cancer in some men.

What it is made from, how alike its men are, and what it is not: ``docs/concepts/phantoms.md``.
"""

from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.phantoms import Phantom, PhantomCase, phantoms
from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, smooth_field
from napari_mmssl.cohorts.phantoms.prostate_anatomy import PERIPHERAL, TRANSITION, Pelvis, Plan, draw_pelvis, draw_plan
from napari_mmssl.cohorts.phantoms.shapes import rician, sliced
from napari_mmssl.randomness import counted_rng
from napari_mmssl.volumes.geometry import Reorientation
from napari_mmssl.volumes.volume import LabelClass

#: Goes up with any change that alters a case.
VERSION = 1
CLASSES = (
    LabelClass(PERIPHERAL, "peripheral zone", "#e69f00"),
    LabelClass(TRANSITION, "transition zone", "#56b4e9"),
)
#: Layers that are mixed into one slice.
_LAYERS = 3
_FIELD_MM = 104.0
_REACH_MM = 80.0
#: Brightness on T2 (fat near 0.5) and diffusion in 1e-6 mm2/s, from published ranges; ADC of fat is noise.
_TISSUES = {
    #               t2    adc
    "fat": (0.54, 60),
    "muscle": (0.16, 1050),
    "cortex": (0.06, 80),
    "marrow": (0.48, 250),
    "vein": (0.85, 1500),
    "fascia": (0.30, 500),
    "fluid": (1.70, 3000),
    "vesicle": (1.00, 2000),
    "bowel wall": (0.34, 1250),
    "stool": (0.22, 700),
    "gas": (0.02, 0),
    "capsule": (0.22, 1150),
    "peripheral": (0.92, 1750),
    "inflamed": (0.50, 1350),
    "transition": (0.48, 1350),
    "glandular": (0.82, 1650),
    "stroma": (0.27, 1080),
    "lesion": (0.30, 1000),
}


def prostate_case(index: int, seed: int, spacing_mm: float) -> PhantomCase:
    """Make one man.

    Parameters
    ----------
    index
        Which one, from 0; the same ``index`` and ``seed`` always give the same bits on one machine.
    seed
        Of the cohort.
    spacing_mm
        About the edge of a voxel within a slice; slices are 3 to 4 mm thick whatever it is.

    Returns
    -------
    PhantomCase
        Volumes ``t2`` and ``adc`` on one grid, and a label map of the two zones.
    """
    draws = partial(counted_rng, seed, index, VERSION)
    person, file = draws(purpose="prostate: person"), draws(purpose="prostate: file")
    age_years = int(np.clip(round(person.normal(66, 7)), 45, 84))
    plan = draw_plan(person, age_years)
    fine, grid = _draw_grids(file, spacing_mm)
    pelvis = draw_pelvis(draws(purpose="prostate: anatomy"), plan, fine)
    scanner = draws(purpose="prostate: scanner")
    volumes = {"t2": _render_t2(scanner, pelvis, fine, grid), "adc": _render_adc(scanner, pelvis, plan, fine, grid)}
    label = _label(pelvis)
    stored = Reorientation((0, 1, 2), (False, True, True) if file.random() < 0.6 else (False, False, False))
    zones_ml = np.bincount(label.ravel(), minlength=3)[1:] * grid.voxel_ml
    return PhantomCase(
        id=f"phantom-prostate-{index + 1:03d}",
        geometry=stored.apply_to(grid.geometry()),
        volumes={name: stored.apply(volume).astype(np.int16) for name, volume in volumes.items()},
        label=stored.apply(label).copy(),
        clinical=_draw_findings(draws(purpose="prostate: clinical"), age_years, plan, float(zones_ml.sum())),
        facts={
            "peripheral_ml": round(float(zones_ml[0]), 1),
            "transition_ml": round(float(zones_ml[1]), 1),
            "isup": plan.isup,
            "lesion_ml": round(float(pelvis.lesion.sum()) * fine.voxel_ml, 2),
            "lesion_zone": ("transition" if plan.in_transition else "peripheral") if plan.isup else "none",
            "inflamed": round(plan.inflamed, 2),
        },
    )


def _draw_grids(rng: np.random.Generator, spacing_mm: float) -> tuple[Grid, Grid]:
    """Return the grid of layers that the man is made on, and that of his slices."""
    edge = round(spacing_mm * rng.uniform(0.94, 1.06), 4)
    thick = round(float(rng.choice([3.0, 3.3, 3.6, 4.0])), 4)
    count = int(rng.integers(18, 23) * 3.5 / thick)
    across = round(_FIELD_MM * rng.uniform(0.92, 1.06) / edge)
    # The gland never lies in the very middle.
    shift = rng.normal((4.0, 2.0, 0.0), (3.0, 4.0, 2.5))
    start = [
        float(-size / 2 + move) for size, move in zip((count * thick, across * edge, across * edge), shift, strict=True)
    ]
    layer = thick / _LAYERS
    slices = Grid((count, across, across), (thick, edge, edge), (start[0] + layer, start[1], start[2]))
    layers = Grid((count * _LAYERS, across, across), (layer, edge, edge), (start[0], start[1], start[2]))
    return layers, slices


def _render_t2(rng: np.random.Generator, pelvis: Pelvis, fine: Grid, grid: Grid) -> FloatArray:
    values = {name: row[0] * rng.lognormal(0, 0.10) for name, row in _TISSUES.items()}
    # From man to man the zones differ less or more; in some they can hardly be told apart.
    values["peripheral"] = values["transition"] + rng.uniform(0.15, 1.1) * (values["peripheral"] - values["transition"])
    grain = 1 + 0.10 * smooth_field(rng, fine, 3.0, _REACH_MM) + 0.08 * smooth_field(rng, fine, 9.0, _REACH_MM)
    volume = sliced(pelvis.tissues.render(values) * grain, _LAYERS)
    volume = ndimage.gaussian_filter(volume, (0, *(0.35 / step for step in grid.spacing_mm[1:])))
    volume *= np.exp(rng.uniform(0.1, 0.3) * smooth_field(rng, grid, 70.0, _REACH_MM))
    volume = rician(rng, np.clip(volume, 0, None) ** rng.uniform(0.9, 1.15), rng.uniform(0.015, 0.05))
    return np.asarray(np.clip(np.rint(volume * rng.uniform(300, 700)), 0, 32000), dtype=np.float32)


def _render_adc(rng: np.random.Generator, pelvis: Pelvis, plan: Plan, fine: Grid, grid: Grid) -> FloatArray:
    """Return the diffusion map: coarse, bent beside the gas of the rectum, nought where there is no signal."""
    values = {name: row[1] * rng.lognormal(0, 0.06) for name, row in _TISSUES.items()}
    values["lesion"] = rng.normal(1110 - 75 * plan.isup, 70)
    volume = sliced(pelvis.tissues.render(values) * (1 + 0.07 * smooth_field(rng, fine, 4.0, _REACH_MM)), _LAYERS)
    signal = sliced(1 - pelvis.tissues.shares["gas"] - 0.9 * pelvis.tissues.shares["fat"], _LAYERS)
    pull_mm = rng.uniform(0, 3.5) * _near(sliced(pelvis.gas, _LAYERS), grid, 9.0)
    places = np.indices(volume.shape, dtype=np.float32)
    places[1] += pull_mm / grid.spacing_mm[1]
    coarse = (0.2, *(0.85 / step for step in grid.spacing_mm[1:]))
    volume, signal = (
        ndimage.gaussian_filter(ndimage.map_coordinates(one, places, order=1, mode="nearest"), coarse)
        for one in (volume, signal)
    )
    speckle = ndimage.gaussian_filter(rng.standard_normal(volume.shape).astype(np.float32), (0, 1.2, 1.2)) * 3.0
    volume += rng.uniform(60, 120) * speckle
    return np.clip(np.rint(np.where(signal + 0.08 * speckle > 0.38, volume, 0)), 0, 3900)


def _near(share: FloatArray, grid: Grid, far_mm: float) -> FloatArray:
    away = ndimage.distance_transform_edt(share < 0.5, sampling=grid.spacing_mm)
    return np.asarray(np.exp(-away / far_mm) if (share >= 0.5).any() else np.zeros_like(share), dtype=np.float32)


def _label(pelvis: Pelvis) -> np.ndarray:
    peripheral, transition = sliced(pelvis.peripheral, _LAYERS), sliced(pelvis.transition, _LAYERS)
    zone = np.where(transition > peripheral, TRANSITION, PERIPHERAL)
    return np.where(peripheral + transition >= 0.5, zone, 0).astype(np.uint8)


def _draw_findings(rng: np.random.Generator, age_years: int, plan: Plan, gland_ml: float) -> dict[str, Any]:
    """Draw the laboratory's value: ``ln PSA = ln 0.09 gland_ml + 0.14 ISUP + 0.25 inflamed + e``, sd of e 0.35."""
    log_psa = np.log(0.09 * gland_ml) + 0.14 * plan.isup + 0.25 * plan.inflamed + rng.normal(0, 0.35)
    return {
        "age_years": age_years,
        "psa": round(float(np.exp(log_psa)), 1),
        "prostate_ml": round(gland_ml),
        "isup": plan.isup,
        "cancer": plan.isup >= 2,
    }


def marksheet(cases: list[tuple[str, dict[str, Any]]]) -> dict[str, list[list[str]]]:
    """Return the clinical table with the columns of PI-CAI's; a cancer of grade group 2 or more is significant."""
    rows = [["patient_id", "patient_age", "psa", "prostate_volume", "case_ISUP", "case_csPCa"]]
    for case_id, found in cases:
        significant = "YES" if found["cancer"] else "NO"
        numbers = (found["age_years"], found["psa"], found["prostate_ml"], found["isup"])
        rows.append([case_id, *map(str, numbers), significant])
    return {"marksheet.csv": rows}


phantoms.register("prostate", summary="prostates on T2 and ADC in thick slices, with both zones; cancer in some men")(
    Phantom(
        version=VERSION,
        clinical_version=1,
        made_from="shapes of textbook size; no scan of a person",
        classes=CLASSES,
        make_case=prostate_case,
        tables=marksheet,
        spacing_mm=0.8,
        spacings_mm=(0.4, 3.0),
    )
)
