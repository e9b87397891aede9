"""What is odd about label maps: empty, impossible values, outside the body, on the other side."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_mmssl.cohorts.case import Case, Finding
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.cohorts.thumbnails import Thumbnail
from napari_mmssl.errors import MmsslError
from napari_mmssl.volumes.resample import resample
from napari_mmssl.volumes.volume import LabelMap

#: More values than any list of structures has (FreeSurfer's ends above 200 in one scan): that is an image.
_MOST_VALUES = 400
#: From so many label maps on, a value that nearly none of them holds is spoken of.
_MANY_CASES = 10
_RARE = 0.1
_MOST_OUTSIDE = 0.2
#: Voxels of a thumbnail that a label must cover before its side can be told.
_LEAST_COVERED = 30
#: Voxels of a thumbnail's body below which nothing can be said of places in it.
_LEAST_BODY = 300
_BORDER = 2
#: In standard deviations of the body; what a mirrored label must mark before its side is doubted.
_LEAST_CONTRAST = 0.5


def check_label(
    case: Case, thumbnails: Mapping[str, Thumbnail] | None = None
) -> tuple[dict[int, int] | None, list[Finding]]:
    """Read the label map of ``case``, count its values and hold it against the case's thumbnails.

    Parameters
    ----------
    case
        The case.
    thumbnails
        Of its modalities; without them the label's place is not looked at.

    Returns
    -------
    Voxels by value, background (0) left out, or ``None`` if there is no label map that can be read; and findings.
    """
    if case.label is None:
        return None, []
    try:
        label_map = read_label(case.label)
    except MmsslError as error:
        return None, [Finding("unreadable", f"label map: {error}")]
    counts = count_values(label_map)
    name = case.label.path.name
    if not counts:
        return counts, [Finding("empty_label", f"the label map '{name}' holds nothing but background")]
    if min(counts) < 0 or len(counts) > _MOST_VALUES:
        odd = f"negative values ({min(counts)})" if min(counts) < 0 else f"{len(counts)} different values"
        return counts, [Finding("impossible_label", f"'{name}' holds {odd}: an image may have been taken for it")]
    return counts, _place(label_map, list((thumbnails or {}).values()))


def count_values(label_map: LabelMap) -> dict[int, int]:
    """Return the number of voxels of each value but 0, by value."""
    array = label_map.array
    if array.size and array.min() >= 0 and array.max() < 1 << 16:
        # Several times as fast as sorting ten million voxels.
        counts = np.bincount(array.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value != 0}
    values, numbers = np.unique(array, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, numbers, strict=True) if value != 0}


def rare_values(values_by_case: Mapping[str, Mapping[int, int]]) -> dict[str, list[Finding]]:
    """Return by case id a finding on values that nearly no other label map of the cohort holds.

    A value that a coding cannot have is met in few cases; classes that are absent from some people are in many.
    Below ten label maps nothing can be said.
    """
    labelled = {case_id: values for case_id, values in values_by_case.items() if values}
    if len(labelled) < _MANY_CASES:
        return {}
    met: dict[int, int] = {}
    for values in labelled.values():
        for value in values:
            met[value] = met.get(value, 0) + 1
    usual = sorted(value for value, n in met.items() if n > _RARE * len(labelled))
    findings = {}
    for case_id, values in labelled.items():
        odd = sorted(value for value in values if met[value] <= _RARE * len(labelled))
        # Where most values are rare (many structures, few people) none of them is odd.
        if odd and len(odd) <= len(usual):
            text = f"the label map holds {_listed(odd)}, which hardly any other has (usual: {_listed(usual)})"
            findings[case_id] = [Finding("impossible_label", text)]
    return findings


def _place(label_map: LabelMap, scans: list[Thumbnail]) -> list[Finding]:
    """Return findings on a label map that lies outside the body or fits better mirrored."""
    scans = [scan for scan in scans if scan.body.sum() >= _LEAST_BODY]
    if not scans:
        return []
    marked = [resample((label_map.array > 0).astype(np.float32), label_map.geometry, scan.geometry) for scan in scans]
    findings = []
    outside = min(_share_outside(mark, scan) for mark, scan in zip(marked, scans, strict=True))
    if outside > _MOST_OUTSIDE:
        text = f"{outside:.0%} of the label map lies outside the body: it may belong to another scan or orientation"
        findings.append(Finding("impossible_label", text))
    sides = [_contrasts(mark >= 0.5, scan) for mark, scan in zip(marked, scans, strict=True)]
    as_is, mirrored = (max((side[n] for side in sides if side), default=0.0) for n in range(2))
    if mirrored > max(2 * as_is, _LEAST_CONTRAST):
        text = (
            "left and right are in doubt: the label map marks nothing that stands out where it lies,"
            f" and does when mirrored (contrast {as_is:.2f} as it lies, {mirrored:.2f} mirrored)"
        )
        findings.append(Finding("misregistered", text))
    return findings


def _share_outside(mark: npt.NDArray[np.float32], scan: Thumbnail) -> float:
    total = float(mark.sum())
    # The border of the body is rounded to blocks.
    body = ndimage.binary_dilation(scan.body)
    return float(mark[~body].sum()) / total if total else 0.0


def _contrasts(mark: npt.NDArray[np.bool_], scan: Thumbnail) -> tuple[float, float] | None:
    """Return how far the marked voxels stand out of those round them, as they lie and mirrored; None if too few."""
    if mark.sum() < _LEAST_COVERED:
        return None
    middle = round(2 * float(np.argwhere(scan.body)[:, 2].mean()))
    columns = middle - np.arange(mark.shape[2])
    mirrored = np.where(
        (columns >= 0) & (columns < mark.shape[2]), mark[:, :, np.clip(columns, 0, mark.shape[2] - 1)], False
    )
    spread = float(scan.array[scan.body].std())
    if spread == 0 or mirrored.sum() < _LEAST_COVERED:
        return None
    return _contrast(mark, scan) / spread, _contrast(mirrored, scan) / spread


def _contrast(mark: npt.NDArray[np.bool_], scan: Thumbnail) -> float:
    near = ndimage.binary_dilation(mark, iterations=_BORDER) & ~mark & scan.body
    inside = mark & scan.body
    if not near.any() or not inside.any():
        return 0.0
    return abs(float(scan.array[inside].mean()) - float(scan.array[near].mean()))


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (" ..." if len(values) > 8 else "")
