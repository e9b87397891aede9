"""Save a scan, label map, DICOM segmentation or contours in another format, where it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.dicom_contours import structure_names
from napari_mmssl.volumes.dicom_kinds import Kind, kind_of
from napari_mmssl.volumes.dicom_series import choose_series, find_series, read_series
from napari_mmssl.volumes.image_files import (
    DICOM_SUFFIXES,
    check_writable_name,
    classes_file,
    holds_classes,
    is_dicom,
    read_header,
    read_label_map_and_header,
    read_volume,
    split_name,
    write_label_map,
    write_volume,
    write_volumes,
)
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.segmentation_export import (
    SEGMENTATION_SUFFIX,
    draw_contours,
    on_slices_of,
    save_segmentation,
)


@dataclass(frozen=True)
class Converted:
    """What was written, and what a person should know of it.

    Parameters
    ----------
    paths
        The new files.
    notes
        What is odd about the source, or was lost, one sentence each.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """What is converted.

    Parameters
    ----------
    path
        The file, or the folder of a series.
    kind
        What a DICOM file or folder holds; ``None`` for other files.
    n_parts
        Volumes, stacks, segments or structures.
    is_label_map
        Whether whole numbers with a meaning are converted.
    is_4d
        Whether the parts are volumes of one grid.
    description
        Text of the header.
    series
        UID of the series that is meant, of the source or of the reference.
    reference
        Folder of the series that the label map was drawn on.
    doubts
        Why it is not certain where the voxels lie.
    """

    path: Path
    kind: Kind | None
    n_parts: int
    is_label_map: bool
    is_4d: bool
    description: str
    series: str | None
    reference: Path | None
    doubts: tuple[str, ...] = ()


def convert(
    source: Path,
    target: Path,
    *,
    series: str | None = None,
    channel: int | None = None,
    reference: Path | None = None,
    split: bool = False,
) -> Converted:
    """Write ``source`` to ``target``, with its voxels and its place unchanged.

    A file that names its classes, itself or in a file beside it, is a label map, and the names go along. Nothing of a
    DICOM header is written but the grid, except into a DICOM segmentation.

    Parameters
    ----------
    source
        An image file, a DICOM file, or the folder of a DICOM series.
    target
        A new file; its ending says the format: ``.nii .nii.gz .nrrd .mha``, or ``.dcm`` for a DICOM segmentation.
    series
        SeriesInstanceUID, where several series lie in the folder of the source, or of the reference.
    channel
        Which volume of a 4-D file, stack of a series, segment or structure, counted from 0. Without it a 4-D file
        stays 4-D.
    reference
        Folder of the DICOM series that a label map was drawn on. A segmentation refers to its slices; in every other
        format the label map gets its whole grid.
    split
        Whether each volume, stack, segment or structure becomes a file of its own: ``name_0``, ``name_1`` ...

    Raises
    ------
    WriteError
        If ``target`` is there already, ends otherwise, or its format cannot hold the grid.
    GeometryError
        If a label map does not lie on the slices of the reference.
    ReadError
        If ``source`` cannot be read.
    """
    _check_target(target, reference)
    found = _look_at(source, series, reference)
    parts = [(channel, target)]
    if split:
        if found.n_parts < 2 or channel is not None:
            raise WriteError(f"'{source}' cannot be split: one volume is meant")
        name, ending = split_name(target)
        parts = [(n, target.with_name(f"{name}_{n}{ending}")) for n in range(found.n_parts)]
    for _, path in parts:
        _refuse_to_replace(path)
        if found.is_label_map and not holds_classes(path):
            _refuse_to_replace(classes_file(path))
    notes = [*found.doubts, *_write_all(found, parts)]
    if found.kind == "series" and source.is_dir():
        notes += _series_notes(source, series)
    return Converted(tuple(path for _, path in parts), tuple(dict.fromkeys(notes)))


def _check_target(target: Path, reference: Path | None) -> None:
    if target.suffix.lower() != SEGMENTATION_SUFFIX:
        check_writable_name(target)
    elif reference is None:
        text = "a DICOM segmentation refers to the series it was drawn on; name its folder with --reference"
        raise WriteError(f"cannot write '{target}': {text}")


def _look_at(source: Path, series: str | None, reference: Path | None) -> _Source:
    def of_dicom(path: Path, kind: Kind, n_parts: int, *, labels: bool) -> _Source:
        return _Source(path, kind, n_parts, labels, False, "", series, reference)

    # What is neither is refused by its reader in a sentence.
    if not source.is_dir() and not (source.suffix.lower() in DICOM_SUFFIXES or is_dicom(source)):
        header = read_header(source)
        doubts = (f"'{source.name}': {header.doubt}",) if header.doubt else ()
        labels = reference is not None or bool(header.classes) or classes_file(source).is_file()
        n = header.channels
        return _Source(source, None, n or 1, labels, n is not None, header.description, series, reference, doubts)
    kind, path = kind_of(source)
    if kind == "contours":
        return of_dicom(path, kind, len(structure_names(path)), labels=True)
    if kind == "segmentation":
        return of_dicom(path, kind, len(read_header(path).classes), labels=True)
    return of_dicom(path, kind, len(choose_series(path, series).stacks), labels=reference is not None)


def _write_all(found: _Source, parts: Sequence[tuple[int | None, Path]]) -> list[str]:
    """Write every part, or none: what was written before one fails is removed."""
    notes: list[str] = []
    written: list[Path] = []
    try:
        for part, path in parts:
            notes += _write(found, path, part)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
            if found.is_label_map and not holds_classes(path):
                classes_file(path).unlink(missing_ok=True)
        raise
    return notes


def _write(found: _Source, target: Path, part: int | None) -> tuple[str, ...]:
    """Write one file; return what a person should know."""
    if found.is_4d and part is None:
        if found.reference is not None:
            raise WriteError(f"'{found.path}' holds {found.n_parts} volumes; choose one with --channel, or --split it")
        write_volumes(target, [read_volume(found.path, n, exact=True) for n in range(found.n_parts)], found.description)
        return ()
    if not found.is_label_map:
        is_folder = found.path.is_dir()
        volume = read_series(found.path, found.series, part) if is_folder else read_volume(found.path, part, exact=True)
        write_volume(target, volume, found.description)
        return ()
    labels, notes = _labels(found, part)
    if found.reference is not None and target.suffix.lower() == SEGMENTATION_SUFFIX:
        # What predicted it says so beside it.
        automatic = (found.path.parent / "predictions.json").is_file()
        return notes + save_segmentation(labels, target, found.reference, found.series, automatic=automatic)
    if found.reference is not None:
        labels = on_slices_of(labels, found.reference, found.series)
    write_label_map(target, labels, found.description)
    return notes


def _labels(found: _Source, part: int | None) -> tuple[LabelMap, tuple[str, ...]]:
    if found.kind == "contours" and found.reference is not None:
        return draw_contours(found.path, found.reference, found.series, part)
    labels, header = read_label_map_and_header(found.path, part)
    if part is not None and found.kind in ("segmentation", "contours"):
        one = header.classes[part]
        labels = LabelMap(labels.array, labels.geometry, (one,))
    return labels, header.notes


def _refuse_to_replace(path: Path) -> None:
    # A link that leads nowhere is there too.
    if path.exists() or path.is_symlink():
        raise WriteError(f"'{path}' is there already and is not replaced; name a new file, or remove it first")


def _series_notes(folder: Path, series: str | None) -> list[str]:
    odd = [finding.text for finding in choose_series(folder, series).all_findings]
    unreadable = [str(error) for error in find_series(folder).unreadable]
    return [*odd, *unreadable]
