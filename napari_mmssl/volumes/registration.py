"""Find the linear movement that lays one volume on another.

Mattes mutual information, coarse to fine, through SimpleITK. Movements are 4x4 matrices in the world (RAS+ mm) that
take a point of the *fixed* volume to the point of the *moving* one that shows the same; being linear, each is undone
exactly by its inverse.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import SimpleITK as sitk

from napari_mmssl.atomic import replacing
from napari_mmssl.errors import GeometryError
from napari_mmssl.volumes.geometry import Affine, Geometry, lps_to_ras, to_nifti
from napari_mmssl.volumes.volume import Volume

Method: TypeAlias = Literal["resample", "rigid", "affine"]

_BINS = 32
#: Voxels along the longest edge of the fixed volume at each level.
_LEVELS = (32, 64, 128)
_SAMPLES = 60_000
_STEPS = 200
_SEED = 20261122
#: Chance alone finds a movement that fits a hair better than none.
_LEAST_GAIN = 1.02
_MOST_STRETCH = 1.25
_NOTHING_SHARED = (
    "the two volumes have nothing in common that a registration could go by; "
    "look at them, or trust the files with the method resample"
)


@dataclass(frozen=True, eq=False)
class Registration:
    """A movement, and how much it helped.

    Parameters
    ----------
    matrix
        From fixed to moving world, 4x4.
    before, after
        Mattes mutual information of the finest level as the files lie and after the movement; more is better.
        ``None`` where nothing was measured (the files do not meet, or are trusted) or no movement helped.
    moved_mm
        How far the movement takes the corners of the fixed volume, on average.
    """

    matrix: Affine
    before: float | None
    after: float | None
    moved_mm: float


def parameters() -> dict[str, object]:
    """Return all settings that decide a registration, for its provenance."""
    return {
        "metric": "Mattes mutual information",
        "bins": _BINS,
        "levels_voxels_along_longest_edge": list(_LEVELS),
        "samples": _SAMPLES,
        "most_steps_per_level": _STEPS,
        "seed": _SEED,
        "SimpleITK": sitk.Version_VersionString(),
    }


def register(fixed: Volume, moving: Volume, method: Method) -> Registration:
    """Return the movement that lays ``moving`` on ``fixed``; the same at every call.

    It starts from where the files say they are, or from centre of mass on centre of mass where that fits better.
    A movement that fits no better than none, or stretches a person by a quarter, is not taken.

    Parameters
    ----------
    fixed, moving
        Two scans of one person; any grids.
    method
        ``resample``: none, the files are trusted; ``rigid``: three shifts and three turns; ``affine``: scaling and
        shear too.

    Raises
    ------
    GeometryError
        If a grid is sheared or flat, or the two have nothing in common to go by.

    References
    ----------
    Mattes et al. 2003, IEEE Trans. Med. Imaging 22(1).
    """
    still = np.eye(4)
    if method == "resample":
        return Registration(still, None, None, 0.0)
    with _one_thread():
        found, before, after = _best(fixed, moving, method)
    corners = fixed.geometry.corners_world()
    moved = corners @ found[:3, :3].T + found[:3, 3] - corners
    return Registration(found, before, after, float(np.linalg.norm(moved, axis=1).mean()))


def _best(fixed: Volume, moving: Volume, method: Method) -> tuple[Affine, float | None, float | None]:
    """Return the movement, and the likeness before and after it; no movement if none helps."""
    still = np.eye(4)
    levels = [(_image(fixed, n), _image(moving, n)) for n in _LEVELS]
    start = max((still, _centred(*levels[0])), key=lambda matrix: _likeness(*levels[0], matrix))
    rigid = _descend(levels, _versor(start, levels[0][0]))
    found = rigid if method == "rigid" else _descend(levels[1:], _affine(rigid, levels[0][0]))
    before, after = (_likeness(*levels[-1], matrix) for matrix in (still, found))
    if not np.isfinite(after):
        raise GeometryError(_NOTHING_SHARED)
    if after < _LEAST_GAIN * before or not _is_plausible(found):
        return still, before if np.isfinite(before) else None, None
    return found, before if np.isfinite(before) else None, after


def _is_plausible(matrix: Affine) -> bool:
    """Whether an affine movement keeps a person's size: not stretched by more than a quarter in any direction."""
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    return bool(stretch.max() < _MOST_STRETCH and stretch.min() > 1 / _MOST_STRETCH)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK sum in one order: several threads give other digits at each call."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def laid_on_fixed(geometry: Geometry, matrix: Affine) -> Geometry:
    """Return where a moving grid lies in the fixed world once ``matrix`` is applied; its inverse undoes that."""
    return Geometry(geometry.shape, np.linalg.inv(matrix) @ geometry.affine)


