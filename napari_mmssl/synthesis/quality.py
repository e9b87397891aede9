"""The quality gate: what a synthetic volume is measured by, and what it must reach to be used unasked.

Where the real volume is there too, structural similarity and peak signal-to-noise ratio. Where it is not, which is
what synthesis is for, the distance of the intensity histogram to that of real volumes, in units of how far the
farthest real one lies from the others; and, for a paired generator, how it did on people it never saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_mmssl.metrics.image_similarity import histogram_distance, intensity_quantiles, psnr, ssim

#: Real volumes of which no two differ would fail everything; nothing nearer than this (z-scores) fails.
_LEAST_SPREAD = 0.02
#: About what a body fills of the z-scores; the whole of their range, 10, would flatter.
DATA_RANGE = 6.0


@dataclass(frozen=True)
class Reference:
    """What real volumes of a modality look like.

    Parameters
    ----------
    quantiles
        Mean of the quantiles of their intensities within the body, as z-scores.
    farthest
        Greatest histogram distance of one of them to the mean of the others.
    """

    quantiles: np.ndarray
    farthest: float

    def as_table(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {"quantiles": [round(float(value), 5) for value in self.quantiles], "farthest": self.farthest}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Reference":
        """Return what :meth:`as_table` was made from."""
        return cls(np.array(table["quantiles"], dtype=float), float(table["farthest"]))


def draw_reference(bodies: Sequence[np.ndarray]) -> Reference:
    """Return the reference of real volumes, each given as the intensities within its body."""
    each = np.stack([intensity_quantiles(body) for body in bodies])
    if len(each) == 1:
        return Reference(each[0], 10 * _LEAST_SPREAD)
    apart = [histogram_distance(one, np.delete(each, n, axis=0).mean(axis=0)) for n, one in enumerate(each)]
    return Reference(each.mean(axis=0), max(_LEAST_SPREAD, *apart))


def measure(made: np.ndarray, body: np.ndarray, reference: Reference, real: np.ndarray | None) -> dict[str, float]:
    """Return ``histogram`` (distance over the farthest real one's), and ``ssim`` and ``psnr_db`` against ``real``.

    What was made is brought to mean 0 and standard deviation 1 over the body first, as it is for whoever prepares it:
    generators that are unsure make pale pictures, and how pale they are is seen by nobody.

    Parameters
    ----------
    made, real
        z-scores ``(z, y, x)``; ``real`` if there is one.
    body
        Where they are compared.
    """
    inside = made[body]
    made = np.where(body, (made - inside.mean()) / (inside.std() or 1.0), 0.0)
    quality = {"histogram": histogram_distance(intensity_quantiles(made[body]), reference.quantiles)}
    quality["histogram"] /= reference.farthest
    if real is not None:
        quality["ssim"] = ssim(made, real, DATA_RANGE, body)
        quality["psnr_db"] = psnr(made, real, DATA_RANGE, body)
    return {name: round(float(value), 4) for name, value in quality.items()}


def shortcomings(
    quality: Mapping[str, float], limits: Mapping[str, float], validated: Mapping[str, float] | None
) -> list[str]:
    """Return why a volume is below the gate, one sentence part each; empty if it passes.

    Parameters
    ----------
    quality
        From :func:`measure`.
    limits
        ``ssim`` and ``psnr_db`` at least, ``histogram`` at most.
    validated
        How a paired generator did on unseen people, ``ssim`` and ``ssim_of_source``, if that is known.
    """
    reasons = []
    if "ssim" in quality:
        reasons += [
            f"{name} {quality[name]:.3g}, and {limits[name]:.3g} is wanted"
            for name in ("ssim", "psnr_db")
            if quality[name] < limits[name]
        ]
    elif quality["histogram"] > limits["histogram"]:
        reasons.append(
            f"its histogram lies {quality['histogram']:.3g} times as far from real ones as the farthest of those, and "
            f"{limits['histogram']:.3g} is allowed"
        )
    if validated and "ssim" in validated:
        if validated["ssim"] < limits["ssim"]:
            reasons.append(f"on unseen people its generator reached ssim {validated['ssim']:.3g} only")
        if validated["ssim"] <= validated.get("ssim_of_source", -1.0):
            reasons.append("on unseen people its generator did no better than the unchanged source")
    return reasons
