"""How well ``mmssl inspect`` finds modalities that do not lie on each other, and one person in two places.

    python benchmarks/cohort_checks.py [COHORT ...]

Without a COHORT twelve glioma phantoms are made. In each the modalities of a case must lie on each other, and nobody
may be there twice. What the numbers were on real scans: docs/how-to/check-a-cohort.md.

Misregistered: each modality of a case beside the case's first one, as it lies and with one of the two moved in a
direction, or turned about an axis, drawn at random; nothing is resampled, the place in the header is changed.
Possible leak: the share of bits in which the hashes of two scans differ, of two people and of one scan changed in ways
that copies of a cohort are changed.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.checks.registration import misregistered
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.image_hash import image_hash, unlikeness
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.reading import read_scan
from napari_mmssl.cohorts.thumbnails import Thumbnail, make_thumbnail, thumbnail
from napari_mmssl.volumes.geometry import Geometry, to_canonical
from napari_mmssl.volumes.resample import cropped, resample, with_spacing
from napari_mmssl.volumes.volume import Volume
from napari_mmssl.workflows.sample import make_sample

SHIFTS_MM, TURNS_DEGREES = (3, 4, 5, 6, 8, 20, 40), (3, 5, 8, 20)
N_CHANGED = 8

Change: TypeAlias = Callable[[Volume, np.random.Generator], Volume]


def moved(
    scan: Thumbnail, rng: np.random.Generator, shift_mm: float = 0, degrees: float = 0, mirror: bool = False
) -> Thumbnail:
    """Return ``scan`` elsewhere in the world, turned or mirrored about the middle of its grid."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    about = np.eye(4)
    about[:3, 3] = scan.geometry.corners_world().mean(axis=0)
    movement = np.eye(4)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * axis).as_matrix()
    movement[:3, :3] = turn @ np.diag([-1 if mirror else 1, 1, 1])
    movement[:3, 3] = shift_mm * axis
    affine = about @ movement @ np.linalg.inv(about) @ scan.geometry.affine
    return replace(scan, geometry=Geometry(scan.geometry.shape, affine))


def count_found(cases: list[Case]) -> None:
    pairs = []
    for case in cases:
        small = {name: thumbnail(case.modalities[name]) for name in in_order(case.modalities)}
        first, *others = small
        pairs += [({first: small[first]}, name, small[name]) for name in others]
    movements = [
        {},
        *({"shift_mm": shift} for shift in SHIFTS_MM),
        *({"degrees": turn} for turn in TURNS_DEGREES),
        {"mirror": True},
        {"mirror": True, "shift_mm": 4},
    ]
    print(f"misregistered: {len(pairs)} pairs of modalities of {len(cases)} people")
    for movement in movements:
        rng = np.random.default_rng(0)
        texts = [
            " ".join(found.text for found in misregistered(first | {name: moved(scan, rng, **movement)}))
            for first, name, scan in pairs
        ]
        words = ", ".join(f"{name} {value}" for name, value in movement.items()) or "nothing"
        mirrored = sum("mirror image" in text for text in texts)
        print(f"  {words:25} found {sum(map(bool, texts)):3} of {len(pairs)}, named as mirrored {mirrored}")


def hash_of(volume: Volume) -> np.ndarray | None:
    small = make_thumbnail(volume.array, volume.geometry)
    return image_hash(small.array, small.body)


def turned(volume: Volume, degrees: float) -> Volume:
    values = volume.array.astype(np.float32)
    array = ndimage.rotate(values, degrees, axes=(1, 2), reshape=False, order=1, mode="nearest")
    return replace(volume, array=array)


