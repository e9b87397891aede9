"""The quality gate: what a synthetic volume is measured by, and what it must reach to be used unasked.

Where the real volume is there too, structural similarity and peak signal-to-noise ratio. Where it is not, which is
what synthesis is for, four questions: whether intensities are as often met as in real volumes; whether gradients are;
whether edges lie where the source has them; and whether it is more than the source in other shades. None does alone:
the first is blind to where intensities are, so that noise can pass it, and the third to what they are, so that a copy
passes it. For a paired generator also how it did on people it never saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata

from napari_mmssl.metrics.image_similarity import histogram_distance, intensity_quantiles, psnr, ssim

#: Real volumes of which no two differ would fail everything; nothing nearer than this (z-scores) fails.
_LEAST_SPREAD = 0.02
#: About what a body fills of the z-scores; the whole of their range, 10, would flatter.
DATA_RANGE = 6.0


@dataclass(frozen=True)
class Usual:
    """How often a value is met in real volumes of a modality.

    Parameters
    ----------
    quantiles
        Mean over volumes of the quantiles within the body, as z-scores.
    farthest
        Greatest distance of one of them to the mean of the others.
    """

    quantiles: np.ndarray
    farthest: float

    def distance(self, values: np.ndarray) -> float:
        """Return how far the distribution of ``values`` lies from the mean, in units of the farthest real one."""
        return histogram_distance(intensity_quantiles(values), self.quantiles) / self.farthest

    def as_table(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {"quantiles": [round(float(value), 5) for value in self.quantiles], "farthest": self.farthest}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Usual":
        """Return what :meth:`as_table` was made from."""
        return cls(np.array(table["quantiles"], dtype=float), float(table["farthest"]))


@dataclass(frozen=True)
class Reference:
    """What real volumes of a modality look like.

    Parameters
    ----------
    intensities
        Of the voxels of the body.
    gradients
        Their magnitudes; ``None`` on cards from before they were measured.
    """

    intensities: Usual
    gradients: Usual | None

    def as_table(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return self.intensities.as_table() | ({"gradients": self.gradients.as_table()} if self.gradients else {})

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Reference":
        """Return what :meth:`as_table` was made from."""
        gradients = table.get("gradients")
        return cls(Usual.from_table(table), Usual.from_table(gradients) if gradients else None)


def draw_reference(volumes: Sequence[tuple[np.ndarray, np.ndarray]]) -> Reference:
    """Return the reference of real volumes, each given as z-scores and where its body is."""
    return Reference(
        _usual([volume[body] for volume, body in volumes]),
        _usual([gradient_magnitudes(volume, body) for volume, body in volumes]),
    )


def _usual(each_values: Sequence[np.ndarray]) -> Usual:
    each = np.stack([intensity_quantiles(values) for values in each_values])
    if len(each) == 1:
        return Usual(each[0], 10 * _LEAST_SPREAD)
    apart = [histogram_distance(one, np.delete(each, n, axis=0).mean(axis=0)) for n, one in enumerate(each)]
    return Usual(each.mean(axis=0), max(_LEAST_SPREAD, *apart))


def gradient_magnitudes(volume: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Return the length of the gradient, per voxel, wherever all six neighbours are body.

    The step from the body to the 0 round it, the same in whatever is made, would say that all are alike. A body so thin
    that it has no inside is taken whole.
    """
    inner = ndimage.binary_erosion(body)
    slopes = np.gradient(np.where(body, volume, 0.0).astype(np.float64))
    length: np.ndarray = np.sqrt(sum(slope**2 for slope in slopes))[inner if inner.any() else body]
    return length


def measure(
    made: np.ndarray, body: np.ndarray, reference: Reference, source: np.ndarray, real: np.ndarray | None
) -> dict[str, float]:
    """Return what the gate asks, see the module; numbers rounded to 4 digits.

    ``histogram`` and ``gradients`` are distances of distributions in units of the farthest real volume; ``edges`` is
    the correlation of the lengths of gradients with those of the source; ``shades`` that of the ranks of intensities,
    without its sign: 1 if the source was given other shades; ``ssim`` and ``psnr_db`` are against ``real``.

    What was made is brought to mean 0 and standard deviation 1 over the body first, as it is for whoever prepares it:
    generators that are unsure make pale pictures, and how pale they are is seen by nobody.

    Parameters
    ----------
    made, source, real
        z-scores ``(z, y, x)``: what was made, what it was made from, and what it should be, if that is known.
    body
        Where they are compared.
    """
    inside = made[body]
    made = np.where(body, (made - inside.mean()) / (inside.std() or 1.0), 0.0)
    slopes = gradient_magnitudes(made, body)
    quality = {
        "histogram": reference.intensities.distance(made[body]),
        "edges": _correlation(slopes, gradient_magnitudes(source, body)),
        "shades": abs(_correlation(rankdata(made[body]), rankdata(source[body]))),
    }
    if reference.gradients is not None:
        quality["gradients"] = reference.gradients.distance(slopes)
    if real is not None:
        quality["ssim"] = ssim(made, real, DATA_RANGE, body)
        quality["psnr_db"] = psnr(made, real, DATA_RANGE, body)
    return {name: round(float(value), 4) for name, value in quality.items()}


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Pearson's correlation; 0 if one of them is the same everywhere."""
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread > 0 else 0.0


def shortcomings(
    quality: Mapping[str, float], limits: Mapping[str, float], validated: Mapping[str, float] | None
) -> list[str]:
    """Return why a volume is below the gate, one sentence part each; empty if it passes.

    Parameters
    ----------
    quality
        From :func:`measure`.
    limits
        ``ssim``, ``psnr_db`` and ``edges`` at least, ``histogram``, ``gradients`` and ``shades`` at most.
    validated
        How a paired generator did on unseen people, ``ssim`` and ``ssim_of_source``, if that is known.
    """
    if "ssim" in quality:
        reasons = [
            f"{name} {quality[name]:.3g}, and {limits[name]:.3g} is wanted"
            for name in ("ssim", "psnr_db")
            if quality[name] < limits[name]
        ]
    elif "gradients" not in quality:
        reasons = ["its generators were trained before gradients were measured; train them anew"]
    else:
        reasons = _unlikely(quality, limits)
    if validated and "ssim" in validated:
        if validated["ssim"] < limits["ssim"]:
            reasons.append(f"on unseen people its generator reached ssim {validated['ssim']:.3g} only")
        if validated["ssim"] <= validated.get("ssim_of_source", -1.0):
            reasons.append("on unseen people its generator did no better than the unchanged source")
    return reasons


def _unlikely(quality: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    """Return what tells a volume, whose real counterpart is not known, from a real one of the same person."""
    reasons = [
        f"the histogram of its {what} lies {quality[name]:.3g} times as far from real ones as the farthest of those, "
        f"and {limits[name]:.3g} is allowed"
        for name, what in (("histogram", "intensities"), ("gradients", "gradients"))
        if quality[name] > limits[name]
    ]
    if quality["edges"] < limits["edges"]:
        reasons.append(
            f"its edges follow those of its source with a correlation of {quality['edges']:.2g}, and "
            f"{limits['edges']:.2g} is wanted"
        )
    if quality["shades"] > limits["shades"]:
        reasons.append(
            f"it is its source in other shades: their ranks correlate with {quality['shades']:.3g}, and "
            f"{limits['shades']:.3g} is allowed"
        )
    return reasons
