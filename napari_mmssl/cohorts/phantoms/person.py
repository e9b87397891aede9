"""One person's healthy brain, drawn around the average one."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from napari_mmssl.cohorts.phantoms.anatomy import load_atlas, sample
from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field

#: Person to average: knot distance in mm and size in mm of each layer of the warp. The first moves
#: lobes, the last moves single gyri. Sizes stay under a third of the distance, so nothing folds over.
_WARPS = ((60.0, 3.5), (28.0, 1.6), (12.0, 0.9))
#: How wide, in standard deviations of the fold field, a voxel's change from one tissue to the next is.
_SOFTNESS = 0.45
_SULCUS_SCALE_MM, _FINE_SULCUS_SCALE_MM = 6.5, 4.0


@dataclass(frozen=True)
class Build:
    """What makes a person's brain larger, older or more lopsided than another.

    Parameters
    ----------
    size
        Length of the brain along S, A and R as a share of the average.
    tilt_rad
        How the head was held: turned about the S, A and R axes.
    shift_mm
        How far the head lay from the centre along S, A and R.
    ventricle_mm
        How far the walls of the left and the right ventricle stand outwards.
    atrophy
        How much fluid took the place of cortex, in standard deviations of the fold field.
    """

    size: tuple[float, float, float]
    tilt_rad: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    ventricle_mm: tuple[float, float]
    atrophy: float


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Tissues of one person; every array has the shape of ``grid``.

    Parameters
    ----------
    grid
        Where the voxels are.
    csf, gm, wm
        Share of each voxel; they sum to 1.
    head
        1 where the brain and its fluid are, 0 outside.
    ventricle
        1 inside the ventricles.
    detail
        How much brighter the average T1 is than its tissues alone would make it: nuclei, brain stem.
    depth_mm
        Distance to the outside of the brain.
    place_mm
        Where in the average brain ``(S, A, R)`` each voxel lies; shape ``(3, D, H, W)``.
    """

    grid: Grid
    csf: FloatArray
    gm: FloatArray
    wm: FloatArray
    head: FloatArray
    ventricle: FloatArray
    detail: FloatArray
    depth_mm: FloatArray
    place_mm: FloatArray


def draw_build(rng: np.random.Generator, age_years: float) -> Build:
    """Draw how a person of ``age_years`` is built; ventricles and sulci widen with age, unevenly."""
    size = 0.905 + rng.normal(0, 0.03) + rng.normal(0, 0.025, 3)
    tilt = np.deg2rad(rng.normal(0, [2.0, 1.7, 2.5]))
    shift = rng.normal(0, 3.0, 3)
    years = (age_years - 45) / 40
    ventricle = rng.normal(0.8 + 2.2 * years, 1.2)
    left, right = ventricle + rng.normal(0, 0.6, 2)
    atrophy = float(np.clip(rng.normal(0.05 + 0.35 * years, 0.25), -0.35, 1.0))
    return Build(
        size=_three(size.clip(0.80, 1.02)),
        tilt_rad=_three(tilt),
        shift_mm=_three(shift.clip(-8, 8)),
        ventricle_mm=(float(np.clip(left, -1.5, 6)), float(np.clip(right, -1.5, 6))),
        atrophy=atrophy,
    )


