"""The pelvis of a made-up man round his prostate: zones, lesion, and the organs beside it.

Sizes follow textbook ranges; no scan of a person went into it.
"""

from dataclasses import dataclass

import numpy as np

from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field
from napari_mmssl.cohorts.phantoms.shapes import Tissues, bent, ellipsoid, inside, threads, tube

#: Values of the label map, as in the Medical Segmentation Decathlon's prostate task.
PERIPHERAL, TRANSITION = 1, 2
_REACH_MM = 80.0


@dataclass(frozen=True)
class Plan:
    """What is drawn of a man before his pelvis is.

    Parameters
    ----------
    radii_mm
        Half of the gland along (S, A, R).
    growth
        Share of the gland's half axes that the transition zone takes: small in the young, large in hyperplasia.
    isup
        Grade group of his cancer, 1 to 5, or 0 if he has none.
    lesion_mm
        Mean radius of the cancer.
    in_transition
        Whether it lies in the transition zone.
    inflamed
        How far inflammation darkens the peripheral zone, 0 to 1.
    """

    radii_mm: tuple[float, float, float]
    growth: float
    isup: int
    lesion_mm: float
    in_transition: bool
    inflamed: float


@dataclass(frozen=True, eq=False)
class Pelvis:
    """A pelvis on a grid: tissues, the share of either zone and of the lesion, and where gas bends the field."""

    tissues: Tissues
    peripheral: FloatArray
    transition: FloatArray
    lesion: FloatArray
    gas: FloatArray


def draw_plan(rng: np.random.Generator, age_years: int) -> Plan:
    """Draw a man's prostate; the transition zone grows with age, and cancers of a higher grade are larger."""
    growth = float(np.clip(rng.normal(0.64 + 0.004 * (age_years - 66), 0.09), 0.42, 0.86))
    swell = 0.80 + 0.36 * growth
    up, front, right = rng.normal((19, 15.5, 24), (1.8, 1.4, 1.8)) * swell
    isup = int(rng.choice(6, p=[0.4, 0.15, 0.2, 0.12, 0.08, 0.05]))
    lesion_mm = float(np.clip(rng.normal(3.6 + 0.75 * isup, 1.0), 2.8, 9.5))
    return Plan(
        radii_mm=(float(up), float(front), float(right)),
        growth=growth,
        isup=isup,
        lesion_mm=lesion_mm if isup else 0.0,
        in_transition=bool(rng.random() < 0.3),
        inflamed=float(np.clip(rng.normal(0.15, 0.3), 0, 0.8)),
    )


def draw_pelvis(rng: np.random.Generator, plan: Plan, grid: Grid) -> Pelvis:
    """Return the pelvis of ``plan`` on ``grid``, whose origin is the middle of the gland."""
    points = bent(rng, grid, ((26.0, 2.2), (11.0, 0.8)), _REACH_MM)
    tissues = Tissues(grid.shape, "fat")
    _put_surroundings(rng, tissues, points, grid, plan)
    gas = _put_hollow_organs(rng, tissues, points, plan)
    gland, core = _zones(points, plan)
    lesion = _lesion_share(rng, grid, plan, gland, core)
    _put_gland(rng, tissues, points, grid, plan, gland, core)
    tissues.put("lesion", lesion)
    within = inside(gland, 0.5)
    transition = within * inside(core, 0.5)
    return Pelvis(tissues, within - transition, transition, lesion, gas)


def _zones(points: FloatArray, plan: Plan) -> tuple[FloatArray, FloatArray]:
    """Return the distances to the gland and to its transition zone."""
    up, front, right = plan.radii_mm
    # The rectum presses the back of the gland flat, and a little in at the midline.
    pressed = points.copy()
    behind = ramp(-points[1], 0, front)
    pressed[1] = points[1] - behind * 0.16 * front * (1 - 1.6 * np.clip(abs(points[2]) / right, 0, 1) ** 2)
    # The apex is narrow, the base broad.
    narrow = 1 - 0.0075 * np.clip(points[0], -up, up)
    pressed[1:] *= narrow
    gland = ellipsoid(pressed, (0, 0, 0), plan.radii_mm, power=2.25)
    share = plan.growth
    centre = (0.22 * up, (0.94 - share) * 0.55 * front + 1.0, 0.0)
    core = ellipsoid(points, centre, (0.92 * share * up + 1.0, (0.12 + share) * front, (0.10 + share) * right))
    return gland, np.maximum(core, gland)


