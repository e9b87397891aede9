"""The liver phantom: CT of some people and MR of others, never both of one, on grids and fields of their own.

So it is with CHAOS and most abdominal data: no puzzle can mix its modalities until a network has made each person's
missing partner (``docs/concepts/synthesis.md``). What it is made from and what it is not:
``docs/concepts/phantoms.md``.
"""

from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.phantoms import Phantom, PhantomCase, phantoms
from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, smooth_field
from napari_mmssl.cohorts.phantoms.liver_anatomy import REACH_MM, Abdomen, Plan, draw_abdomen, draw_plan
from napari_mmssl.cohorts.phantoms.shapes import rician, sliced
from napari_mmssl.randomness import counted_rng
from napari_mmssl.volumes.geometry import Reorientation
from napari_mmssl.volumes.volume import LabelClass

#: Goes up with any change that alters a case.
VERSION = 1
LIVER = 1
CLASSES = (LabelClass(LIVER, "liver", "#d55e00"),)
#: Layers that are mixed into one slice.
_LAYERS = 2
#: Hounsfield units without contrast agent and in the portal phase; brightness on T1 gradient echo.
_TISSUES = {
    #                 plain  portal   t1
    "air": (-1000, -1000, 0.0),
    "skin": (20, 30, 0.30),
    "fat": (-105, -105, 1.00),
    "gut fat": (-100, -98, 0.97),
    "muscle": (52, 62, 0.27),
    "cortex": (420, 430, 0.06),
    "marrow": (170, 180, 0.55),
    "disc": (75, 80, 0.24),
    "fluid": (12, 14, 0.12),
    "bile": (8, 8, 0.16),
    "cyst": (6, 6, 0.12),
    "metastasis": (38, 62, 0.24),
    "liver": (60, 108, 0.44),
    "spleen": (48, 118, 0.27),
    "pancreas": (40, 92, 0.42),
    "kidney cortex": (34, 175, 0.34),
    "kidney medulla": (30, 140, 0.24),
    "blood": (42, 150, 0.14),
    "vein": (40, 155, 0.13),
    "chyme": (22, 26, 0.22),
    "gas": (-960, -960, 0.01),
    "lung": (-840, -830, 0.03),
}


def liver_case(index: int, seed: int, spacing_mm: float) -> PhantomCase:
    """Make one person, who was scanned by CT if ``index`` is even and by MR if it is odd.

    Parameters
    ----------
    index
        Which one, from 0; the same ``index`` and ``seed`` always give the same bits on one machine.
    seed
        Of the cohort.
    spacing_mm
        About the edge of a voxel within a slice; slices are thicker, those of MR most.

    Returns
    -------
    PhantomCase
        One volume, ``ct`` in Hounsfield units or ``mr`` in arbitrary ones, and a label map with the liver.
    """
    draws = partial(counted_rng, seed, index, VERSION)
    person, file = draws(purpose="liver: person"), draws(purpose="liver: file")
    modality = "ct" if index % 2 == 0 else "mr"
    plan = draw_plan(person)
    fine, grid = _draw_grids(file, modality, plan, spacing_mm)
    abdomen = draw_abdomen(draws(purpose="liver: anatomy"), plan, fine)
    scan = _render_ct if modality == "ct" else _render_mr
    volume, phase = scan(draws(purpose="liver: scanner"), abdomen, plan, fine, grid)
    label = (sliced(abdomen.liver, _LAYERS) >= 0.5).astype(np.uint8)
    stored = Reorientation((0, 1, 2), (False, False, False) if file.random() < 0.5 else (False, True, True))
    age_years = int(np.clip(round(person.normal(57, 14)), 20, 88))
    return PhantomCase(
        id=f"phantom-liver-{index + 1:03d}",
        geometry=stored.apply_to(grid.geometry()),
        volumes={modality: stored.apply(volume).astype(np.int16)},
        label=stored.apply(label).copy(),
        clinical={"age_years": age_years, "steatosis": plan.steatosis > 0.1},
        facts={
            "modality": modality,
            "phase": phase,
            "liver_in_view_ml": round(float(label.sum()) * grid.voxel_ml),
            "steatosis": round(plan.steatosis, 3),
            "lesions": plan.lesions,
            "cysts": plan.cysts,
            "fat_mm": round(plan.fat_mm, 1),
        },
    )


