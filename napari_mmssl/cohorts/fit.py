"""How far two scans of one case lie from where they fit best: mutual information on their thumbnails.

Scans of different contrast share no intensities, but where they fit, one foretells the other best. The rigid movement
that makes the normalised mutual information of two thumbnails greatest is looked for from where the files say they are;
how far it moves the body is how far they are off.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from napari_mmssl.cohorts.thumbnails import Thumbnail

_POINTS = 4000
_BINS = 24
#: Fewer points in both scans say nothing.
_LEAST_POINTS = 300
#: Voxels round the body that are looked at too: its border is what fits best.
_RIM = 2
#: Of registered scans, the mirror image has at most about half of what the scan has in common with the other.
_MIRROR_NEAR = 0.6
#: The search finds its way back from about so far.
_FAR_MM = 10.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """How two scans of one case fit.

    Parameters
    ----------
    shift_mm
        How far the best movement found moves the body, root mean square.
    likeness
        Normalised mutual information as the files lie, 1 (nothing in common) to 2.
    best
        The same after the best movement.
    mirrored
        The same for the left-right mirror image of the second scan, after its best movement if it comes near.
    overlap
        Share of the first scan's body that the second one's field of view covers.
    """

    shift_mm: float
    likeness: float
    best: float
    mirrored: float
    overlap: float


def fit(first: Thumbnail, second: Thumbnail, *, seed: int = 0) -> Fit:
    """Return how ``second`` fits ``first``; the same numbers at every call."""
    points = _points(first, seed)
    fixed = _ranks(_values(first, points))
    centre, radius = points.mean(axis=0), float(np.sqrt(points.var(axis=0).sum()))
    inside = _inside(second, points)
    # Otherwise a movement that leaves a few alike points would win.
    least = max(_LEAST_POINTS, int(inside.sum()) // 2)
    pair = _Pair(points, fixed, second, centre, radius, least)
    overlap = float(inside.mean())
    if inside.sum() < _LEAST_POINTS:
        return Fit(float("nan"), 1.0, 1.0, 1.0, overlap)
    still = np.zeros(6)
    likeness = pair.likeness(still)
    movement, best = max((pair.best(start) for start in pair.starts()), key=lambda found: found[1])
    shift = float(np.sqrt((np.linalg.norm(pair.moved(movement) - points, axis=1) ** 2).mean()))
    return Fit(shift, likeness, best, pair.mirrored(best), overlap)


@dataclass(frozen=True)
class _Pair:
    """Points in the first scan with their ranks, and the second scan to look them up in."""

    points: Floats
    fixed: npt.NDArray[np.int64]
    second: Thumbnail
    centre: Floats
    radius: float
    least: int
    mirror: bool = False

    def moved(self, movement: Floats) -> Floats:
        """Return the points after three shifts and three turns, all in mm at the body's radius."""
        turned = _rotation(movement[3:] / self.radius)
        start = self.points - self.centre
        if self.mirror:
            start = start * (-1, 1, 1)
        return np.asarray(start @ turned.T + self.centre + movement[:3])

    def likeness(self, movement: Floats) -> float:
        where = self.moved(movement)
        inside = _inside(self.second, where)
        if inside.sum() < self.least:
            return 1.0
        return _normalised_mutual_information(self.fixed[inside], _ranks(_values(self.second, where[inside])))

    def best(self, start: Floats) -> tuple[Floats, float]:
        """Return the movement of greatest likeness near ``start``, and that likeness."""
        simplex = np.vstack([start, start + np.diag([6.0, 6, 6, 6, 6, 6])])
        found = optimize.minimize(
            lambda movement: -self.likeness(movement),
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 0.3, "fatol": 1e-5, "maxfev": 300},
        )
        return np.asarray(found.x), float(-found.fun)

    def mirrored(self, best: float) -> float:
        """Return the likeness of the mirror image, laid body on body, and moved if that may reach ``best``."""
        mirror = replace(self, mirror=True)
        start = np.array([self._body_apart()[0], 0, 0, 0, 0, 0])
        likeness = mirror.likeness(start)
        return mirror.best(start)[1] if likeness - 1 > _MIRROR_NEAR * (best - 1) else likeness

    def starts(self) -> list[Floats]:
        """Return where to look for the best movement from: as the files lie, and body on body if that is far off."""
        apart = self._body_apart()
        far = [np.concatenate([apart, np.zeros(3)])] if np.linalg.norm(apart) > _FAR_MM else []
        return [np.zeros(6), *far]

    def _body_apart(self) -> Floats:
        body = self.second.geometry.index_to_world(np.argwhere(self.second.body)).mean(axis=0)
        return np.asarray(body - self.centre)


def _points(first: Thumbnail, seed: int) -> Floats:
    """Return places ``(n, 3)`` in world mm over the body and its rim, between the voxels of the grid.

    On the voxels of a shared grid nothing would be interpolated where the files lie, and everything elsewhere: that
    alone would make any movement look worse than none.
    """
    region = ndimage.binary_dilation(first.body, iterations=_RIM)
    rng = np.random.default_rng(seed)
    index = np.argwhere(region)
    index = index[rng.permutation(len(index))[:_POINTS]]
    last = np.array(first.body.shape) - 1
    return first.geometry.index_to_world(np.clip(index + rng.uniform(-0.5, 0.5, index.shape), 0, last))


def _inside(scan: Thumbnail, world: Floats) -> npt.NDArray[np.bool_]:
    index = scan.geometry.world_to_index(world)
    return np.asarray(((index >= -0.5) & (index <= np.array(scan.array.shape) - 0.5)).all(axis=1))


def _values(scan: Thumbnail, world: Floats) -> npt.NDArray[np.float32]:
    index = scan.geometry.world_to_index(world).T
    return np.asarray(ndimage.map_coordinates(scan.array, index, order=1, mode="nearest"))


def _ranks(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return for each value which of :data:`_BINS` parts of equal size it falls into; equal values fall together."""
    edges = np.quantile(values, np.arange(1, _BINS) / _BINS)
    return np.searchsorted(edges, values, side="left")


def _normalised_mutual_information(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    """Return (H(a) + H(b)) / H(a, b).

    References
    ----------
    Studholme, Hill and Hawkes 1999, Pattern Recognition 32, equation 11.
    """
    joint = np.bincount(a * _BINS + b, minlength=_BINS * _BINS).reshape(_BINS, _BINS) / a.size
    together = _entropy(joint.ravel())
    return 2.0 if together == 0 else (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together


def _entropy(shares: Floats) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _rotation(turns: Floats) -> Floats:
    """Return the rotation by the vector ``turns`` (axis times angle), Rodrigues' formula."""
    angle = float(np.linalg.norm(turns))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = turns / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
