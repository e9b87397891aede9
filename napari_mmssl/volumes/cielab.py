"""Colours as DICOM recommends them: CIE L*a*b* under D50, each packed into 16 bits (PS3.3, C.10.7.1.1).

sRGB to XYZ after IEC 61966-2-1, white adapted from D65 to D50 as ICC profiles do (linear Bradford).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Linear sRGB to XYZ under D50 (Bradford adaptation of IEC 61966-2-1's matrix).
_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_WHITE = _TO_XYZ.sum(axis=1)
_KNEE = 6 / 29
_MOST = 65535


def to_cielab(colour: str) -> tuple[int, int, int]:
    """Return ``#rrggbb`` as RecommendedDisplayCIELabValue; the inverse is :func:`from_cielab`."""
    srgb = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = _TO_XYZ @ linear / _WHITE
    f = np.where(ratio > _KNEE**3, np.cbrt(ratio), ratio / (3 * _KNEE**2) + 4 / 29)
    lab = np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
    packed = np.round(np.add(lab, (0, 128, 128)) / (100, 255, 255) * _MOST).clip(0, _MOST).astype(int)
    return int(packed[0]), int(packed[1]), int(packed[2])


def from_cielab(packed: Sequence[int]) -> str:
    """Return RecommendedDisplayCIELabValue as the nearest ``#rrggbb`` that a screen can show."""
    lightness, a, b = np.array(packed, dtype=float) / _MOST * (100, 255, 255) - (0, 128, 128)
    y = (lightness + 16) / 116
    f: npt.NDArray[np.float64] = np.array([y + a / 500, y, y - b / 200])
    ratio = np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29))
    linear = np.linalg.solve(_TO_XYZ, ratio * _WHITE).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (round(float(value) * 255) for value in srgb)
    return f"#{red:02x}{green:02x}{blue:02x}"