def _lesion_share(rng: np.random.Generator, grid: Grid, plan: Plan, gland: FloatArray, core: FloatArray) -> FloatArray:
    """Return the share of cancer: a lump of uneven outline that keeps to its zone."""
    field = smooth_field(rng, grid, 6.0, _REACH_MM)
    room = np.minimum(-core if plan.in_transition else core, -gland)
    pick = rng.random()
    if not plan.isup:
        return np.zeros(grid.shape, dtype=np.float32)
    depth = min(2.5, 0.8 * float(room.max()))
    places = np.argwhere((room > depth) & (abs(grid.points_mm()[0]) < 0.75 * plan.radii_mm[0]))
    up, front, right = grid.points_mm()[(slice(None), *places[int(pick * len(places))])]
    high, deep, wide = plan.lesion_mm * rng.uniform(0.75, 1.3, 3)
    lump = ellipsoid(grid.points_mm(), (up, front, right), (high, deep, wide)) + 0.22 * plan.lesion_mm * field
    return np.asarray(inside(lump, 0.8) * inside(-room - 0.6, 0.6), dtype=np.float32)


def _put_surroundings(rng: np.random.Generator, tissues: Tissues, points: FloatArray, grid: Grid, plan: Plan) -> None:
    """Put muscles, pubic bones and the veins beside the gland into the fat."""
    up, front, right = points
    side = abs(right)
    strands = threads(rng, grid, 4.5, 0.16, _REACH_MM) * ramp(smooth_field(rng, grid, 14.0, _REACH_MM), -0.8, 0.8)
    tissues.put("fascia", 0.8 * strands)
    # The obturator muscles bulge inwards, with fat between their bundles and the bone behind them.
    wall = rng.uniform(35, 41) + 0.10 * up + 0.006 * (front - rng.uniform(-5, 12)) ** 2
    bundle = np.maximum(np.maximum(wall - side, side - wall - rng.uniform(12, 17)), front - 40)
    tissues.put("muscle", inside(bundle, 1.2))
    tissues.put("cortex", ramp(side - wall, 17, 19))
    tissues.put("marrow", ramp(side - wall, 21, 23))
    # The levator hangs like a funnel from the side walls to the apex.
    funnel = plan.radii_mm[2] + rng.uniform(3.5, 6.5) + 0.16 * (up + 25)
    sling = ramp(-abs(np.hypot(right, 0.85 * (front + 4)) - funnel), -2.2, -0.6) * ramp(-front, -12, -2)
    tissues.put("muscle", 0.85 * sling * ramp(smooth_field(rng, grid, 9.0, _REACH_MM), -1.6, -0.4))
    tissues.put("fat", 0.5 * strands * (1 - inside(bundle - 1, 1.0)))
    bone = inside(ellipsoid(points, (-6, 54, 24), (24, 16, 20), power=3), 1.2)
    bone = np.maximum(bone, inside(ellipsoid(points, (-6, 54, -24), (24, 16, 20), power=3), 1.2))
    tissues.put("cortex", bone)
    marrow = np.maximum(
        inside(ellipsoid(points, (-6, 54, 24), (21, 13, 17), power=3), 1.2),
        inside(ellipsoid(points, (-6, 54, -24), (21, 13, 17), power=3), 1.2),
    )
    tissues.put("marrow", marrow)
    tissues.put("muscle", ramp(-abs(right), -3, -1) * ramp(front, 42, 46) * ramp(-up, -18, -12))
    high, deep, wide = plan.radii_mm
    beside = ellipsoid(points, (0, 1, 0), (high + 7.0, deep + 7.0, wide + 7.0))
    veins = threads(rng, grid, 4.5, 0.22, _REACH_MM) * inside(beside, 4.0)
    tissues.put("vein", veins * ramp(side, 6, 14))
    tissues.put("fascia", 0.7 * threads(rng, grid, 4.0, 0.10, _REACH_MM) * inside(beside - 1, 4.0))


