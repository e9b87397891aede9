"""Slices to stacks: put in order along their normal, and look for what keeps them from being one volume.

Where a volume comes out, its affine holds the true positions of the slices, never a spacing from a header; a gantry
tilt stays in it as a shear.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.dicom_files import Slice
from napari_mmssl.volumes.geometry import Geometry, lps_to_ras

#: Directions further apart than this (about 0.06 degrees) are other orientations.
_SAME_DIRECTION = 1e-3
#: Sideways steps that add up to less than this share of a pixel are rounding, not a tilt.
_STRAIGHT = 0.02
_EVEN = 0.01
#: Slices so many times their thickness apart leave room for others.
_THIN = 1.95
_MOST_NAMED = 5


@dataclass(frozen=True)
class SeriesFinding:
    """Something odd about a series: a fixed word and a sentence.

    Words: ``missing_slice duplicate_slice uneven_spacing mixed_series localizer gantry_tilt not_a_volume unreadable``.
    """

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices of one kind.

    Parameters
    ----------
    slices
        In order along their normal.
    geometry
        Their grid; ``None`` if they do not make up a volume, and ``findings`` say why.
    findings
        What is odd about them.
    told_apart_by
        What is the same in the whole stack and differs between the stacks of the series, in words: ``b-value 800``.
    """

    slices: tuple[Slice, ...]
    geometry: Geometry | None
    findings: tuple[SeriesFinding, ...]
    told_apart_by: str = ""


def build_stack(slices: Sequence[Slice], told_apart_by: str = "") -> Stack:
    """Put parallel slices in order and find out whether they are evenly spaced.

    Parameters
    ----------
    slices
        Same orientation, shape and pixel spacing; at least one.
    told_apart_by
        As in :class:`Stack`.
    """
    first = slices[0]
    normal = np.cross(first.row, first.column)
    ordered = sorted(slices, key=lambda one: (float(np.dot(one.position, normal)), one.number))
    positions = np.array([one.position for one in ordered])
    along = positions @ normal
    problems = _spacing_problems(ordered, along)
    if problems:
        return Stack(tuple(ordered), None, tuple(problems), told_apart_by)
    findings: list[SeriesFinding] = []
    if len(ordered) == 1:
        step, findings = _step_of_one(first, normal)
    else:
        step, found = _step(positions, normal, _tolerance(ordered, along), min(first.spacing))
        if found is not None and found.kind == "uneven_spacing":
            return Stack(tuple(ordered), None, (found,), told_apart_by)
        findings = [
            *([found] if found else []),
            *_regular_gaps(ordered, float(np.linalg.norm(step)), alone=not told_apart_by),
        ]
    try:
        geometry = Geometry((len(ordered), *first.shape), _affine(first, positions[0], step))
    except GeometryError as error:
        return Stack(tuple(ordered), None, (SeriesFinding("unreadable", str(error)),), told_apart_by)
    return Stack(tuple(ordered), geometry, tuple(findings), told_apart_by)


