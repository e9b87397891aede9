"""Average human anatomy: the MNI152 maps that nilearn ships, and what is read off them.

nilearn is found on disk and never imported, because importing it loads scikit-learn.
"""

import importlib.util
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from napari_mmssl.cohorts.phantoms.grid import FloatArray, Grid
from napari_mmssl.errors import ReadError

#: What every phantom says it was made from.
MADE_FROM = "nilearn MNI152 T1, grey and white matter maps"
_FILE = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
#: Every second voxel: distances to surfaces need no more than 2 mm, and take an eighth of the time.
_COARSE = 2


@dataclass(frozen=True, eq=False)
class Atlas:
    """Average anatomy on its 1 mm grid, and distances on one of 2 mm.

    Parameters
    ----------
    grid, coarse_grid
        Where the voxels of the maps, and of the distances, are.
    t1
        Average T1 intensity, white matter near 1; skull removed.
    csf, wm
        Share of people who have fluid, or white matter, at a place; 0 to 1. The rest is grey matter.
    head
        1 inside the skull, 0 outside.
    depth_mm
        Distance to the outside of the brain, on ``coarse_grid``.
    ventricle_mm
        Distance to the surface of the lateral and third ventricles, negative inside, on ``coarse_grid``.
    ventricle_slope
        Change of ``ventricle_mm`` per mm along S, A and R: the way out of the ventricles.
    """

    grid: Grid
    coarse_grid: Grid
    t1: FloatArray
    csf: FloatArray
    wm: FloatArray
    head: FloatArray
    depth_mm: FloatArray
    ventricle_mm: FloatArray
    ventricle_slope: FloatArray


@lru_cache(maxsize=3)
def load_atlas(blur_mm: float = 0.0) -> Atlas:
    """Read the average anatomy; later calls return the same object.

    Parameters
    ----------
    blur_mm
        Standard deviation of the Gaussian the 1 mm maps are smoothed with.

    Raises
    ------
    ReadError
        If nilearn is not installed, or without its maps.
    """
    if blur_mm > 0:
        sharp = load_atlas()
        maps = {name: getattr(sharp, name) for name in ("t1", "csf", "wm", "head")}
        return replace(sharp, **{name: ndimage.gaussian_filter(values, blur_mm) for name, values in maps.items()})
    folder = _nilearn_folder()
    (t1, grid), (gm, _), (wm, _) = (_read_map(folder / _FILE.format(name)) for name in ("t1", "gm", "wm"))
    head = _largest(t1 > 0)
    csf = np.where(head, np.clip(1 - gm - wm, 0, 1), 1).astype(np.float32)
    coarse_head = head[::_COARSE, ::_COARSE, ::_COARSE]
    z, y, x = coarse_head.shape
    coarse_grid = Grid((z, y, x), (_COARSE, _COARSE, _COARSE), grid.origin_mm)
    depth_mm = ndimage.distance_transform_edt(coarse_head, sampling=_COARSE).astype(np.float32)
    ventricle_mm = _ventricle_distance(csf[::_COARSE, ::_COARSE, ::_COARSE], depth_mm, coarse_grid)
    slopes = np.gradient(ventricle_mm, *coarse_grid.spacing_mm)
    return Atlas(
        grid=grid,
        coarse_grid=coarse_grid,
        t1=t1 / np.median(t1[wm > 0.95]),
        csf=csf,
        wm=np.where(head, wm, 0),
        head=head.astype(np.float32),
        depth_mm=depth_mm,
        ventricle_mm=ventricle_mm,
        ventricle_slope=np.stack([np.asarray(along, np.float32) for along in slopes]),
    )


def _nilearn_folder() -> Path:
    found = importlib.util.find_spec("nilearn")
    if found is None or not found.submodule_search_locations:
        raise ReadError("the sample cohort is made from maps that nilearn ships; install it with 'pip install nilearn'")
    return Path(found.submodule_search_locations[0])


def _read_map(path: Path) -> tuple[FloatArray, Grid]:
    try:
        image = nib.as_closest_canonical(nib.load(path))
        array = np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0) / 255
    except (OSError, ValueError, ImageFileError) as error:
        raise ReadError(f"nilearn's map '{path}' cannot be read; reinstall nilearn") from error
    z, y, x = array.shape
    right, front, up = image.affine[:3, 3]
    return np.ascontiguousarray(array), Grid((z, y, x), (1.0, 1.0, 1.0), (float(up), float(front), float(right)))


def _largest(mask: np.ndarray) -> np.ndarray:
    """Keep the brain; the average T1 also holds scraps of the optic nerves and the skull base."""
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(pieces == sizes.argmax()))


def _ventricle_distance(csf: FloatArray, depth_mm: FloatArray, grid: Grid) -> FloatArray:
    up, front, right = grid.points_mm()
    # The box keeps the cisterns out, which touch the ventricles on an average map.
    box = (up > -4) & (up < 32) & (front > -58) & (front < 34) & (abs(right) < 40)
    body = _largest((csf > 0.5) & (depth_mm > 18) & box & ((front > -36) | (abs(right) > 8)))
    outside = ndimage.distance_transform_edt(~body, sampling=grid.spacing_mm)
    inside = ndimage.distance_transform_edt(body, sampling=grid.spacing_mm)
    return np.asarray(ndimage.gaussian_filter(outside - inside, 1.0), dtype=np.float32)


def sample(values: FloatArray, grid: Grid, points_mm: FloatArray, outside: float = 0.0) -> FloatArray:
    """Read ``values`` on ``grid`` at world positions ``(3, ...)`` by linear interpolation.

    Parameters
    ----------
    outside
        What stands at positions off the grid.
    """
    index = grid.index_of(points_mm)
    return np.asarray(ndimage.map_coordinates(values, index, order=1, mode="constant", cval=outside), dtype=np.float32)
