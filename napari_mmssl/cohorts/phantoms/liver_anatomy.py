"""The upper abdomen of a made-up person: trunk, liver with its vessels and lesions, and the organs beside it.

Sizes follow textbook ranges; no scan of a person went into it. The origin is the middle of the trunk at the height
of the right diaphragm.
"""

from dataclasses import dataclass

import numpy as np

from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field
from napari_mmssl.cohorts.phantoms.shapes import Tissues, Triple, bent, ellipsoid, inside, threads, tube

REACH_MM = 215.0


@dataclass(frozen=True)
class Plan:
    """What is drawn of a person before the abdomen is.

    Parameters
    ----------
    trunk_mm
        Half of the trunk from front to back, and from side to side.
    fat_mm
        Thickness of the fat under the skin.
    liver
        Size of the liver against an average one, edge to edge.
    left_lobe
        Size of its left lobe, likewise.
    steatosis
        Share of fat in the liver, 0 to 0.35.
    lesions
        How many metastases, and whether they are cysts instead.
    """

    trunk_mm: tuple[float, float]
    fat_mm: float
    liver: float
    left_lobe: float
    steatosis: float
    lesions: int
    cysts: bool


@dataclass(frozen=True, eq=False)
class Abdomen:
    """An abdomen on a grid: its tissues, and the share of liver."""

    tissues: Tissues
    liver: FloatArray


def draw_plan(rng: np.random.Generator) -> Plan:
    """Draw a person's build and liver."""
    fat_mm = float(np.clip(rng.gamma(4.0, 5.0), 5, 45))
    front, side = 90 + 0.9 * fat_mm + rng.normal(0, 6), 128 + 0.95 * fat_mm + rng.normal(0, 8)
    return Plan(
        trunk_mm=(float(front), float(side)),
        fat_mm=fat_mm,
        liver=float(np.clip(rng.normal(1.0, 0.09), 0.8, 1.25)),
        left_lobe=float(np.clip(rng.normal(1.0, 0.22), 0.5, 1.5)),
        steatosis=float(np.clip(rng.exponential(0.07), 0, 0.35)),
        lesions=int(rng.choice([0, 1, 2, 4, 7], p=[0.5, 0.15, 0.15, 0.12, 0.08])),
        cysts=bool(rng.random() < 0.35),
    )


def draw_abdomen(rng: np.random.Generator, plan: Plan, grid: Grid) -> Abdomen:
    """Return the abdomen of ``plan`` on ``grid``."""
    points = bent(rng, grid, ((110.0, 5.0), (38.0, 3.0)), REACH_MM)
    tissues = Tissues(grid.shape, "air")
    cavity = _put_trunk(rng, tissues, points, plan)
    dome = _dome(rng, points, plan)
    hollow = inside(cavity, 1.5) * inside(dome, 1.5)
    tissues.put("gut fat", inside(cavity, 1.5))
    _put_gut(rng, tissues, points, grid, cavity, dome)
    kidney = _put_retroperitoneum(rng, tissues, points, plan, cavity)
    _put_stomach_and_spleen(rng, tissues, points, plan, cavity, dome)
    # The liver makes room for the chest above it and for the right kidney in its fat.
    liver = _put_liver(rng, tissues, points, grid, plan, np.maximum(np.maximum(cavity + 3, 2.5 - dome), 6 - kidney))
    for tissue, share in _chest(rng, points, plan).items():
        tissues.put(tissue, share * hollow)
    _put_spine(rng, tissues, points, plan)
    return Abdomen(tissues, liver * (1 - hollow))


