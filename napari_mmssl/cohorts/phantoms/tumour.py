"""A glioma in a brain: where it grows, how it pushes, what it looks like inside.

Growth follows the usual picture of the disease, not a simulation of it: a core that pushes tissue and
fluid aside, and cells and water that spread from it along white matter (a travelling front with
diffusion and growth, as in Swanson et al. 2000, doi:10.1046/j.1365-2184.2000.00177.x).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from napari_mmssl.cohorts.phantoms.anatomy import sample
from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid, ramp, smooth_field
from napari_mmssl.cohorts.phantoms.person import Anatomy

#: Values of the label map, as in BraTS 2018 to 2020.
NECROTIC_CORE, OEDEMA, ENHANCING = 1, 2, 4
#: How far round the core the front may run.
_REACH_MM = 60.0
_FRONT_ROUNDS = 160


@dataclass(frozen=True)
class TumourPlan:
    """What one tumour is to be.

    Parameters
    ----------
    high_grade
        A ring that takes up contrast round a dead centre; otherwise a solid core that hardly does.
    core_ml, oedema_ml
        Volumes asked for; the tissue at hand may leave less room for oedema.
    rim_mm
        Mean thickness of the ring.
    gap_share
        Share of the ring that takes up no contrast.
    push
        How much of the core's volume came on top of the tissue that was there, 0 to 1.
    septa
        Whether strands of the ring run through the dead centre.
    satellite
        Whether there is a second, smaller core.
    """

    high_grade: bool
    core_ml: float
    oedema_ml: float
    rim_mm: float
    gap_share: float
    push: float
    septa: bool
    satellite: bool


@dataclass(frozen=True, eq=False)
class Tumour:
    """A tumour on the grid of an anatomy.

    Parameters
    ----------
    label
        uint8; 0, :data:`NECROTIC_CORE`, :data:`OEDEMA` or :data:`ENHANCING`.
    necrosis
        Where the part of the core that takes up no contrast is dead, not solid.
    swelling
        How wet the oedema is, 0 to 1; 0 outside of it.
    """

    label: np.ndarray
    necrosis: np.ndarray
    swelling: FloatArray


def draw_plan(rng: np.random.Generator) -> TumourPlan:
    """Draw a tumour of 2 to 90 ml; three of four are of high grade."""
    high_grade = bool(rng.random() < 0.75)
    core_ml = float(np.clip(rng.lognormal(np.log(18), 0.95), 2, 90))
    spread = rng.lognormal(np.log(2.4 if high_grade else 0.8), 0.6)
    return TumourPlan(
        high_grade=high_grade,
        core_ml=core_ml,
        oedema_ml=float(np.clip(core_ml * spread, 3, 130)),
        rim_mm=float(rng.uniform(2.5, 7.0)),
        gap_share=float(rng.uniform(0, 0.25)),
        push=float(rng.uniform(0.25, 0.9) if high_grade else rng.uniform(0.1, 0.4)),
        septa=bool(rng.random() < 0.5),
        satellite=bool(rng.random() < 0.15),
    )


def grow_tumour(rng: np.random.Generator, plan: TumourPlan, healthy: Anatomy) -> tuple[Tumour, Anatomy]:
    """Put a tumour into ``healthy`` and return it with the anatomy it has pushed aside."""
    core = _core(rng, plan, healthy)
    pushed = _push_aside(healthy, core, plan.push)
    front = _front(rng, pushed, core, plan.oedema_ml)
    oedema = _highest(np.where(core, 0, front), plan.oedema_ml / healthy.grid.voxel_ml)
    enhancing, necrosis = _inside(rng, plan, healthy.grid, core)
    label = np.zeros(core.shape, dtype=np.uint8)
    label[oedema], label[core], label[core & enhancing] = OEDEMA, NECROTIC_CORE, ENHANCING
    edge = float(front[oedema].min()) if oedema.any() else 0.0
    swelling = np.where(oedema, 0.40 + 0.60 * ramp(front, edge, min(1.0, edge + 0.6)), 0)
    return Tumour(label, core & necrosis, swelling.astype(np.float32)), pushed


def _core(rng: np.random.Generator, plan: TumourPlan, anatomy: Anatomy) -> np.ndarray:
    grid = anatomy.grid
    radius_mm = (plan.core_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    up, front, right = anatomy.place_mm
    cerebrum = ramp(up - 0.35 * (front + 40), -22, -12)
    centre = _draw_voxel(rng, anatomy.wm * cerebrum * ramp(anatomy.depth_mm, 7, 14) * anatomy.head)
    far = _ellipsoid(rng, grid, centre, radius_mm)
    if plan.satellite:
        near = np.exp(-(((far - 2.4) / 0.5) ** 2)) * anatomy.wm * cerebrum
        second = _ellipsoid(rng, grid, _draw_voxel(rng, near + 1e-9 * anatomy.wm), 0.45 * radius_mm)
        far = np.minimum(far, second)
    for share, size in ((1.1, 0.24), (0.55, 0.13), (0.3, 0.07)):
        far = far + size * smooth_field(rng, grid, max(3.0, share * radius_mm))
    side = np.sign(right[centre]) or 1.0
    # Skull, fluid and the fold of dura between the hemispheres stop a tumour; cerebellum and stem are rarely reached.
    barrier = 4 * (1 - anatomy.head) + 0.8 * anatomy.csf + 0.8 * ramp(-side * right, -1, 4) + 1.5 * (1 - cerebrum)
    return _without_crumbs(_highest(-(far + barrier), plan.core_ml / grid.voxel_ml))


def _draw_voxel(rng: np.random.Generator, weights: FloatArray) -> tuple[int, int, int]:
    summed = np.cumsum(weights.ravel(), dtype=np.float64)
    z, y, x = np.unravel_index(int(np.searchsorted(summed, rng.random() * summed[-1])), weights.shape)
    return int(z), int(y), int(x)


def _ellipsoid(rng: np.random.Generator, grid: Grid, centre: tuple[int, int, int], radius_mm: float) -> FloatArray:
    """Return the distance from the centre as a share of the radius, of a randomly turned ellipsoid."""
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0] / rng.lognormal(0, 0.18, 3)[:, None]
    points = grid.points_mm()
    points -= points[(slice(None), *centre)][:, None, None, None]
    return np.asarray(np.linalg.norm(np.tensordot(axes.astype(np.float32), points, axes=(1, 0)), axis=0) / radius_mm)


def _highest(values: FloatArray, count: float) -> np.ndarray:
    """Return the ``count`` voxels of the highest values, as far as these are not 0."""
    kept = max(1, min(round(count), values.size - 1))
    limit = np.partition(values.ravel(), values.size - kept)[values.size - kept]
    return np.asarray((values >= limit) & (values != 0))


def _without_crumbs(mask: np.ndarray) -> np.ndarray:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= 0.05 * sizes.max())[pieces] & mask)


def _push_aside(anatomy: Anatomy, core: np.ndarray, push: float) -> Anatomy:
    """Displace the tissue round ``core``: brain keeps its volume, fluid near by gives way.

    The displacement is the gradient field whose divergence is ``push`` in the core, negative in the
    fluid round it and 0 elsewhere. The skull does not move.
    """
    grid = anatomy.grid
    source = push * ndimage.gaussian_filter(core.astype(np.float32), 1.0)
    apart_mm = ndimage.distance_transform_edt(~core, sampling=grid.spacing_mm)
    give = anatomy.csf * anatomy.head * np.exp(-apart_mm / 18) * ~core
    give *= min(0.6 * source.sum() / max(give.sum(), 1e-6), 0.7)
    shift = _gradient_field(source - give, grid) * ramp(anatomy.depth_mm, 0, 12)
    origin = grid.points_mm() - shift
    csf, gm, wm, ventricle, detail, *place_mm = (
        sample(values, grid, origin)
        for values in (anatomy.csf, anatomy.gm, anatomy.wm, anatomy.ventricle, anatomy.detail, *anatomy.place_mm)
    )
    return replace(anatomy, csf=csf, gm=gm, wm=wm, ventricle=ventricle, detail=detail, place_mm=np.stack(place_mm))


def _gradient_field(divergence: FloatArray, grid: Grid) -> FloatArray:
    """Return the curl-free vector field in mm, ``(3, D, H, W)``, with this divergence (Poisson, by Fourier)."""
    shape = tuple(int(1.3 * n) for n in divergence.shape)  # Room, or the far side would push back.
    steps = [2 * np.pi * np.fft.fftfreq(n, edge) for n, edge in zip(shape, grid.spacing_mm, strict=True)]
    steps[2] = 2 * np.pi * np.fft.rfftfreq(shape[2], grid.spacing_mm[2])
    waves = np.meshgrid(*steps, indexing="ij", sparse=True)
    squared = sum(wave**2 for wave in waves)
    squared[0, 0, 0] = 1
    spectrum = np.fft.rfftn(divergence, shape, axes=(0, 1, 2)) / squared
    depth, height, width = divergence.shape
    fields = [np.fft.irfftn(-1j * wave * spectrum, shape, axes=(0, 1, 2)) for wave in waves]
    return np.stack(fields)[:, :depth, :height, :width].astype(np.float32)


def _front(rng: np.random.Generator, anatomy: Anatomy, core: np.ndarray, volume_ml: float) -> FloatArray:
    """Let a front run from the core until it covers ``volume_ml``; values fall from 1 at the core to 0."""
    # Fibres lead some ways and not others; the coarse field stands for the tracts that the maps do not hold.
    patchy = np.exp(1.1 * smooth_field(rng, anatomy.grid, 22.0) + 0.4 * smooth_field(rng, anatomy.grid, 9.0))
    speed = (anatomy.wm**2 + 0.02 * anatomy.gm) * (1 - ramp(anatomy.csf, 0.2, 0.5)) * anatomy.head * patchy
    box = _box_round(core, anatomy.grid.voxels(_REACH_MM))
    inside = core[box]
    apart_mm = ndimage.distance_transform_edt(~inside, sampling=anatomy.grid.spacing_mm)
    # Slowing down towards the reach, so that no front ends at the straight side of the box.
    speed = np.clip(speed[box], 0, 1.5) * ramp(-apart_mm, -_REACH_MM, -0.5 * _REACH_MM)
    faces = [0.11 * np.minimum(speed[_but_last(axis)], speed[_but_first(axis)]) for axis in range(3)]
    amount = inside.astype(np.float32)
    wanted = 1.15 * volume_ml / anatomy.grid.voxel_ml + inside.sum()
    for _ in range(_FRONT_ROUNDS):
        change = 0.18 * np.minimum(speed, 1) * amount * (1 - amount)
        for axis, face in enumerate(faces):
            flow = face * (amount[_but_first(axis)] - amount[_but_last(axis)])
            change[_but_last(axis)] += flow
            change[_but_first(axis)] -= flow
        amount = np.where(inside, 1, np.clip(amount + change, 0, 1))
        if np.count_nonzero(amount > 0.25) > wanted:
            break
    front = np.zeros(core.shape, dtype=np.float32)
    front[box] = np.where(amount > 0.02, amount, 0)
    return front


def _box_round(mask: np.ndarray, margin: tuple[float, float, float]) -> tuple[slice, ...]:
    (found,) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(
        slice(max(0, part.start - round(extra)), min(size, part.stop + round(extra)))
        for part, extra, size in zip(found, margin, mask.shape, strict=True)
    )


def _but_first(axis: int) -> tuple[slice, ...]:
    return tuple(slice(1, None) if n == axis else slice(None) for n in range(3))


def _but_last(axis: int) -> tuple[slice, ...]:
    return tuple(slice(None, -1) if n == axis else slice(None) for n in range(3))


def _inside(rng: np.random.Generator, plan: TumourPlan, grid: Grid, core: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which voxels would take up contrast, and which would be dead, if they lay in the core."""
    below_mm = ndimage.distance_transform_edt(core, sampling=grid.spacing_mm) - min(grid.spacing_mm) / 2
    patches, strands, gaps = (smooth_field(rng, grid, scale) for scale in (7.0, 8.0, 9.0))
    if not plan.high_grade:
        return np.asarray((patches > 1.3) & (below_mm > 2)), np.asarray(below_mm > 1e9)
    rim = below_mm < plan.rim_mm * np.exp(0.4 * patches)
    whole = gaps > np.quantile(gaps[core], plan.gap_share)
    septum = plan.septa & (abs(strands) < 0.12) & (below_mm < 3 * plan.rim_mm)
    return np.asarray((rim & whole) | septum), np.asarray(~rim)
