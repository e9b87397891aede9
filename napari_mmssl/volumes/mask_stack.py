"""Label maps that lie as a folder of grey pictures, one per slice of a DICOM series, as CHAOS has them.

A picture has no place in space: it gets that of the slice with the same rank among the names of the series' files,
and only where the slices' true positions follow those names without a break. MR pictures are grey 63 (liver), 126
(right kidney), 189 (left kidney) and 252 (spleen), or near it; CT pictures show the liver alone (Kavur et al. 2021,
arXiv:2001.06535, and the data's own notes).
"""

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_files import Slice
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.volume import LabelClass, LabelMap

#: Added to the name of a coding where the first picture is the last slice of the array.
REVERSED = " reversed"
_LIVER = LabelClass(1, "liver", "#e69f00")


@dataclass(frozen=True)
class GreyCoding:
    """What grey values mean: class to the lowest and highest grey of it; 0 is background, others are refused."""

    ranges: tuple[tuple[LabelClass, tuple[int, int]], ...]


#: The codings by name.
CODINGS = {
    "chaos_mr": GreyCoding(
        (
            (_LIVER, (55, 70)),
            (LabelClass(2, "right kidney", "#56b4e9"), (110, 135)),
            (LabelClass(3, "left kidney", "#009e73"), (175, 200)),
            (LabelClass(4, "spleen", "#cc79a7"), (240, 255)),
        )
    ),
    "chaos_ct": GreyCoding(((_LIVER, (1, 255)),)),
}


def pictures_in(folder: Path) -> list[Path]:
    """Return the PNG files of ``folder`` in the order in which people count; hidden ones do not count.

    Raises
    ------
    ReadError
        If the folder cannot be listed.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() == ".png" and not path.name.startswith(".")]
    except OSError as error:
        raise ReadError(f"cannot look into '{folder}': {(error.strerror or str(error)).lower()}") from error
    return sorted(found, key=_counting)


def coding_for(folder: Path, slices: Sequence[Slice], coding: str) -> str:
    """Return ``coding`` with the direction in which the pictures of ``folder`` follow the slices of a series.

    Parameters
    ----------
    folder
        Where the pictures lie.
    slices
        Of the series, in the order of its array.
    coding
        A name of :data:`CODINGS`.

    Raises
    ------
    ReadError
        If there are more or fewer pictures than slices, or the names of the series' files do not follow the places
        of its slices: which picture belongs to which slice is then unknown.
    """
    pictures = pictures_in(folder)
    if len(pictures) != len(slices):
        raise ReadError(f"'{folder}' holds {len(pictures)} pictures for a series of {len(slices)} slices")
    ranks = [(*_counting(one.path), one.frame) for one in slices]
    if all(earlier < later for earlier, later in pairwise(ranks)):
        return coding
    if all(earlier > later for earlier, later in pairwise(ranks)):
        return coding + REVERSED
    raise ReadError(
        f"the names of the files beside '{folder}' do not follow the places of their slices, so nothing says which "
        "picture belongs to which slice"
    )


def read_mask_stack(folder: Path, geometry: Geometry, coding: str) -> LabelMap:
    """Read the pictures of ``folder`` as a label map.

    Parameters
    ----------
    folder
        As many pictures as slices.
    geometry
        The grid of the series they were drawn on.
    coding
        From :func:`coding_for`.

    Raises
    ------
    ReadError
        If a picture is missing, damaged, of another size, or holds a grey that the coding does not know.
    """
    name = coding.removesuffix(REVERSED)
    if name not in CODINGS:
        raise ReadError(f"cannot read '{folder}': there is no coding '{coding}' of grey values; known: {_names()}")
    pictures = pictures_in(folder)
    if len(pictures) != geometry.shape[0]:
        raise ReadError(f"'{folder}' holds {len(pictures)} pictures for a series of {geometry.shape[0]} slices")
    if coding.endswith(REVERSED):
        pictures.reverse()
    values = _values(CODINGS[name])
    array = np.zeros(geometry.shape, np.uint8)
    for n, picture in enumerate(pictures):
        grey = _read_grey(picture, geometry.shape[1:])
        array[n] = values[grey]
        if (array[n] == _UNKNOWN).any():
            met = int(grey[array[n] == _UNKNOWN][0])
            raise ReadError(f"cannot read '{picture}': it holds grey {met}, which is no class of {name}")
    return LabelMap(array, geometry, tuple(one for one, _ in CODINGS[name].ranges))


_UNKNOWN = 255


def _names() -> str:
    return ", ".join(CODINGS)


def _values(coding: GreyCoding) -> np.ndarray:
    values = np.full(256, _UNKNOWN, np.uint8)
    values[0] = 0
    for one, (low, high) in coding.ranges:
        values[low : high + 1] = one.value
    return values


def _read_grey(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    pillow = importlib.import_module("PIL.Image")
    try:
        with pillow.open(path) as picture:
            # Before a pixel is unpacked: a small file may claim to be huge.
            if picture.size != (shape[1], shape[0]):
                size = f"{picture.size[1]} x {picture.size[0]}"
                raise ReadError(f"cannot read '{path}': it has {size} pixels, its series {shape[0]} x {shape[1]}")
            if picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
                raise ReadError(f"cannot read '{path}': its pixels are no grey values of 8 bits")
            return np.asarray(picture.convert("L"))
    except ReadError:
        raise
    # Pillow's plugins raise what they like on damaged files.
    except Exception as error:
        raise ReadError(f"cannot read '{path}': it is a damaged picture") from error


def _counting(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Return a key that puts ``img2`` before ``img10``."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
