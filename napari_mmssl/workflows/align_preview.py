"""One modality of a case before and after it was aligned, on one grid, for a person to judge by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.reading import read_scan
from napari_mmssl.errors import ReadError
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_volume
from napari_mmssl.volumes.registration import laid_on_fixed
from napari_mmssl.volumes.resample import resample, with_spacing
from napari_mmssl.volumes.volume import Volume
from napari_mmssl.workflows.align import background
from napari_mmssl.workflows.align_back import read_record

#: Three volumes of this size are in memory together; larger ones are shown coarser.
_MOST_VOXELS = 24e6


@dataclass(frozen=True, eq=False)
class Fit:
    """How one modality lies on another before and after; all three volumes are on one grid.

    Parameters
    ----------
    case, modality, onto
        Whose it is, which modality was laid on what.
    fixed, before, after
        What stays, and the modality where its file says it is and as it was laid.
    words
        How far it was moved and what that changed, in a sentence.
    """

    case: str
    modality: str
    onto: str
    fixed: Volume
    before: Volume
    after: Volume
    words: str


def fitted_modalities(aligned: Path, case_id: str) -> list[str]:
    """Return the modalities of a case in an aligned cohort that were laid on something.

    Raises
    ------
    ReadError
        If ``align.json`` cannot be read or does not know the case.
    """
    entry = _entry(read_record(aligned), case_id)
    return [name for name in in_order(entry["files"]) if name != entry["reference"]]


def read_fit(case: Case, aligned: Path, modality: str) -> Fit:
    """Read how ``modality`` of ``case`` lay and lies.

    Parameters
    ----------
    case
        As it was before.
    aligned
        The cohort that :func:`napari_mmssl.workflows.align.align` wrote.
    modality
        One of :func:`fitted_modalities`.

    Raises
    ------
    ReadError
        If the record or a scan cannot be read.
    """
    record = read_record(aligned)
    entry = _entry(record, case.id)
    files, folder = entry["files"], aligned / case.id
    onto = _laid_on(entry, modality)
    after = read_volume(folder / f"{modality}.nii.gz")
    fixed = read_volume(folder / f"{onto}.nii.gz" if onto in files else Path(onto))
    scan = read_scan(case.modalities[modality])
    # On an atlas, a case as a whole has moved with its first modality.
    carried = np.array(files[onto]["matrix"]) if onto in files else np.eye(4)
    grid = _shown_grid(after.geometry)
    before = resample(scan.array, laid_on_fixed(scan.geometry, carried), grid, outside=background(scan.array))
    return Fit(
        case.id,
        modality,
        onto if onto in files else Path(onto).name,
        _on(fixed, grid),
        Volume(before, grid, scan.synthetic),
        _on(after, grid),
        fit_words(files[modality], modality, onto if onto in files else Path(onto).name, record["method"]),
    )


def fit_words(file: dict[str, Any], modality: str, onto: str, method: str) -> str:
    """Return what ``align.json`` has of one modality as a sentence."""
    before, after = file["before"], file["after"]
    if method == "resample":
        return f"{modality} is not moved: it is looked up on the grid of {onto} where its file says it is"
    likeness = f"mutual information with {onto}"
    if after is None:
        lies = "" if before is None else f"; {likeness} is {before:.2f}"
        return f"no movement makes {modality} fit better, so it stays where its file says it is{lies}"
    moved = f"{modality} is moved by {file['moved_mm']:.1f} mm (mean of the corners)"
    if before is None:
        return f"{moved}: it did not meet {onto} before; {likeness} is {after:.2f} now"
    return f"{moved}: {likeness} rises from {before:.2f} to {after:.2f}"


def _laid_on(entry: dict[str, Any], modality: str) -> str:
    """Return the modality, or the file, that ``modality`` was registered to."""
    files, reference = entry["files"], str(entry["reference"])
    if modality not in files:
        raise ReadError(f"the aligned case has no '{modality}'; it has {', '.join(files)}")
    anchor = reference if reference in files else in_order(files)[0]
    return reference if modality == anchor else anchor


def _entry(record: dict[str, Any], case_id: str) -> dict[str, Any]:
    if case_id not in record["cases"]:
        raise ReadError(f"'{case_id}' was left out when the cohort was aligned")
    return dict(record["cases"][case_id])


def _shown_grid(grid: Geometry) -> Geometry:
    coarser = (np.prod(grid.shape, dtype=float) / _MOST_VOXELS) ** (1 / 3)
    if coarser <= 1:
        return grid
    z, y, x = np.array(grid.spacing_mm) * coarser
    return with_spacing(grid, (float(z), float(y), float(x)))


def _on(volume: Volume, grid: Geometry) -> Volume:
    return Volume(resample(volume.array, volume.geometry, grid), grid, volume.synthetic)
