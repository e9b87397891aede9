"""Label maps and the DICOM series they were drawn on: saved as a segmentation of it, or brought onto its slices."""

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_mmssl.errors import GeometryError, ReadError, WriteError
from napari_mmssl.volumes.dicom_contours import read_contours, referenced_series
from napari_mmssl.volumes.dicom_kinds import kind_of
from napari_mmssl.volumes.dicom_segmentation_writing import write_segmentation
from napari_mmssl.volumes.dicom_series import DicomSeries, find_series
from napari_mmssl.volumes.dicom_stacks import Stack
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.reindex import how_apart, of_one_grid, reindexed, same_voxels
from napari_mmssl.volumes.volume import LabelMap

#: Ending of a DICOM segmentation; what else ends so is a DICOM file too.
SEGMENTATION_SUFFIX = ".dcm"


def save_segmentation(
    labels: LabelMap, target: Path, reference: Path, series: str | None = None, *, automatic: bool = False
) -> tuple[str, ...]:
    """Write ``labels`` as a DICOM segmentation of a series; return what a person should know.

    Nothing is resampled: the labels lie on the slices of the series, perhaps flipped, swapped or cut out.

    Parameters
    ----------
    labels
        What to write.
    target
        Ends in ``.dcm``. An earlier segmentation is replaced, images never.
    reference
        Folder of the series.
    series
        SeriesInstanceUID, where several of one grid lie in the folder.
    automatic
        Whether a network drew the labels.

    Raises
    ------
    WriteError
        If the labels lie on another grid, or the series lacks what a segmentation must repeat.
    ReadError
        If there is no such series.
    """
    if target.exists() and kind_of(target)[0] != "segmentation":
        raise WriteError(f"'{target}' is there already and no segmentation; images are never replaced")
    _, stack = _stack_of(labels, reference, series)
    return write_segmentation(target, labels, stack, automatic=automatic)


def on_slices_of(labels: LabelMap, reference: Path, series: str | None = None) -> LabelMap:
    """Return ``labels`` on the whole grid of a series that they are a part of; never resampled.

    Raises
    ------
    GeometryError
        If they lie elsewhere.
    ReadError
        If there is no such series.
    """
    _, stack = _stack_of(labels, reference, series)
    if stack.geometry is None:
        raise ReadError(f"cannot read '{reference}': it is no evenly spaced stack of slices")
    moved = reindexed(labels, stack.geometry)
    if moved is None:
        apart = how_apart(labels.geometry, stack.geometry)
        raise GeometryError(f"cannot put the labels on the slices of '{reference}': {apart}, and nothing is resampled")
    return moved


def draw_contours(
    path: Path, reference: Path, series: str | None = None, part: int | None = None
) -> tuple[LabelMap, tuple[str, ...]]:
    """Return the contours of an RTSTRUCT file on the slices of their series, and what was lost.

    Parameters
    ----------
    path
        The file.
    reference
        Folder of the series.
    series
        SeriesInstanceUID, if the file names none of those in the folder.
    part
        Position of one structure, counted from 0.

    Raises
    ------
    ReadError
        If the series is not there, or structures overlap and none is chosen.
    """
    uids = {series} if series is not None else referenced_series(path)
    chosen, stack = _choose(reference, [lambda one, _: not uids or one.uid in uids], "is that of the contours")
    if stack.geometry is None:
        raise ReadError(f"cannot read '{reference}': it is no evenly spaced stack of slices")
    header, array = read_contours(path, chosen, stack.geometry, part)
    return LabelMap(array, header.geometry, header.classes), header.notes


def _stack_of(labels: LabelMap, reference: Path, series: str | None) -> tuple[DicomSeries, Stack]:
    """Return the stack on whose grid the labels lie; of several, one that they cover as a whole."""

    def fits(how: Callable[[Geometry, Geometry], bool]) -> Callable[[DicomSeries, Stack], bool]:
        return lambda one, stack: (
            (series is None or one.uid == series)
            and stack.geometry is not None
            and how(labels.geometry, stack.geometry)
        )

    def is_alone(one: DicomSeries, _: Stack) -> bool:
        # Whoever uses it can say how far off it is.
        return n_stacks == 1 and series in (None, one.uid)

    n_stacks = sum(stack.geometry is not None for one in find_series(reference).series for stack in one.stacks)
    wanted = (fits(same_voxels), fits(of_one_grid), is_alone)
    return _choose(reference, wanted, "has the grid of the label map")


def _choose(
    folder: Path, wanted: Sequence[Callable[[DicomSeries, Stack], bool]], meant: str
) -> tuple[DicomSeries, Stack]:
    """Return the stack of ``folder`` that meets the first of ``wanted`` that any meets.

    Of one series the first is taken: its stacks may share a grid.
    """
    every = [(one, stack) for one in find_series(folder).series for stack in one.stacks if stack.geometry is not None]
    usable = [(one, stack) for one, stack in every if not one.damaged]
    if not every:
        raise ReadError(
            f"cannot use '{folder}' as reference: no DICOM series in it is an evenly spaced stack of slices; name the "
            "folder of one"
        )
    found: list[tuple[DicomSeries, Stack]] = []
    for is_meant in wanted:
        found = found or [(one, stack) for one, stack in usable if is_meant(one, stack)]
    uids = list(dict.fromkeys(one.uid or "none" for one, _ in found))
    if not found:
        raise ReadError(f"cannot use '{folder}' as reference: none of its {len(every)} stacks of slices {meant}")
    if len(uids) > 1:
        raise ReadError(
            f"cannot use '{folder}' as reference: {len(uids)} series are possible; name one by its UID "
            f"({', '.join(uids)})"
        )
    return found[0]