def _draw_grids(rng: np.random.Generator, modality: str, plan: Plan, spacing_mm: float) -> tuple[Grid, Grid]:
    """Return the grid of layers that the person is made on, and that of the slices: each scan sees its own part."""
    front, side = plan.trunk_mm
    edge = round(spacing_mm * rng.uniform(0.92, 1.08), 4)
    ct = modality == "ct"
    thick = round(spacing_mm * float(rng.uniform(1.0, 1.5) if ct else rng.uniform(1.6, 2.3)), 4)
    top_mm = rng.uniform(5, 45) if ct else rng.uniform(-5, 20)
    tall_mm = rng.uniform(150, 190) if ct else rng.uniform(120, 155)
    count = int(np.ceil(tall_mm / thick))
    # CT is cut round the body; MR's field may cut off the flanks of wide people.
    half = [1.1 * front + 8, 1.06 * side + 8] if ct else [1.12 * front + 4, min(1.08 * side + 4, 190.0)]
    high, wide = (round(2 * reach / edge) for reach in half)
    shift = rng.normal(0, 4, 2)
    starts = (top_mm - count * thick, -high * edge / 2 + shift[0], -wide * edge / 2 + shift[1])
    up, ahead, right = (float(start) for start in starts)
    layer = thick / _LAYERS
    slices = Grid((count, high, wide), (thick, edge, edge), (up + layer / 2, ahead, right))
    return Grid((count * _LAYERS, high, wide), (layer, edge, edge), (up, ahead, right)), slices


def _render_ct(
    rng: np.random.Generator, abdomen: Abdomen, plan: Plan, fine: Grid, grid: Grid
) -> tuple[FloatArray, str]:
    portal = bool(rng.random() < 0.65)
    values = {name: row[int(portal)] + rng.normal(0, 5) for name, row in _TISSUES.items()}
    # Agent reaches people's organs to different degrees; a tenth of fat in the liver takes about 15 HU.
    taken = rng.uniform(0.65, 1.15) if portal else 0.0
    values = {
        name: _TISSUES[name][0] + (value - _TISSUES[name][0]) * (taken if portal else 1.0)
        for name, value in values.items()
    }
    values["liver"] -= 150 * plan.steatosis
    values["air"] = -1000.0
    texture = 6 * smooth_field(rng, fine, 9.0, REACH_MM) + 5 * smooth_field(rng, fine, 26.0, REACH_MM)
    body = 1 - abdomen.tissues.shares["air"]
    volume = sliced(abdomen.tissues.render(values) + texture * body, _LAYERS)
    grain = ndimage.gaussian_filter(rng.standard_normal(volume.shape).astype(np.float32), (0, 0.6, 0.6))
    volume += rng.uniform(14, 40) * grain
    volume = np.maximum(volume, _table(rng, grid))
    return np.clip(np.rint(volume), -1024, 3071), "portal" if portal else "plain"


def _table(rng: np.random.Generator, grid: Grid) -> FloatArray:
    """Return the patient's table, a shallow bowl under the back; -1000 HU elsewhere."""
    _, front, right = grid.points_mm()
    lowest = grid.origin_mm[1] + rng.uniform(2, 9)
    bowl = abs(front - lowest - 0.0006 * right**2)
    return np.where(bowl < 2.2, -180, -1000).astype(np.float32)


def _render_mr(
    rng: np.random.Generator, abdomen: Abdomen, plan: Plan, fine: Grid, grid: Grid
) -> tuple[FloatArray, str]:
    values = {name: row[2] * rng.lognormal(0, 0.12) for name, row in _TISSUES.items()}
    values["liver"] *= 1 + 1.2 * plan.steatosis
    if rng.random() < 0.4:  # Blood that flows into the slice is bright.
        values |= {"blood": rng.uniform(0.3, 0.7), "vein": rng.uniform(0.25, 0.55)}
    texture = 1 + 0.04 * smooth_field(rng, fine, 8.0, REACH_MM) + 0.04 * smooth_field(rng, fine, 20.0, REACH_MM)
    volume = sliced(abdomen.tissues.render(values) * texture, _LAYERS)
    volume *= np.exp(rng.uniform(0.1, 0.3) * smooth_field(rng, grid, 130.0, REACH_MM))
    # Breathing repeats the bright skin, faintly, along the phase axis.
    ghost = np.roll(volume, int(rng.integers(8, 20)), axis=1) * rng.uniform(0.0, 0.04)
    power = np.float32(rng.uniform(0.85, 1.15))
    volume = rician(rng, np.asarray(np.clip(volume + ghost, 0, None) ** power, np.float32), rng.uniform(0.01, 0.03))
    return np.clip(np.rint(volume * rng.uniform(300, 900)), 0, 32000), "t1"


def participants(cases: list[tuple[str, dict[str, Any]]]) -> dict[str, list[list[str]]]:
    """Return the clinical table: age, and whether more than a tenth of the liver is fat."""
    rows = [["participant_id", "age", "group"]]
    rows += [[case_id, str(one["age_years"]), "fatty" if one["steatosis"] else "lean"] for case_id, one in cases]
    return {"participants.tsv": rows}


phantoms.register("liver", summary="livers on CT of some people and MR of others, never both, with the liver's label")(
    Phantom(
        version=VERSION,
        clinical_version=1,
        made_from="shapes of textbook size; no scan of a person",
        classes=CLASSES,
        make_case=liver_case,
        tables=participants,
        spacing_mm=3.0,
        spacings_mm=(1.5, 6.0),
    )
)