def _put_hollow_organs(rng: np.random.Generator, tissues: Tissues, points: FloatArray, plan: Plan) -> FloatArray:
    """Put bladder, seminal vesicles and rectum, and return where there is gas."""
    up, front, _ = plan.radii_mm
    full = rng.uniform(0.75, 1.35)
    bladder = ellipsoid(points, (up + 17 * full, 9, rng.normal(0, 3)), (21 * full, 24, 30 * full**0.5))
    tissues.put("muscle", inside(bladder - rng.uniform(2, 4), 1.0))
    tissues.put("fluid", inside(bladder, 0.8))
    height = points[0] - up * 0.85
    arms = abs(points[1] + front * 0.75 + 0.20 * abs(points[2]) - 0.35 * height) - 4.5
    vesicles = np.maximum(np.maximum(arms, abs(height - 5) - 8), abs(points[2]) - rng.uniform(24, 32))
    tissues.put("vesicle", inside(vesicles, 1.2) * ramp(abs(points[2]), 1, 4))
    wide = rng.uniform(8, 13), rng.uniform(13, 21)
    middle = -(front + wide[0] + 2.5) - 0.004 * points[0] ** 2
    rectum = tube(points, middle, rng.normal(0, 3), wide)
    tissues.put("bowel wall", inside(rectum - 3.0, 1.0))
    level = middle + rng.uniform(-0.8, 0.9) * wide[0]
    gas = inside(rectum, 1.0) * ramp(points[1] - level, -1.5, 1.5)
    tissues.put("stool", inside(rectum, 1.0))
    tissues.put("gas", gas)
    return gas


def _put_gland(
    rng: np.random.Generator,
    tissues: Tissues,
    points: FloatArray,
    grid: Grid,
    plan: Plan,
    gland: FloatArray,
    core: FloatArray,
) -> None:
    """Put the two zones with what makes each uneven, their capsules, stroma in front, and the urethra."""
    within, middle = inside(gland, 0.6), inside(core, 0.6)
    tissues.put(
        "capsule", 0.8 * ramp(-abs(gland - 0.6), -1.0, -0.3) * ramp(smooth_field(rng, grid, 9.0, _REACH_MM), -1.5, 0.5)
    )
    tissues.put("peripheral", within)
    septa = threads(rng, grid, 6.0, 0.10, _REACH_MM) * ramp(smooth_field(rng, grid, 12.0, _REACH_MM), -0.6, 0.8)
    tissues.put("stroma", 0.45 * septa * within)
    patchy = ramp(smooth_field(rng, grid, 13.0, _REACH_MM), 0.9 - 1.6 * plan.inflamed, 2.0 - 1.6 * plan.inflamed)
    tissues.put("inflamed", 0.8 * patchy * within)
    rim = ramp(smooth_field(rng, grid, 8.0, _REACH_MM), -1.0, 0.8)
    tissues.put("capsule", 0.8 * ramp(-abs(core), -1.3, -0.4) * within * rim)
    tissues.put("transition", middle)
    knots = smooth_field(rng, grid, 5.5, _REACH_MM) + 0.5 * smooth_field(rng, grid, 9.0, _REACH_MM)
    tissues.put("glandular", 0.9 * ramp(knots, 0.25, 1.0) * middle)
    tissues.put("stroma", 0.9 * ramp(-knots, 0.25, 1.0) * middle)
    tissues.put("capsule", 0.6 * ramp(-abs(knots - 0.2), -0.2, -0.06) * middle)
    grains = smooth_field(rng, grid, 2.6, _REACH_MM)
    tissues.put("glandular", 0.5 * ramp(grains, 0.9, 1.8) * middle)
    ahead = points[1] - 0.62 * plan.radii_mm[1]
    tissues.put("stroma", within * ramp(ahead, -1, 2.5) * ramp(-abs(points[2]), -16, -9))
    urethra = tube(points, 0.12 * points[0], 0.0, (2.6, 3.2))
    tissues.put("stroma", 0.5 * inside(urethra - 1.0, 1.2) * within)
    tissues.put("glandular", 0.5 * inside(urethra + 0.8, 1.0) * within)