def _put_trunk(rng: np.random.Generator, tissues: Tissues, points: FloatArray, plan: Plan) -> FloatArray:
    """Put skin, fat, muscles and ribs; return the distance to the cavity within."""
    front, side = plan.trunk_mm
    up = points[0]
    outline = ellipsoid(points, (0, 0, 0), (4000.0, front, side), power=2.4)
    # ``ellipsoid`` scales by its mean radius, which the endless axis would spoil.
    outline *= (front + side) / 2 / ((4000.0 + front + side) / 3)
    tissues.put("skin", inside(outline, 1.0))
    tissues.put("fat", inside(outline + 3.0, 1.0))
    thick = plan.fat_mm * (0.75 + 0.5 * ramp(points[1], -60, 60))
    wall = outline + thick
    tissues.put("muscle", inside(wall, 1.5))
    spine = np.minimum(tube(points, -front + 50, 0.0, (23, 29)), points[1] + front - 40 - 0.002 * points[2] ** 2)
    cavity = np.maximum(wall + rng.uniform(11, 15), -spine)
    # Ribs slope down to the front; between the layers of muscle there is a little fat.
    patchy = ramp(np.sin(points[2] / 23 + points[1] / 31), -0.4, 0.7)
    tissues.put("fat", 0.5 * ramp(-abs(wall + 6), -2.0, -0.6) * patchy)
    turn = (up + 0.45 * points[1] + rng.uniform(0, 25)) / 24
    rib = np.maximum(abs(wall + 7.5) - 3.2, (abs(turn - np.round(turn)) * 24) - 5.5)
    lowest = ramp(up - 0.5 * abs(points[2]) + 0.9 * points[1], -130, -110)
    here = lowest * ramp(-points[1] + 0.35 * abs(points[2]), -45, -25)
    tissues.put("cortex", inside(rib, 1.0) * here)
    tissues.put("marrow", inside(rib + 2.2, 1.0) * here)
    return np.asarray(cavity, dtype=np.float32)


def _dome(rng: np.random.Generator, points: FloatArray, plan: Plan) -> FloatArray:
    """Return how far a place lies below the diaphragm, in mm; negative in the chest."""
    front, side = plan.trunk_mm
    right = 46 * ((points[2] - 0.42 * side) / (0.62 * side)) ** 2 + 34 * ((points[1] - 12) / front) ** 2
    left = 52 * ((points[2] + 0.45 * side) / (0.55 * side)) ** 2 + 34 * ((points[1] - 8) / front) ** 2
    height = np.maximum(-right, -left - rng.uniform(6, 18))
    return np.asarray(height - points[0], dtype=np.float32)


def _chest(rng: np.random.Generator, points: FloatArray, plan: Plan) -> dict[str, FloatArray]:
    front, side = plan.trunk_mm
    heart = ellipsoid(points, (38, 0.38 * front, -0.12 * side), (46, 42, 58))
    return {"lung": np.ones_like(heart), "fat": inside(heart - 5, 1.5), "blood": inside(heart, 1.5)}


def _put_liver(
    rng: np.random.Generator,
    tissues: Tissues,
    points: FloatArray,
    grid: Grid,
    plan: Plan,
    limit: FloatArray,
) -> FloatArray:
    """Put the liver with vessels, lesions and gallbladder where ``limit`` is negative; return its share."""
    front, side = plan.trunk_mm
    size = plan.liver
    right = ellipsoid(points, (-62, -6, 0.50 * side), (90 * size, 70 * size, 64 * size), power=2.2)
    left = ellipsoid(points, (-28, 0.42 * front, 4), (46 * size, 36, 78 * plan.left_lobe), power=2.2)
    slope = 0.62 * (points[2] - 0.12 * side) + 0.35 * (points[1] + 20) + 118 * size + points[0]
    body = np.maximum(_joined(right, left, 14.0), -slope * 0.8)
    liver = np.maximum(body, limit)
    share = inside(liver, 1.2)
    tissues.put("liver", share)
    # Portal vein and its branches thin out towards the surface; hepatic veins gather below the dome.
    middle = ellipsoid(points, (-45, 10, 0.25 * side), (80, 60, 80))
    vessels = threads(rng, grid, 26.0, 0.016, REACH_MM) * ramp(-middle, -30, 5)
    tissues.put("vein", 0.9 * vessels * inside(liver + 6, 3.0))
    bladder = ellipsoid(points, (-88 * size, 0.40 * front, 0.34 * side), (30, rng.uniform(10, 17), rng.uniform(10, 16)))
    tissues.put("bile", inside(bladder, 1.0))
    lesions = _lesions(rng, points, grid, plan, liver)
    tissues.put("cyst" if plan.cysts else "metastasis", lesions)
    return np.asarray(share * (1 - inside(bladder, 1.0)), dtype=np.float32)