def on_spacing(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    grid = with_spacing(volume.geometry, spacing_mm)
    return Volume(resample(volume.array, volume.geometry, grid), grid)


def changes() -> Iterator[tuple[str, Change]]:
    """Yield what copies of a scan go through, by name; volumes have axes that run to S, A, R."""

    def with_array(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
        return lambda volume, rng: replace(volume, array=change(volume.array.astype(np.float32), rng))

    def span(array: np.ndarray) -> float:
        low, high = np.percentile(array, (1, 99))
        return float(high - low)

    def bias(array: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        ramp = np.linspace(0.7, 1.3, array.shape[2], dtype=np.float32)
        return array * ramp

    def eight_bits(array: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        return np.clip((array - array.min()) / (np.percentile(array, 99.9) - array.min()) * 255, 0, 255).round()

    yield "scaled", with_array(lambda array, _rng: 3 * array + 100)
    yield "8 bits", with_array(eight_bits)
    yield "gamma 0.7", with_array(lambda array, _rng: (array - array.min()) ** 0.7)
    yield "noise of 5 %", with_array(lambda array, rng: array + rng.normal(0, 0.05 * span(array), array.shape))
    yield "bias field of 30 %", with_array(bias)
    yield "turned by 3 degrees", lambda volume, _rng: turned(volume, 3)
    yield "3 mm cut off", lambda volume, _rng: cut(volume, 3.0)
    yield "resampled to 1.5 mm", lambda volume, _rng: on_spacing(volume, (1.5, 1.5, 1.5))
    yield "resampled to 3 mm", lambda volume, _rng: on_spacing(volume, (3.0, 3.0, 3.0))
    yield "slices of 5 mm", lambda volume, _rng: on_spacing(volume, (5.0, *volume.geometry.spacing_mm[1:]))


def cut(volume: Volume, mm: float) -> Volume:
    """Cut the last ``mm`` off each axis."""
    kept = tuple(
        slice(0, n - int(np.ceil(mm / edge)))
        for n, edge in zip(volume.geometry.shape, volume.geometry.spacing_mm, strict=True)
    )
    return Volume(volume.array[kept], cropped(volume.geometry, kept))


def upright(volume: Volume) -> Volume:
    turn = to_canonical(volume.geometry)
    return Volume(turn.apply(volume.array), turn.apply_to(volume.geometry))


def compare_bits(cohorts: list[Cohort]) -> None:
    hashes = {}
    # A person may be in several cohorts, and is then not two people.
    cases = [case for cohort in cohorts for case in cohort.cases]
    cohort_of = {case.id: n for n, cohort in enumerate(cohorts) for case in cohort.cases}
    for case in cases:
        for name, scan in case.modalities.items():
            small = thumbnail(scan)
            hashes[case.id, name] = image_hash(small.array, small.body)
    known = {key: bits for key, bits in hashes.items() if bits is not None}
    apart = [
        unlikeness(known[one], known[other])
        for one, other in itertools.combinations(known, 2)
        if one[1] == other[1] and one[0] != other[0] and cohort_of[one[0]] == cohort_of[other[0]]
    ]
    print("possible_leak: share of the bits that differ")
    print(f"  two people, one modality: {min(apart):.3f} at least, {len(apart)} pairs")
    scans = [(case, name) for case in cases for name in case.modalities if (case.id, name) in known]
    chosen = [scans[n] for n in np.linspace(0, len(scans) - 1, min(N_CHANGED, len(scans))).astype(int)]
    volumes = [upright(read_scan(case.modalities[name])) for case, name in chosen]
    for what, change in changes():
        rng = np.random.default_rng(0)
        differ = [
            np.nan if (bits := hash_of(change(volume, rng))) is None else unlikeness(known[case.id, name], bits)
            for (case, name), volume in zip(chosen, volumes, strict=True)
        ]
        most = int(np.nanargmax(differ))
        print(
            f"  one scan, {what}: {np.nanmedian(differ):.3f} (median), {differ[most]:.3f} at most "
            f"({chosen[most][1]} of {chosen[most][0].id}), {np.isfinite(differ).sum()} scans"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(one) for one in sys.argv[1:]] or [make_sample("glioma", Path(scratch) / "phantoms", 12, 0, 3.0)]
        cohorts = [find_cohort(folder) for folder in folders]
        compare_bits(cohorts)
        count_found([case for cohort in cohorts for case in cohort.cases])


if __name__ == "__main__":
    main()