def _three(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def grow_brain(rng: np.random.Generator, build: Build, grid: Grid) -> Anatomy:
    """Draw a brain of the given build on ``grid``.

    The average maps say how many people have white matter, grey matter or fluid at a place. One
    smooth random field, the same for all three, draws one person from them: high values give white
    matter, low ones fluid, so grey matter always lies between, and folds differ between people just
    where people differ.
    """
    points = _widen_ventricles(_to_average(rng, build, grid), build)  # 3, D, H, W
    # Against aliasing, as 1 mm maps are read every few mm; in coarse steps, so that cases share what is in memory.
    atlas = load_atlas(round(4 * 0.35 * max(grid.spacing_mm)) / 4)
    csf = sample(atlas.csf, atlas.grid, points, outside=1.0)
    wm, head, t1 = (sample(values, atlas.grid, points) for values in (atlas.wm, atlas.head, atlas.t1))
    # Before any person is drawn: what the average T1 shows beyond what its tissues explain.
    detail = (t1 - (0.40 * csf + 0.78 * (1 - csf - wm) + 1.0 * wm)) * ramp(1 - csf, 0.4, 0.9)
    folds = _fold_field(rng, grid)
    depth_mm = sample(atlas.depth_mm, atlas.coarse_grid, points)
    varying = _share_of_folds(points)
    fluid_from = _threshold(csf) + build.atrophy * varying * ramp(-depth_mm, -45, -15)
    fluid = ndtr((fluid_from - folds * varying) / _SOFTNESS)
    white = ndtr((folds * varying + _threshold(wm)) / _SOFTNESS)
    total = np.maximum(fluid + white, 1)
    fluid, white = fluid / total, white / total
    ventricle = ramp(-sample(atlas.ventricle_mm, atlas.coarse_grid, points, 50.0), -1.0, 1.0)
    return Anatomy(
        grid=grid,
        csf=fluid.astype(np.float32),
        gm=(1 - fluid - white).astype(np.float32),
        wm=white.astype(np.float32),
        head=head,
        ventricle=ventricle,
        detail=detail,
        depth_mm=depth_mm,
        place_mm=points,
    )


def _to_average(rng: np.random.Generator, build: Build, grid: Grid) -> FloatArray:
    """Return where in the average brain each voxel of the person lies."""
    matrix = _rotation(build.tilt_rad) / np.array(build.size)[:, None]
    points = grid.points_mm() - np.array(build.shift_mm, dtype=np.float32)[:, None, None, None]
    points = np.tensordot(matrix.astype(np.float32), points, axes=(1, 0))  # 3, D, H, W
    for scale_mm, size_mm in _WARPS:
        points += np.float32(size_mm) * np.stack([smooth_field(rng, grid, scale_mm) for _ in range(3)])
    return points


def _rotation(tilt_rad: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(tilt_rad):
        turn = np.eye(3)
        others = [other for other in range(3) if other != axis]
        turn[np.ix_(others, others)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = matrix @ turn
    return matrix


def _widen_ventricles(points: FloatArray, build: Build) -> FloatArray:
    """Move positions towards the ventricles where these are wider than average."""
    atlas = load_atlas()
    here = sample(atlas.ventricle_mm, atlas.coarse_grid, points, 50.0)
    left, right = build.ventricle_mm
    share_right = ramp(points[2], -6, 6)
    outwards = (left + (right - left) * share_right) * np.exp(-np.maximum(here, 0) / 14)
    # A narrower ventricle must not turn inside out at its middle.
    outwards = np.where(outwards < 0, outwards * ramp(here, -4, 0), outwards)
    slope = np.stack([sample(along, atlas.coarse_grid, points) for along in atlas.ventricle_slope])
    return np.asarray(points - outwards * slope, dtype=np.float32)


def _fold_field(rng: np.random.Generator, grid: Grid) -> FloatArray:
    coarse = smooth_field(rng, grid, _SULCUS_SCALE_MM)
    fine = smooth_field(rng, grid, _FINE_SULCUS_SCALE_MM)
    return np.asarray(0.85 * coarse + 0.53 * fine, dtype=np.float32)


def _share_of_folds(points: FloatArray) -> FloatArray:
    """Return how much of the fold field counts: little where people hardly differ.

    Those places are the deep nuclei and the brain stem, the cerebellum, and the cleft between the hemispheres.
    """
    up, front, right = points
    nuclei = ((up - 5) / 20) ** 2 + ((front + 4) / 32) ** 2 + ((abs(right) - 14) / 19) ** 2
    stem = ((up + 30) / 36) ** 2 + ((front + 28) / 17) ** 2 + (right / 18) ** 2
    share = 0.35 + 0.5 * ramp(np.minimum(nuclei, stem), 0.7, 1.3)
    share = share * (0.4 + 0.6 * ramp(abs(right), 1, 6))
    cerebellum = ramp(-up, 12, 24) * ramp(-front, 38, 46)
    return np.asarray(share * (1 - 0.4 * cerebellum), dtype=np.float32)


def _threshold(share: FloatArray) -> FloatArray:
    """Return the value a standard normal field stays under in ``share`` of all people."""
    return np.asarray(ndtri(np.clip(share, 0.002, 0.998)), dtype=np.float32)
