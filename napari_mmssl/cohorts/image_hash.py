"""Tell whether two scans are one scan, however they were saved: a hash of the picture, not of the file.

For each pair of neighbours on a coarse grid that is laid on the body, one bit says which is brighter, as in the
difference hash that is common for photographs, in three dimensions. Ordering neighbours does not change with scaling,
offset or gamma of intensities, with the type of the numbers, with the order of the axes in the file, and little
with resampling and with where the scan was cropped.
"""

import base64

import numpy as np
import numpy.typing as npt
from scipy import ndimage

#: Goes up whenever a scan would get another hash.
HASH_VERSION = 1
_CELLS = 12
#: The grid reaches this many standard deviations of the body to either side of its centre; an ellipsoid ends at 2.24.
_REACH = 1.8
#: A slice or two, or a scan without contrast, would be like every other of its kind.
_LEAST_VOXELS = 6
_LEAST_RISING = 0.1
N_BITS = 3 * _CELLS * _CELLS * (_CELLS - 1)

#: Packed, eight to a byte: a cohort of ten thousand cases keeps them all.
Bits = npt.NDArray[np.uint8]


def image_hash(array: np.ndarray, body: npt.NDArray[np.bool_]) -> Bits | None:
    """Return :data:`N_BITS` bits that tell a scan by what it shows, or ``None`` if it shows too little to be told.

    Parameters
    ----------
    array, body
        Intensities and where the body is, ``(z, y, x)``; axes run to S, A, R. The grid's spacing does not matter.
    """
    if min(array.shape) < _LEAST_VOXELS or not body.any():
        return None
    index = np.argwhere(body)
    centre, spread = index.mean(axis=0), np.maximum(index.std(axis=0), 0.5)
    cell = 2 * _REACH * spread / _CELLS
    # Files differ in what they hold outside the body: air, 0, or 0 after z-scoring, which is amid the intensities.
    shown = np.where(body, array, np.percentile(array[body], 1)).astype(np.float32)
    smooth = ndimage.gaussian_filter(shown, cell / 2)
    steps = (np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    grid = np.meshgrid(*(c + steps * _REACH * s for c, s in zip(centre, spread, strict=True)), indexing="ij")
    cells = ndimage.map_coordinates(smooth, grid, order=1, mode="nearest")
    bits = np.concatenate([(np.diff(cells, axis=axis) > 0).ravel() for axis in range(3)])
    return np.packbits(bits) if bits.mean() > _LEAST_RISING else None


def unlikeness(one: Bits, other: Bits) -> float:
    """Return the share of bits in which two hashes differ: 0 the same picture, 0.5 nothing in common."""
    return float(np.unpackbits(one ^ other).mean())


def to_text(bits: Bits) -> str:
    """Return ``bits`` as a line of text; the inverse is :func:`from_text`."""
    return base64.b85encode(bits.tobytes()).decode()


def from_text(text: str) -> Bits:
    """Return the bits that :func:`to_text` wrote; ``ValueError`` if it wrote something else."""
    bits = np.frombuffer(base64.b85decode(text), dtype=np.uint8)
    if bits.size != N_BITS // 8:
        raise ValueError(f"an image hash has {N_BITS} bits, this text {8 * bits.size}")
    return bits
