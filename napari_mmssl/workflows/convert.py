"""Save a scan in another format, where it is."""

from dataclasses import dataclass
from pathlib import Path

from napari_mmssl.errors import WriteError
from napari_mmssl.volumes.dicom_series import choose_series, find_series, read_series
from napari_mmssl.volumes.image_files import (
    check_writable_name,
    classes_file,
    read_header,
    read_label_map,
    read_volume,
    write_label_map,
    write_volume,
)


@dataclass(frozen=True)
class Converted:
    """What was written, and what a person should know of the source.

    Parameters
    ----------
    path
        The new file.
    notes
        What is odd about the source, one sentence each.
    """

    path: Path
    notes: tuple[str, ...] = ()


def convert(source: Path, target: Path, *, series: str | None = None, channel: int | None = None) -> Converted:
    """Write the volume or label map ``source`` to ``target``, with its voxels and its place unchanged.

    A file with the names of its classes beside it is a label map, and its names go along. Nothing of a DICOM header
    is written but the grid.

    Parameters
    ----------
    source
        An image file, a DICOM file, or the folder of a DICOM series.
    target
        A new file; its ending says the format.
    series
        SeriesInstanceUID, where several series lie in the folder.
    channel
        Which volume of a 4-D file, or which stack of a DICOM series, counted from 0.

    Raises
    ------
    WriteError
        If ``target`` is there already, ends otherwise, or its format cannot hold the grid.
    ReadError
        If ``source`` cannot be read as one volume.
    """
    check_writable_name(target)
    _refuse_to_replace(target)
    if source.is_dir():
        volume = read_series(source, series, channel)
        write_volume(target, volume)
        return Converted(target, _notes(source, series))
    if classes_file(source).is_file():
        _refuse_to_replace(classes_file(target))
        write_label_map(target, read_label_map(source, channel), read_header(source).description)
    else:
        header = read_header(source)
        write_volume(target, read_volume(source, channel), header.description)
    return Converted(target)


def _refuse_to_replace(path: Path) -> None:
    # A link that leads nowhere is there too.
    if path.exists() or path.is_symlink():
        raise WriteError(f"'{path}' is there already and is not replaced; name a new file, or remove it first")


def _notes(folder: Path, series: str | None) -> tuple[str, ...]:
    odd = [finding.text for finding in choose_series(folder, series).all_findings]
    unreadable = [str(error) for error in find_series(folder).unreadable]
    return tuple(dict.fromkeys((*odd, *unreadable)))