def _lesions(rng: np.random.Generator, points: FloatArray, grid: Grid, plan: Plan, liver: FloatArray) -> FloatArray:
    rough = smooth_field(rng, grid, 14.0, REACH_MM)
    share = np.zeros(grid.shape, dtype=np.float32)
    picks = rng.random((7, 2))
    places = np.argwhere(liver < -9)
    for where, how_large in picks[: plan.lesions] if len(places) else ():
        place = points[(slice(None), *places[int(where * len(places))])]
        radius = 5.0 + 16.0 * how_large**2
        centre: Triple = (float(place[0]), float(place[1]), float(place[2]))
        lump = ellipsoid(points, centre, (radius, radius, radius)) + (0.0 if plan.cysts else 0.14 * radius) * rough
        share = np.maximum(share, inside(lump, 1.2))
    return share * inside(liver + 2, 1.0)


def _joined(one: FloatArray, other: FloatArray, width_mm: float) -> FloatArray:
    """Return the smaller of two distances, rounded where they meet."""
    blend = np.clip(0.5 + 0.5 * (other - one) / width_mm, 0, 1)
    return np.asarray(other + (one - other) * blend - width_mm * blend * (1 - blend), dtype=np.float32)


def _put_stomach_and_spleen(
    rng: np.random.Generator, tissues: Tissues, points: FloatArray, plan: Plan, cavity: FloatArray, dome: FloatArray
) -> None:
    front, side = plan.trunk_mm
    full = rng.uniform(0.7, 1.25)
    stomach = ellipsoid(points, (-42, 0.22 * front, -0.42 * side), (52, 34 * full, 42 * full))
    stomach = np.maximum(np.maximum(stomach, cavity + 4), 4 - dome)
    tissues.put("muscle", inside(stomach - 4, 1.2))
    level = rng.uniform(0.0, 0.55) * front
    tissues.put("chyme", inside(stomach, 1.0))
    tissues.put("gas", inside(stomach, 1.0) * ramp(points[1] - level, -1.5, 1.5))
    size = rng.uniform(0.75, 1.25)
    spleen = ellipsoid(points, (-38, -0.42 * front, -0.70 * side), (50 * size, 40 * size, 26 * size), power=2.2)
    spleen = np.maximum(np.maximum(spleen, cavity + 3), 3 - dome)
    tissues.put("spleen", inside(spleen, 1.2))