def write_transform(path: Path, matrix: Affine) -> None:
    """Write ``matrix`` as an ITK text transform (``.tfm``, LPS), which 3D Slicer, ANTs and SimpleITK read."""
    lps = _to_lps(matrix)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    with replacing(path) as aside:
        sitk.WriteTransform(transform, str(aside))


def _to_lps(matrix: Affine) -> Affine:
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.asarray(turn @ matrix @ turn)


def _image(volume: Volume, n_longest: int) -> sitk.Image:
    """Return ``volume`` for SimpleITK with about ``n_longest`` voxels along its longest edge."""
    geometry = volume.geometry
    if geometry.is_sheared or min(geometry.shape) < 4:
        what = "a sheared grid" if geometry.is_sheared else f"{min(geometry.shape)} slices along an axis"
        raise GeometryError(f"a volume with {what} cannot be registered; use method 'resample'")
    array = np.nan_to_num(volume.array.astype(np.float32), posinf=0.0, neginf=0.0)
    image = sitk.GetImageFromArray(array)
    affine = lps_to_ras(to_nifti(geometry.affine))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    edge_mm = max(np.array(geometry.shape) * geometry.spacing_mm) / n_longest
    # At least four voxels stay along each axis.
    steps = [int(np.clip(round(edge_mm / mm), 1, n // 4)) for mm, n in zip(spacing, image.GetSize(), strict=True)]
    return sitk.BinShrink(image, steps)


def _method(fixed: sitk.Image) -> sitk.ImageRegistrationMethod:
    """Return SimpleITK's registration with everything set but the start."""
    n_voxels = int(np.prod(fixed.GetSize()))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, _SAMPLES / n_voxels), _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _descend(levels: list[tuple[sitk.Image, sitk.Image]], transform: sitk.Transform) -> Affine:
    for fixed, moving in levels:
        method = _method(fixed)
        edge = float(np.mean(fixed.GetSpacing()))
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=edge, minStep=edge / 500, numberOfIterations=_STEPS, relaxationFactor=0.6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(fixed, moving)
        except RuntimeError as error:
            raise GeometryError(_NOTHING_SHARED) from error
    return _matrix(transform)


def _likeness(fixed: sitk.Image, moving: sitk.Image, matrix: Affine) -> float:
    """Return the mutual information of two images after a movement; minus infinity if they do not meet."""
    lps = _to_lps(matrix)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    method = _method(fixed)
    method.SetInitialTransform(transform)
    try:
        return -float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:
        return float("-inf")


def _centred(fixed: sitk.Image, moving: sitk.Image) -> Affine:
    """Return the shift that lays centre of mass on centre of mass."""
    try:
        found = sitk.CenteredTransformInitializer(
            fixed, moving, sitk.TranslationTransform(3), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
    except RuntimeError:
        return np.eye(4)
    return _matrix(found)


def _versor(start: Affine, fixed: sitk.Image) -> sitk.Transform:
    """Return a rigid transform that starts with the shift in ``start`` and turns about the middle of ``fixed``."""
    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter(_middle(fixed))
    transform.SetTranslation(_to_lps(start)[:3, 3].tolist())
    return transform


def _affine(start: Affine, fixed: sitk.Image) -> sitk.Transform:
    lps, centre = _to_lps(start), np.array(_middle(fixed))
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, 3] + lps[:3, :3] @ centre - centre).tolist())
    return transform


def _middle(image: sitk.Image) -> list[float]:
    return list(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


def _matrix(transform: sitk.Transform) -> Affine:
    """Return a linear ITK transform as our matrix: where it takes the origin and three unit steps."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, 3] = origin
    for axis in range(3):
        step = [0.0, 0.0, 0.0]
        step[axis] = 1.0
        lps[:3, axis] = np.array(transform.TransformPoint(step)) - origin
    return _to_lps(lps)
