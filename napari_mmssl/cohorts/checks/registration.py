"""Whether the modalities of one case lie on each other, and the same way round."""

from collections.abc import Mapping

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.fit import Fit, fit
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.thumbnails import Thumbnail

#: How far scans may be off, in mm and in voxels of the coarser thumbnail, whichever is more: `docs/how-to/
#: check-a-cohort.md` has what that finds and what it misses.
_MOST_MM = 4.0
#: What the best movement must gain over none, in mutual information, to be believed.
_GAIN = 1.15
#: What the mirror image must gain over the best movement of the scan itself.
_MIRROR_GAIN = 1.2
#: Scans that have less in common wherever they lie (a diffusion image of noise, another organ) say nothing.
_LEAST_LIKENESS = 1.07
_LEAST_OVERLAP = 0.05


def misregistered(thumbnails: Mapping[str, Thumbnail]) -> list[Finding]:
    """Return a finding for each modality that does not lie on the case's first one.

    Headers can say that two scans share a grid, or a world, and be wrong; this goes by what the scans show.
    """
    names = in_order(thumbnails)
    findings = []
    for name in names[1:]:
        first, second = thumbnails[names[0]], thumbnails[name]
        text = _describe(name, names[0], fit(first, second), _tolerance_mm(first, second))
        if text:
            findings.append(Finding("misregistered", text))
    return findings


def _describe(name: str, first: str, found: Fit, tolerance_mm: float) -> str:
    if found.overlap < _LEAST_OVERLAP:
        return f"{name} shows another place in the scanner than {first}: {found.overlap:.0%} of that body is in it"
    if max(found.best, found.mirrored) < _LEAST_LIKENESS:
        return ""
    if found.mirrored - 1 > _MIRROR_GAIN * (found.best - 1):
        return f"left and right are in doubt: {name} fits {first} better as its mirror image than as it is stored"
    if found.shift_mm > tolerance_mm and found.best - 1 > _GAIN * (found.likeness - 1):
        return (
            f"{name} seems to be about {found.shift_mm:.0f} mm off {first}; look at both, and register them"
            " (mmssl align) if that is so"
        )
    return ""


def _tolerance_mm(first: Thumbnail, second: Thumbnail) -> float:
    return max(_MOST_MM, *first.geometry.spacing_mm, *second.geometry.spacing_mm)