def by_orientation(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Group slices whose directions are the same up to rounding, the largest group first."""
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            apart = np.subtract((one.row, one.column), (group[0].row, group[0].column))
            if np.abs(apart).max() < _SAME_DIRECTION:
                group.append(one)
                break
        else:
            groups.append([one])
    return sorted(groups, key=len, reverse=True)


def repeats(slices: Sequence[Slice]) -> bool:
    """Whether several of these parallel slices lie in one place."""
    normal = np.cross(slices[0].row, slices[0].column)
    along = np.sort([float(np.dot(one.position, normal)) for one in slices])
    return bool((np.diff(along) < 1e-3).any())


def _affine(first: Slice, origin: np.ndarray, step: np.ndarray) -> np.ndarray:
    lps = np.eye(4)
    lps[:3, 0] = step
    lps[:3, 1] = np.multiply(first.column, first.spacing[0])
    lps[:3, 2] = np.multiply(first.row, first.spacing[1])
    lps[:3, 3] = origin
    return lps_to_ras(lps)


def _step_of_one(first: Slice, normal: np.ndarray) -> tuple[np.ndarray, list[SeriesFinding]]:
    thickness = first.thickness if 0 < first.thickness < 1e3 else 1.0
    said = "as its header says" if thickness == first.thickness else "which is a guess: its header does not say"
    text = f"it is a single slice, taken to be {thickness:.4g} mm thick, {said}"
    return normal * thickness, [SeriesFinding("not_a_volume", text)]


def _step(
    positions: np.ndarray, normal: np.ndarray, tolerance: float, pixel_mm: float
) -> tuple[np.ndarray, SeriesFinding | None]:
    """Return the mm from slice to slice, and a finding if it does not run along the normal, or bends."""
    n = len(positions)
    step = (positions[-1] - positions[0]) / (n - 1)
    beside = positions - np.outer(positions @ normal, normal)
    off = float(np.linalg.norm(_off_the_line(beside), axis=1).max()) if n > 2 else 0.0
    if off > max(tolerance, _STRAIGHT * pixel_mm) * 1.5:
        text = f"its slices do not lie behind one another on a straight line: one lies {off:.3g} mm beside it"
        return step, SeriesFinding("uneven_spacing", text)
    along = float(step @ normal)
    sideways = step - along * normal
    drift = float(np.linalg.norm(sideways)) * (n - 1)
    if drift <= max(_STRAIGHT * pixel_mm, tolerance):
        return normal * along, None
    angle = np.rad2deg(np.arctan2(np.linalg.norm(sideways), along))
    text = (
        f"its slices are tilted by {angle:.3g} degrees against the line on which they lie, as by a tilted gantry; the "
        f"affine keeps that exactly, and slices are {along:.4g} mm apart along their normal"
    )
    return step, SeriesFinding("gantry_tilt", text)


def _tolerance(slices: Sequence[Slice], along: np.ndarray) -> float:
    """Return how far (mm) a slice may lie from its even place: 1 % of a step, or what rounding in the file explains."""
    step = (along[-1] - along[0]) / (len(along) - 1)
    # Whole numbers are taken for exact to a tenth, or every gap between them would be explained.
    decimals = max(1, max(one.decimals for one in slices))
    return float(min(max(_EVEN * step, 0.65 * 10.0**-decimals), 0.12 * step))


def _spacing_problems(slices: Sequence[Slice], along: np.ndarray) -> list[SeriesFinding]:
    if len(slices) == 1:
        return []
    gaps = np.diff(along)
    same = gaps < 1e-3
    if same.any():
        places = len(gaps) + 1 - int(same.sum())
        text = f"{len(slices)} slices lie in {places} places, and no tag parts them: {_at(along, same)}"
        return [SeriesFinding("duplicate_slice", text)]
    tolerance = _tolerance(slices, along)
    if len(along) < 3 or np.abs(_off_the_line(along)).max() <= tolerance:
        return []
    return [_uneven(along, gaps)]


def _off_the_line(places: np.ndarray) -> np.ndarray:
    """Return how far each place ``(n,)`` or ``(n, 3)`` is from the even ones that fit all of them best."""
    n = np.arange(len(places)) - (len(places) - 1) / 2
    step = n @ places / (n @ n)
    even = places.mean(axis=0) + np.multiply.outer(n, step)
    return np.asarray(places - even)


def _uneven(along: np.ndarray, gaps: np.ndarray) -> SeriesFinding:
    """Return why slices are not even: some are missing, or they follow no rule."""
    usual = float(np.median(gaps[gaps < 1.4 * gaps.min()]))
    times = np.round(gaps / usual)
    if np.abs(gaps - times * usual).max() <= 0.06 * usual * times.max() and (times >= 1).all() and times.max() >= 2:
        n_missing = int((times - 1).sum())
        text = (
            f"{n_missing} of {len(along) + n_missing} slices {'is' if n_missing == 1 else 'are'} missing (they are "
            f"{usual:.4g} mm apart): {_at(along, times > 1)}"
        )
        return SeriesFinding("missing_slice", text)
    text = f"its slices are between {gaps.min():.4g} and {gaps.max():.4g} mm apart along their normal"
    return SeriesFinding("uneven_spacing", text)


def _at(along: np.ndarray, where: np.ndarray) -> str:
    places = [f"{mm:.4g}" for mm in along[:-1][where]]
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return f"see after {', '.join(places[:_MOST_NAMED])} mm along the normal{more}"


def _regular_gaps(slices: Sequence[Slice], spacing: float, *, alone: bool) -> list[SeriesFinding]:
    """Return a finding if every second (third ...) slice seems to be missing; the positions themselves are true."""
    said, thickness = slices[0].spacing_between, slices[0].thickness
    # Where the tag is smaller than the slice is thick, a vendor means the gap between slices by it.
    is_distance = said >= 0.99 * thickness > 0
    times = round(spacing / said) if is_distance else 0
    if times >= 2 and abs(spacing - times * said) <= 0.05 * said:
        text = f"slices are {spacing:.4g} mm apart and the header tells of {said:.4g}"
        return [SeriesFinding("missing_slice", f"{text}: only {_nth(times)} may be there")]
    confirmed = any(abs(distance - spacing) <= 0.05 * spacing for distance in (said, said + thickness) if said)
    if not alone or confirmed:  # the slices of one stack of several may well be numbered by twos
        return []
    return _unconfirmed(slices, spacing)


def _unconfirmed(slices: Sequence[Slice], spacing: float) -> list[SeriesFinding]:
    """Return a finding if numbers or thickness speak against even steps that no tag confirms, or there is one step."""
    steps = {abs(b.number - a.number) for a, b in pairwise(slices)}
    by, thickness = steps.pop() if len(steps) == 1 else 0, slices[0].thickness
    if by > 1:
        text = f"images are numbered by {by} in even steps of {spacing:.4g} mm: only {_nth(by)} may be there"
    elif spacing >= _THIN * thickness > 0:
        text = f"slices are {thickness:.4g} mm thick and {spacing:.4g} mm apart: some between them may be missing"
    elif len(slices) == 2 and thickness <= 0:
        text = f"it has 2 slices, and nothing confirms that the {spacing:.4g} mm between them are one step"
    else:
        return []
    return [SeriesFinding("missing_slice", text)]


def _nth(n: int) -> str:
    return f"every {({2: 'second', 3: 'third'}).get(n, f'{n}th')} one"
