"""Small copies of scans, made in one reading and kept: what the checks on voxels look at.

A thumbnail is the scan averaged over blocks of voxels until its longest edge has 64 of them at most, on anatomical
axes, with a summary of the intensities at full resolution. It takes some hundred kilobytes, so that no check ever holds
more than the scans of one case, and a second look at a cohort reads no scan again.
"""

import hashlib
import json
import os
import zipfile
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_mmssl.atomic import replacing
from napari_mmssl.cohorts.case import ScanFile
from napari_mmssl.cohorts.prepare import cache_folder
from napari_mmssl.cohorts.reading import read_scan
from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.dicom_series import list_files
from napari_mmssl.volumes.foreground import find_foreground
from napari_mmssl.volumes.geometry import Geometry, to_canonical

#: Goes up whenever a thumbnail would come out differently.
THUMBNAIL_VERSION = 1
_LONGEST = 64
#: Percentiles are taken of every so many-th voxel at least.
_SAMPLED = 200_000
_LEAST_SHARED = 1000


@dataclass(frozen=True)
class Intensities:
    """The intensities of a scan at full resolution; not finite voxels are counted and left out of the rest.

    Parameters
    ----------
    lowest, highest
        Extremes over all voxels.
    median, spread
        Of the body: its median, and the distance between its 5th and 95th percentile.
    not_finite
        Share of the voxels that are NaN or infinite.
    at_highest
        Share of the body's voxels that hold exactly the highest value.
    """

    lowest: float
    highest: float
    median: float
    spread: float
    not_finite: float
    at_highest: float


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small copy of a scan on anatomical axes.

    Parameters
    ----------
    array
        Block means ``(z, y, x)`` float32; axes run to S, A, R.
    body
        Where it shows the body, boolean.
    geometry
        The small grid, in the world of the scan.
    intensities
        Of the scan itself.
    """

    array: npt.NDArray[np.float32]
    body: npt.NDArray[np.bool_]
    geometry: Geometry
    intensities: Intensities


def thumbnail(scan: ScanFile) -> Thumbnail:
    """Return the thumbnail of ``scan``, from the cache if the file has not changed since it was made.

    Raises
    ------
    ReadError, GeometryError
        If the scan cannot be read.
    """
    path = cache_folder() / "thumbnails" / f"{_key(scan)}.npz"
    kept = _load(path)
    if kept is not None:
        return kept
    volume = read_scan(scan)
    made = make_thumbnail(volume.array, volume.geometry)
    _store(made, path)
    return made


def make_thumbnail(array: np.ndarray, geometry: Geometry) -> Thumbnail:
    """Return the thumbnail of ``array`` ``(z, y, x)`` on ``geometry``; voxels that are not finite count as 0."""
    turn = to_canonical(geometry)
    grid, values = turn.apply_to(geometry), turn.apply(array)
    finite = np.isfinite(values)
    not_finite = 1 - float(finite.mean())
    if not_finite:
        values = np.where(finite, values, 0)
    small, small_grid = block_means(values, grid)
    body = find_foreground(small)
    return Thumbnail(small, body, small_grid, _summary(values, body, _block(grid), not_finite))


def block_means(array: np.ndarray, grid: Geometry) -> tuple[npt.NDArray[np.float32], Geometry]:
    """Return ``array`` ``(z, y, x)`` averaged over blocks, and its grid.

    Blocks are about cubes in mm; what does not fill one at the far ends is left out.
    """
    steps = _block(grid)
    z, y, x = (n // step for n, step in zip(array.shape, steps, strict=True))
    whole = array[: z * steps[0], : y * steps[1], : x * steps[2]]
    split = whole.reshape(z, steps[0], y, steps[1], x, steps[2])
    move = np.diag([*steps, 1.0])
    # The centre of the first block.
    move[:3, 3] = (np.array(steps) - 1) / 2
    return split.mean(axis=(1, 3, 5), dtype=np.float32), Geometry((z, y, x), grid.affine @ move)


def _block(grid: Geometry) -> list[int]:
    edge_mm = max(np.array(grid.shape) * grid.spacing_mm) / _LONGEST
    # A hair less, since spacings such as 0.9999 mm are meant to be 1 mm.
    return [max(1, min(ceil(edge_mm / mm - 0.01), n)) for mm, n in zip(grid.spacing_mm, grid.shape, strict=True)]


def _summary(values: np.ndarray, body: npt.NDArray[np.bool_], block: list[int], not_finite: float) -> Intensities:
    stride = max(1, round((values.size / _SAMPLED) ** (1 / 3)))
    # The block of a voxel says whether it is body; a few voxels at the far ends belong to the last block.
    z, y, x = (
        np.minimum(np.arange(0, n, stride) // step, last - 1)
        for n, step, last in zip(values.shape, block, body.shape, strict=True)
    )
    inside = values[::stride, ::stride, ::stride][body[np.ix_(z, y, x)]].astype(np.float64)
    highest = float(values.max())
    low, median, high = np.percentile(inside, (5, 50, 95)) if inside.size else (0.0, 0.0, 0.0)
    # Of a handful of voxels the brightest is a share of its own.
    at_highest = float((inside == highest).mean()) if inside.size >= _LEAST_SHARED else 0.0
    return Intensities(float(values.min()), highest, float(median), float(high - low), not_finite, at_highest)


def _key(scan: ScanFile) -> str:
    told: list[object] = [THUMBNAIL_VERSION, str(scan.path.resolve()), scan.channel, scan.series_uid]
    if scan.path.is_dir():
        # Files of a series may be replaced without the folder's own date changing.
        told.append(list_files(scan.path))
    else:
        stat = scan.path.stat()
        told += [stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _store(made: Thumbnail, path: Path) -> None:
    """Keep ``made``; a cache that cannot be written to only makes the next look slower."""
    try:
        os.makedirs(path.parent, exist_ok=True)
        with replacing(path) as aside:
            np.savez_compressed(
                aside,
                array=made.array,
                body=made.body,
                affine=made.geometry.affine,
                intensities=np.array(list(asdict(made.intensities).values())),
            )
    except (OSError, WriteError):
        return


def _load(path: Path) -> Thumbnail | None:
    try:
        with np.load(path) as kept:
            array = kept["array"]
            z, y, x = array.shape
            grid = Geometry((z, y, x), kept["affine"])
            return Thumbnail(array, kept["body"], grid, Intensities(*kept["intensities"].tolist()))
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        return None
