"""Which intensities are shown: percentiles of each scan, and the ready windows that CT is read with. No napari here."""

from dataclasses import dataclass

import numpy as np

from napari_mmssl.viewer.layers.placing import contrast_limits

#: As radiologists name them: level and width in Hounsfield units.
CT_WINDOWS = {
    "brain": (40, 80),
    "subdural": (75, 215),
    "bone": (500, 2000),
    "soft tissue": (40, 400),
    "liver": (60, 160),
    "lung": (-600, 1500),
}
PERCENTILES = {"more contrast": (5.0, 98.0), "full range": (0.0, 100.0)}
AUTOMATIC = "automatic"
_MOST_SAMPLED = 1e5


@dataclass(frozen=True)
class Window:
    """The darkest and the brightest intensity."""

    low: float
    high: float


def ct_window(name: str) -> Window:
    """Return the CT window called ``name``; ``KeyError`` if there is none."""
    level, width = CT_WINDOWS[name]
    return Window(level - width / 2, level + width / 2)


def automatic_window(role: str | None, array: np.ndarray) -> Window:
    """Return what a volume is first seen through: soft tissue for CT, percentiles of the body for all others.

    The percentiles of a CT reach from air to bone, with all organs in a few shades of grey between them. A volume
    called CT that holds no air was scaled by somebody and is no longer in Hounsfield units; one that holds no tissue
    would be black.
    """
    organs = ct_window("soft tissue")
    if looks_like_ct(role, array) and array.size:
        lowest, highest = float(array.min()), float(array.max())
        if lowest < organs.low and highest > CT_WINDOWS["soft tissue"][0]:
            return organs
    return Window(*contrast_limits(array))


def percentile_window(array: np.ndarray, name: str) -> Window:
    """Return the window between two percentiles of the body of ``array``; its most common value is background."""
    step = max(1, int((array.size / _MOST_SAMPLED) ** (1 / 3)))
    sample = array[::step, ::step, ::step].ravel().astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return Window(0.0, 1.0)
    values, counts = np.unique(sample, return_counts=True)
    crowded = counts.max() > sample.size / 10 and len(values) > 1 and name != "full range"
    body = sample[sample != values[counts.argmax()]] if crowded else sample
    low, high = np.percentile(body, PERCENTILES[name])
    return Window(float(low), float(max(high, low + 1e-6)))


def looks_like_ct(role: str | None, array: np.ndarray) -> bool:
    """Whether a volume is in Hounsfield units: it is called so, or holds air and nothing far below it."""
    if role == "ct":
        return True
    if role is not None and role != "unknown":
        return False
    return bool(-1200 <= float(array.min()) <= -900)
