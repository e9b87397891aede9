"""Read files and cases into layer-data tuples. Qt-free: it runs on worker threads and in npe2 readers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import MmsslError, ReadError
from napari_mmssl.tasks.convention_choice import choose
from napari_mmssl.tasks.label_convention import one_per_value
from napari_mmssl.viewer.layers.layer_data import (
    LayerTuple,
    centre_of_labels,
    coarse_below,
    image_layer,
    labels_layer,
    values_in,
)
from napari_mmssl.viewer.layers.placing import NOTABLE_TILT_DEG
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.header import Header
from napari_mmssl.volumes.image_files import (
    NotAVolumeError,
    classes_file,
    read_header,
    read_label_map,
    read_label_map_and_header,
    read_volume,
    stem,
)
from napari_mmssl.volumes.volume import LabelMap

#: A series of more volumes than this is opened in part, and a sentence says so.
MOST_CHANNELS = 12
#: A file called like a label map that holds more distinct values than this is shown as an image.
MOST_LABEL_VALUES = 256
_LABEL_WORDS = ("seg", "label", "mask", "lesion", "truth", "gt", "annotation", "prediction", "roi", "contour")


@dataclass(frozen=True)
class Opened:
    """Layers of one case or file, what a person should know about them, one sentence each, and where to look.

    ``centre`` is where napari draws the middle of the labels; ``None`` if there are none.
    """

    layers: tuple[LayerTuple, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    centre: tuple[float, ...] | None = None


def read_case(case: Case, layout: str = "", label_names: Mapping[int, str] | None = None) -> Opened:
    """Read all modalities and the label map of ``case``; a file that cannot be read becomes a problem.

    Each layer lies where its own file says, so modalities on several grids still overlie each other.

    Parameters
    ----------
    case
        What to read.
    layout
        Name of its cohort's layout, which tells what the values of some label maps mean.
    label_names
        What the cohort itself says that the values mean.
    """
    layers, problems, grids, centre = [], [], {}, None
    for name, scan in case.modalities.items():
        try:
            volume = read_scan(scan)
        except MmsslError as error:
            problems.append(str(error))
            continue
        said = f"{name} · {case.id}"
        uid = scan.series_uid
        layers.append(image_layer(volume, said, path=scan.path, case=case.id, role=name, series_uid=uid))
        grids[name] = volume.geometry
    layers = coarse_below(layers, lambda layer: layer[1]["scale"])
    if case.label is not None:
        try:
            labels = with_known_classes(read_label(case.label), layout, case, label_names)
            layers.append(labels_layer(labels, f"label · {case.id}", path=case.label.path, case=case.id))
            centre = centre_of_labels(layers[-1])
        except MmsslError as error:
            problems.append(str(error))
    return Opened(tuple(layers), (*tilt_notes(grids), *apart_notes(grids)), tuple(problems), centre)


def read_file(path: Path) -> Opened:
    """Read one file: a label map if it says so, or its name and values do; one image layer per channel otherwise.

    Segments that overlap, as DICOM's may, become a layer each.

    Raises
    ------
    ReadError, GeometryError
        As :func:`napari_mmssl.volumes.image_files.read_volume`.
    """
    header = read_header(path)
    name = stem(path)
    notes = [*tilt_notes({name: header.geometry}), *([f"'{path.name}': {header.doubt}"] if header.doubt else [])]
    if header.classes and header.channels is None:
        return _segments(path, name, header, notes)
    label_map = _as_label_map(path) if header.channels is None else None
    if label_map is not None:
        return Opened((labels_layer(label_map, name, path=path, role=None),), tuple(notes))
    if header.channels is None:
        return Opened((image_layer(read_volume(path), name, path=path),), tuple(notes))
    shown = min(header.channels, MOST_CHANNELS)
    if shown < header.channels:
        notes.append(f"'{path.name}' holds {header.channels} volumes; the first {shown} are shown")
    layers = [image_layer(read_volume(path, channel), f"{name} [{channel}]", path=path) for channel in range(shown)]
    return Opened(tuple(layers), tuple(notes))


def _segments(path: Path, name: str, header: Header, notes: list[str]) -> Opened:
    """Read a file that names its own classes."""
    try:
        label_map, read = read_label_map_and_header(path)
        return Opened((labels_layer(label_map, name, path=path, role=None),), (*notes, *read.notes))
    except NotAVolumeError:
        # They overlap; each by itself does not.
        pass
    layers = []
    for n, one in enumerate(header.classes[:MOST_CHANNELS]):
        label_map, read = read_label_map_and_header(path, n)
        alone = replace(label_map, classes=(one,))
        layers.append(labels_layer(alone, f"{name} [{one.name}]", path=path, role=None))
        notes += read.notes
    said = f"the {len(header.classes)} segments of '{path.name}' overlap and are shown as layers of their own"
    if len(header.classes) > MOST_CHANNELS:
        said = f"{said}, the first {MOST_CHANNELS} of them"
    return Opened(tuple(layers), (said, *dict.fromkeys(notes)))


def with_known_classes(
    label_map: LabelMap, layout: str, case: Case, label_names: Mapping[int, str] | None = None
) -> LabelMap:
    """Return ``label_map`` with the class names of its coding, where cohort, layout and values leave no doubt."""
    if label_map.classes:
        return label_map
    try:
        names = {stem(scan.path) for scan in case.modalities.values()}
        values = values_in(label_map.array)
        coding, _ = choose({case.id: values}, layout, case.modalities, names, label_names)
        if coding.name == "values" and label_names:
            # Of all values that the cohort names, so that a class has one colour in every case.
            return replace(label_map, classes=one_per_value({*values, *label_names}, label_names).classes)
    except MmsslError:
        return label_map
    # One unnamed value may be any organ; the other choice that names nothing is one class per value.
    return label_map if coding.name in ("lesion", "values") else replace(label_map, classes=coding.classes)


def tilt_notes(grids: dict[str, Geometry]) -> list[str]:
    """Return the sentence that says how tilted volumes are shown; nothing if none is."""
    tilted = {name: grid.tilt_deg for name, grid in grids.items() if grid.tilt_deg > NOTABLE_TILT_DEG}
    if not tilted:
        return []
    names = ", ".join(f"'{name}'" for name in tilted)
    return [
        f"{names} {'was' if len(tilted) == 1 else 'were'} scanned tilted by up to {max(tilted.values()):.0f} degrees; "
        "napari shows the slices straight, and what you save keeps the true tilt"
    ]


def apart_notes(grids: dict[str, Geometry]) -> list[str]:
    """Return a sentence for each volume that shares no place with the first: its slices are found elsewhere."""
    corners = {name: grid.corners_world() for name, grid in grids.items()}
    boxes = {name: (points.min(axis=0), points.max(axis=0)) for name, points in corners.items()}
    if not boxes:
        return []
    first, *others = boxes
    low, high = boxes[first]
    apart = [name for name in others if (boxes[name][0] > high).any() or (boxes[name][1] < low).any()]
    return [
        f"'{name}' lies elsewhere in the scanner than '{first}'; they are never seen in one slice" for name in apart
    ]


def looks_like_label_map(path: Path) -> bool:
    """Whether the name says that the file is a label map, or a list of classes lies beside it."""
    name = stem(path).lower()
    words = name.replace("-", "_").replace(".", "_").split("_")
    by_name = any(word.startswith(hint) if len(hint) > 3 else word == hint for word in words for hint in _LABEL_WORDS)
    return by_name or classes_file(path).is_file()


def _as_label_map(path: Path) -> LabelMap | None:
    if not looks_like_label_map(path):
        return None
    try:
        label_map = read_label_map(path)
    except ReadError:
        # A name is only a hint: 'lesion_probability' is an image. What is wrong with the file shows there.
        return None
    few = len(values_in(label_map.array)) <= MOST_LABEL_VALUES
    return label_map if few or classes_file(path).is_file() else None
