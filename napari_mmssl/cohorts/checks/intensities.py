"""Scans whose intensities are impossible, or unlike those of the same modality in the rest of the cohort."""

import math
from collections.abc import Callable, Mapping
from statistics import median

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.thumbnails import Intensities

#: Share of the body at the one highest value; a scanner that clips leaves more, noise leaves a voxel or two.
_SATURATED = 0.02
#: Scans of one modality before any of them can be called unlike the rest.
_LEAST_SCANS = 5
#: Modified z-score beyond which a value is an outlier.
_OUTLIER = 6.0
#: Smallest scatter assumed, as a logarithm: scanners scale as they like, so that a factor below about 8 says nothing.
_LEAST_SCATTER = 0.35
#: Largest Hounsfield unit of air outside the body.
_AIR_HU = -200


def outlier_intensities(scans: Mapping[str, Mapping[str, Intensities]]) -> dict[str, list[Finding]]:
    """Return findings by case id on scans that are impossible in themselves or unlike the others of their modality.

    Parameters
    ----------
    scans
        Case id to modality to intensities.
    """
    findings: dict[str, list[Finding]] = {case_id: [] for case_id in scans}
    for case_id, by_modality in scans.items():
        for name in in_order(by_modality):
            findings[case_id] += [
                Finding("outlier_intensity", f"{name} {text}") for text in impossible(name, by_modality[name])
            ]
    for name in in_order({name for by_modality in scans.values() for name in by_modality}):
        group = {
            case_id: by_modality[name]
            for case_id, by_modality in scans.items()
            if name in by_modality and by_modality[name].spread > 0
        }
        for case_id, text in _unlike_the_rest(name, group).items():
            findings[case_id].append(Finding("outlier_intensity", text))
    return {case_id: found for case_id, found in findings.items() if found}


def impossible(name: str, found: Intensities) -> list[str]:
    """Return what is wrong with one scan of modality ``name`` by itself, one clause each."""
    texts = []
    if found.not_finite:
        texts.append(f"holds NaN or infinite values in {found.not_finite:.2%} of its voxels")
    if found.not_finite == 1:
        return texts  # its other numbers are those of nothing
    if found.lowest == found.highest:
        texts.append(f"is constant: every voxel is {found.lowest:g}")
    elif found.spread == 0:
        texts.append(f"shows next to nothing: most of the body holds the one value {found.median:g}")
    elif found.at_highest > _SATURATED:
        texts.append(f"is saturated: {found.at_highest:.0%} of the body holds the highest value, {found.highest:g}")
    if name == "ct" and found.lowest > _AIR_HU and found.spread > 0:
        texts.append(f"holds no value below {found.lowest:g}, and air is -1000 Hounsfield units: it was rescaled")
    if name == "adc" and found.median < 0:
        texts.append("is negative in most of the body, which a diffusion coefficient cannot be")
    return texts


def _unlike_the_rest(name: str, group: Mapping[str, Intensities]) -> dict[str, str]:
    if len(group) < _LEAST_SCANS:
        return {}
    texts = _negative_beside_positive(name, group)
    odd = _outliers({case_id: math.log(found.spread) for case_id, found in group.items()})
    middle = math.exp(median(math.log(found.spread) for found in group.values()))
    for case_id in odd:
        texts.setdefault(
            case_id,
            f"{name} spreads over {group[case_id].spread:.3g} intensities, and over about {middle:.3g} in the other"
            f" {len(group) - 1} scans: it may be in other units, or another sequence",
        )
    return texts


def _negative_beside_positive(name: str, group: Mapping[str, Intensities]) -> dict[str, str]:
    """Return the few scans with negative intensities among many without, or the other way round."""
    if name == "ct":
        return {}
    negative: Callable[[Intensities], bool] = lambda found: found.lowest < -0.01 * found.spread  # noqa: E731
    below = [case_id for case_id, found in group.items() if negative(found)]
    above = [case_id for case_id, found in group.items() if not negative(found)]
    few, few_are, most_are = (
        (below, "holds negative intensities", "none")
        if len(below) < len(above)
        else (above, "holds no negative intensity", "some")
    )
    if len(few) > 0.2 * len(group):
        return {}
    return dict.fromkeys(
        few, f"{name} {few_are}, and the other scans hold {most_are}: it was normalised in another way"
    )


def _outliers(values: Mapping[str, float]) -> list[str]:
    """Return the keys of values that are far from the median, by the modified z-score.

    References
    ----------
    Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, section 3.3.
    """
    middle = median(values.values())
    scatter = max(1.4826 * median(abs(value - middle) for value in values.values()), _LEAST_SCATTER)
    return [key for key, value in values.items() if abs(value - middle) > _OUTLIER * scatter]