def _put_retroperitoneum(
    rng: np.random.Generator, tissues: Tissues, points: FloatArray, plan: Plan, cavity: FloatArray
) -> FloatArray:
    """Put kidneys in their fat, pancreas and the great vessels; return the distance to the right kidney."""
    front, side = plan.trunk_mm
    kidneys = []
    for sense, height in ((1, -112 + rng.normal(0, 10)), (-1, -98 + rng.normal(0, 10))):
        centre = (height, -0.42 * front, sense * (0.40 * side + rng.normal(0, 3)))
        slanted = points.copy()
        slanted[2] -= sense * 0.20 * (points[0] - height) * -1
        kidney = np.maximum(ellipsoid(slanted, centre, (54, 27, 27)), cavity + 3)
        kidneys.append(kidney)
        tissues.put("gut fat", inside(kidney - 8, 2.0))
        tissues.put("kidney cortex", inside(kidney, 1.2))
        tissues.put("kidney medulla", 0.8 * inside(kidney + 8, 2.0))
        hilum = ellipsoid(slanted, (height, centre[1] + 6, centre[2] - sense * 12), (26, 10, 13))
        tissues.put("gut fat", inside(hilum, 2.0))
    arch = points[1] - (-0.18 * front + 26 - 0.0016 * points[2] ** 2)
    pancreas = np.maximum(np.maximum(abs(arch) - 9, abs(points[0] + 92 + 0.22 * points[2]) - 15), abs(points[2]) - 68)
    tissues.put("pancreas", inside(pancreas, 2.0))
    spine_front = -front + 74
    tissues.put("blood", inside(tube(points, spine_front + 13, -10.0, (11, 11)), 1.0))
    tissues.put("vein", inside(tube(points, spine_front + 11 + 0.12 * points[0] + 9, 22.0, (10, 13)), 1.0))
    return kidneys[0]


def _put_gut(
    rng: np.random.Generator, tissues: Tissues, points: FloatArray, grid: Grid, cavity: FloatArray, dome: FloatArray
) -> None:
    """Put loops of bowel into the fat: tubes between two smooth fields, some with gas, some with fluid."""
    loops = smooth_field(rng, grid, 24.0, REACH_MM)
    filling = smooth_field(rng, grid, 32.0, REACH_MM)
    room = inside(cavity + 6, 2.0) * ramp(points[1], -35, -10) * ramp(-points[0], 40, 62)
    wall = ramp(loops, -0.1, 0.25) * room
    core = ramp(loops, 0.35, 0.7) * room
    tissues.put("muscle", wall)
    tissues.put("chyme", core)
    tissues.put("gas", core * ramp(filling, 0.5, 0.9) * ramp(points[1], -5, 30))
    strands = threads(rng, grid, 16.0, 0.03, REACH_MM) * (1 - wall) * inside(cavity + 4, 2.0)
    tissues.put("vein", 0.7 * strands * ramp(-points[0], 20, 50))


def _put_spine(rng: np.random.Generator, tissues: Tissues, points: FloatArray, plan: Plan) -> None:
    """Put vertebrae with discs and canal, the muscles beside them, and the crura."""
    front, _ = plan.trunk_mm
    back = -front + plan.fat_mm * 0.75
    for sense in (1, -1):
        muscle = tube(points, back + 26, sense * 32.0, (21, 26))
        tissues.put("muscle", inside(muscle, 2.0) * ramp(points[1] - back, 2, 6))
        psoas = tube(points, -front + 56, sense * (24.0 + 0.06 * np.clip(-points[0], 0, 160)), (14, 12))
        tissues.put("muscle", inside(psoas, 1.5) * ramp(-points[0], 80, 110))
    middle = -front + 50
    body = tube(points, middle, 0.0, (17, 22))
    beat = (points[0] + rng.uniform(0, 30)) / 31
    disc = ramp(abs(beat - np.round(beat)) * 31, 11.0, 12.5)
    transverse = np.maximum(abs(points[1] - middle + 24) - 5, abs(points[2]) - 36)
    spinous = np.maximum(abs(points[2]) - 4, abs(points[1] - middle + 42) - 16)
    arch = np.minimum(tube(points, middle - 26, 0.0, (15, 20)), np.minimum(transverse, spinous))
    tissues.put("cortex", inside(arch, 1.0) * (1 - 0.5 * disc))
    tissues.put("marrow", 0.7 * inside(arch + 3, 1.2) * (1 - 0.5 * disc))
    tissues.put("cortex", inside(body, 1.0))
    tissues.put("marrow", inside(body + 2.2, 1.0))
    tissues.put("disc", inside(body, 1.0) * disc)
    tissues.put("fluid", inside(tube(points, middle - 25, 0.0, (8.5, 10)), 1.0))
