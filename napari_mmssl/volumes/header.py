"""What the header of an image file says, and how trouble with a file is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_mmssl.errors import GeometryError, MmsslError, ReadError
from napari_mmssl.volumes.geometry import Affine, Geometry
from napari_mmssl.volumes.volume import LabelClass

#: Marks a file whose voxels a network made; stands in the header's description.
SYNTHETIC_MARK = "MMSSL SYNTHETIC"
#: Follows the mark where such a volume passed the quality gate.
PASSED_WORD = "PASSED"
#: Programs place such a file differently, and some mirror it.
PLACE_UNKNOWN = "its header does not say where it lies: its place, and which side is left, are a guess"


class NotAVolumeError(ReadError):
    """A sound file that holds something else than one 3-D volume of plain numbers."""


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of an image file before a voxel is read.

    Parameters
    ----------
    geometry
        Grid of one 3-D volume of the file.
    channels
        Size of the fourth axis; ``None`` for a 3-D (or 2-D) file.
    dtype
        Type of the voxels as stored, before any rescaling, in native byte order.
    description
        Free text of the header; empty if there is none.
    classes
        Names and colours of label values, in formats whose files hold them.
    notes
        What a person should know of how the file is read, one sentence each.
    doubt
        Why it is not certain where the voxels lie; empty if it is.
    """

    geometry: Geometry
    channels: int | None
    dtype: np.dtype
    description: str
    classes: tuple[LabelClass, ...] = ()
    notes: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def synthetic(self) -> bool:
        """Whether the file says that a network made it."""
        return SYNTHETIC_MARK in self.description

    @property
    def passed_gate(self) -> bool:
        """Whether the file says that it is synthetic and passed the quality gate."""
        return f"{SYNTHETIC_MARK} {PASSED_WORD}" in self.description


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong in the block into one sentence that names ``path``.

    Raises
    ------
    ReadError
        For every exception that is not already one of ours.
    GeometryError
        If the grid is impossible.
    """
    try:
        # The system says in three words what nibabel and SimpleITK need a page of C++ or Python for.
        path.stat()
        if not path.is_file():
            raise ReadError("it is a folder or a device, not a file")
        yield
    except MmsslError as error:
        raise type(error)(f"cannot read '{path}': {error}") from error
    except MemoryError as error:
        raise ReadError(f"cannot read '{path}': there is not enough memory for it") from error
    # nibabel and SimpleITK raise nearly everything on damaged files, and none of it may reach a person raw.
    except Exception as error:
        raise ReadError(f"cannot read '{path}': {_first_sentence(error)}") from error


def grid_of(shape_xyz: tuple[int, ...], affine: Affine) -> tuple[Geometry, int | None]:
    """Return the grid of one volume and the number of channels of a file with these axes.

    Parameters
    ----------
    shape_xyz
        Sizes of the file's axes, fastest first: 2, 3 or 4 of them, or more if the rest are 1.
    affine
        Our affine (array columns, RAS+) of a 3-D volume of the file.

    Raises
    ------
    NotAVolumeError
        If there are fewer than two axes, or more than four that matter.
    GeometryError
        If the grid is impossible.
    """
    sizes = [int(size) for size in shape_xyz]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if not 2 <= len(sizes) <= 4:
        axes = " x ".join(map(str, sizes))
        raise NotAVolumeError(
            f"it has axes of {axes}; a slice (2 axes), a volume (3) or a series of volumes (4) can be read"
        )
    if len(sizes) == 2:
        sizes.append(1)
        affine = with_slice_thickness(affine)
    channels = sizes[3] if len(sizes) == 4 else None
    if channels is not None and channels < 1:
        raise GeometryError(f"the fourth axis has {channels} volumes")
    return Geometry((sizes[2], sizes[1], sizes[0]), affine), channels


def with_slice_thickness(affine: Affine) -> Affine:
    """Return ``affine`` with a through-plane step of 1 mm if it has none, as 2-D files may."""
    if not np.isfinite(affine).all() or np.linalg.norm(affine[:3, 0]) > 0:
        return affine
    # Columns are (z, y, x); x cross y points along z.
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    length = np.linalg.norm(normal)
    if length == 0:
        return affine
    thick = affine.copy()
    thick[:3, 0] = normal / length
    return thick


def check_channel(header: Header, channel: int | None) -> None:
    """Refuse a ``channel`` that the file does not have, or none where one must be chosen.

    Raises
    ------
    NotAVolumeError
        If one of several volumes must be chosen; says how many there are.
    ReadError
        If there is no such channel.
    """
    n_channels = header.channels or 1
    if header.channels is not None and channel is None:
        raise NotAVolumeError(f"it is 4-D and holds {n_channels} volumes; say which one (0 to {n_channels - 1})")
    if channel is not None and not 0 <= channel < n_channels:
        raise ReadError(f"it has no channel {channel}; there are {n_channels}, counted from 0")


def native(array: np.ndarray) -> np.ndarray:
    """Return ``array`` contiguous, in native byte order, of a type that every format can hold; no digit is lost.

    But for the last ones of float128, which only NIfTI knows.
    """
    if array.dtype == bool:
        return np.ascontiguousarray(array, dtype=np.uint8)
    if np.issubdtype(array.dtype, np.floating):
        return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.itemsize <= 4 else np.float64)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def intensities(array: np.ndarray) -> np.ndarray:
    """Return ``array`` with float64 made float32; whole numbers keep their type.

    The seventh digit of an intensity carries nothing, and float64 volumes of a cohort fill the memory twice as fast.

    Raises
    ------
    ReadError
        If it holds finite numbers that float32 cannot.
    """
    if array.dtype != np.float64:
        return array
    try:
        with np.errstate(over="raise"):
            return array.astype(np.float32)
    except FloatingPointError as error:
        raise ReadError("it holds numbers beyond 3.4e38, which nobody measured; it is damaged") from error


def _first_sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    # SimpleITK puts the reason on the last line, behind the name of the C++ class.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"it is damaged, or not what it says it is ({lines[-1].rstrip('.') if lines else type(error).__name__})"
