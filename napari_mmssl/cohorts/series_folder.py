"""One DICOM series of a folder as a file of a case, for layouts whose folders say what each series is."""

from collections.abc import Sequence
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundFile
from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.dicom_series import DicomSeries, find_series
from napari_mmssl.volumes.mask_stack import coding_for


def open_series(
    folder: Path, name: str, uid: str | None = None, channel: int | None = None, why: str = ""
) -> tuple[FoundFile | None, DicomSeries | None, list[Finding]]:
    """Return the series in ``folder`` as a file, as it was read, and what is odd about it.

    Parameters
    ----------
    folder
        Holds the series, perhaps among others.
    name
        What it is in the case, for the findings.
    uid
        Which series, where there are several.
    channel
        Which of its stacks, where there are several.
    why
        The reason for taking it.

    Returns
    -------
    The file, or ``None`` if the series is no volume; the series, or ``None`` if it cannot be told which; findings.
    """
    try:
        found = find_series(folder)
    except ReadError as error:
        return None, None, [Finding("unreadable", f"{name} is left out: {error}")]
    unreadable = [Finding("unreadable", f"{name}: {found.unreadable[0]}")] if found.unreadable else []
    series = [one for one in found.series if one.stacks and uid in (None, one.uid)]
    if len(series) != 1:
        text = f"{name} is left out: '{folder}' holds {len(series) or 'no'} DICOM series that may be it"
        return None, None, [*unreadable, Finding("not_a_volume", text)]
    one = series[0]
    told = [Finding(finding.kind, f"{name} ('{folder.name}'): {finding.text}") for finding in one.all_findings]
    wanted = channel or 0
    fits = wanted < len(one.stacks) and (channel is not None or len(one.stacks) == 1)
    geometry = one.stacks[wanted].geometry if fits and not one.damaged else None
    if geometry is None:
        return None, one, [*unreadable, *told]
    return FoundFile(folder, channel, one.uid, geometry, why), one, [*unreadable, *told]


def open_pictures(
    folder: Path, series: DicomSeries | None, grid: FoundFile | None, coding: str, why: str = ""
) -> tuple[FoundFile | None, Sequence[Finding]]:
    """Return the pictures in ``folder`` as a label map on the grid of ``series``, or a finding that says why not."""
    if series is None or grid is None:
        text = f"the label map is left out: the series that the pictures in '{folder}' were drawn on cannot be read"
        return None, (Finding("unreadable", text),)
    try:
        directed = coding_for(folder, series.stacks[grid.channel or 0].slices, coding)
    except ReadError as error:
        return None, (Finding("unreadable", f"the label map is left out: {error}"),)
    return FoundFile(folder, geometry=grid.geometry, why=why, coding=directed), ()
