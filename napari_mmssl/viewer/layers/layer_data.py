"""Volumes and label maps as napari's layer-data tuples, and back. Imports no napari, so it is tested without Qt.

A layer shows a *view* of the file's array whose axes run to S, A and R; the file's own geometry travels in
``layer.metadata["mmssl"]`` and is what is written when the layer is saved.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from napari_mmssl.errors import GeometryError
from napari_mmssl.tasks.conventions import colour
from napari_mmssl.viewer.layers.placing import (
    AXIS_LABELS,
    UNITS,
    display_place,
    is_drawn_at,
    own_geometry,
)
from napari_mmssl.viewer.layers.windows import automatic_window
from napari_mmssl.volumes.geometry import Geometry, to_canonical
from napari_mmssl.volumes.volume import LabelClass, LabelMap, Volume

#: ``(data, state, type)``, as napari's readers return and its writers receive.
LayerTuple: TypeAlias = tuple[np.ndarray, dict[str, Any], str]

METADATA_KEY = "mmssl"
T = TypeVar("T")
#: More values than this are a parcellation, which gets napari's own cycle of colours and no names.
MOST_CLASSES = 64
#: An image whose voxels are so many times as large as the finest's lies below it.
_COARSER = 1.5
LABELS_OPACITY = 0.5


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the array of a layer came from.

    Parameters
    ----------
    geometry
        Grid of the *file*, in its own axis order.
    path
        The file, or the folder of a DICOM series, if there is one.
    case
        Id of the case it belongs to.
    role
        What it is in its case: the name of a modality, ``label``, ``prediction`` ...
    synthetic
        Whether a network made it.
    classes
        What the values of a label map mean.
    series_uid
        Which DICOM series of ``path`` it is.
    """

    geometry: Geometry
    path: Path | None = None
    case: str | None = None
    role: str | None = None
    synthetic: bool = False
    classes: tuple[LabelClass, ...] = ()
    series_uid: str | None = None


def image_layer(
    volume: Volume,
    name: str,
    *,
    path: Path | None = None,
    case: str | None = None,
    role: str | None = None,
    series_uid: str | None = None,
) -> LayerTuple:
    """Return ``volume`` as an image layer in its true place.

    A synthetic volume says so in its name and is not shown in grey, so that nobody takes it for a scan.
    """
    origin = Origin(volume.geometry, path, case, role, volume.synthetic, series_uid=series_uid)
    window = automatic_window(role, volume.array)
    state = _common_state(origin, f"{name} (synthetic)" if volume.synthetic else name) | {
        # napari takes a last axis of 3 or 4 voxels (a few sagittal slices) for colours.
        "rgb": False,
        "contrast_limits": (window.low, window.high),
        "colormap": "magma" if volume.synthetic else "gray",
        "interpolation2d": "linear",
    }
    return to_canonical(volume.geometry).apply(volume.array), state, "image"


def labels_layer(
    label_map: LabelMap, name: str, *, path: Path | None = None, case: str | None = None, role: str | None = "label"
) -> LayerTuple:
    """Return ``label_map`` as a labels layer in its true place, with names and colours for its classes.

    Values without a name are called by their number. The array can be painted on; the file is not changed.
    """
    array = label_map.array if label_map.array.flags.writeable else label_map.array.copy()
    classes = complete_classes(array, label_map.classes)
    origin = Origin(label_map.geometry, path, case, role, classes=classes)
    state = _common_state(origin, name) | {"opacity": LABELS_OPACITY}
    if classes:
        # None is what a person paints with before it has a name: visible, and unlike every class.
        state["colormap"] = {0: "transparent", None: "#ffffff"} | {one.value: one.colour for one in classes}
        state["features"] = class_table(classes)
    return to_canonical(label_map.geometry).apply(array), state, "labels"


def coarse_below(images: Sequence[T], scale_of: Callable[[T], Sequence[float]]) -> list[T]:
    """Return ``images`` as they lie over each other: the coarser ones below, since they would hide the others.

    Parameters
    ----------
    images
        Undermost first.
    scale_of
        Returns the voxel size of an image.
    """
    sizes = [float(np.prod(scale_of(image))) for image in images]
    finest = min(sizes, default=1.0)
    coarse = [size >= _COARSER * finest for size in sizes]
    return [image for wanted in (True, False) for image, is_ in zip(images, coarse, strict=True) if is_ is wanted]


def complete_classes(array: np.ndarray, known: Iterable[LabelClass]) -> tuple[LabelClass, ...]:
    """Return ``known`` and a class for each further value in ``array``, by value; empty if there are too many."""
    by_value = {one.value: one for one in known}
    for value in values_in(array):
        if value != 0 and value not in by_value:
            by_value[value] = LabelClass(value, f"label {value}", colour(len(by_value)))
    return tuple(by_value[value] for value in sorted(by_value)) if len(by_value) <= MOST_CLASSES else ()


def values_in(array: np.ndarray) -> list[int]:
    """Return the distinct values of a whole-number ``array``, ascending."""
    if array.size and array.min() >= 0 and array.max() < 1 << 16:
        # Ten times as fast as sorting nine million voxels.
        return [int(value) for value in np.flatnonzero(np.bincount(array.ravel().astype(np.intp, copy=False)))]
    return [int(value) for value in np.unique(array)]


def centre_of_labels(layer_tuple: LayerTuple) -> tuple[float, ...] | None:
    """Return where the slices with most labels of a labels layer cross, as napari draws it; ``None`` if it is empty."""
    data, state, _ = layer_tuple
    painted = data != 0
    counts = [np.count_nonzero(painted, axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    if not counts[0].any():
        return None
    places = zip(counts, state["scale"], state["translate"], strict=True)
    return tuple(float(count.argmax() * scale + start) for count, scale, start in places)


def class_table(classes: Iterable[LabelClass]) -> dict[str, list[Any]]:
    """Return the columns from which napari names the class under the cursor."""
    classes = tuple(classes)
    return {"index": [0, *(c.value for c in classes)], "class": ["background", *(c.name for c in classes)]}


def origin_of(state: Mapping[str, Any], shape: tuple[int, ...]) -> Origin | None:
    """Return the origin of a layer of ours; ``None`` for foreign layers and for ours once cropped or moved.

    Raises
    ------
    GeometryError
        If a *tilted* layer of ours was moved: its true place can then no longer be told.
    """
    origin = (state.get("metadata") or {}).get(METADATA_KEY)
    if not isinstance(origin, Origin):
        return None
    canonical = to_canonical(origin.geometry).apply_to(origin.geometry)
    if canonical.shape == tuple(shape) and is_drawn_at(display_place(origin.geometry), state, shape):
        return origin
    if origin.geometry.tilt_deg > 0.1:
        raise GeometryError(
            f"layer '{state.get('name')}' was cropped or moved in napari and its scan is tilted by "
            f"{origin.geometry.tilt_deg:.1f} degrees, so its true place is lost; open the scan again and do not move it"
        )
    return None


def in_file_order(
    data: Any, state: Mapping[str, Any], open_layers: Iterable[LayerTuple] = ()
) -> tuple[np.ndarray, Origin]:
    """Return the array of a layer in the axis order of its file, and where that truly lies.

    The layer's own origin counts first; then that of one of ours on exactly the same grid (napari's *new labels*
    button makes such layers); then the layer's own transform, and the array as it is.

    Raises
    ------
    GeometryError
        If none of the three tells a place in mm.
    """
    array = np.asarray(data)
    own = origin_of(state, array.shape)
    if own is not None:
        return to_canonical(own.geometry).undo(array), own
    for other, other_state, _ in open_layers:
        found = origin_of(other_state, other.shape) if other.shape == array.shape else None
        if found is not None and is_drawn_at(display_place(found.geometry), state, array.shape):
            return to_canonical(found.geometry).undo(array), Origin(found.geometry, case=found.case)
    return array, Origin(own_geometry(array.shape, state))


def to_volume(data: Any, state: Mapping[str, Any], open_layers: Iterable[LayerTuple] = ()) -> Volume:
    """Return an image layer as a volume in its file's axis order; the inverse of :func:`image_layer`.

    Raises
    ------
    GeometryError
        As :func:`in_file_order`.
    """
    array, origin = in_file_order(data, state, open_layers)
    return Volume(array, origin.geometry, origin.synthetic)


def to_label_map(data: Any, state: Mapping[str, Any], open_layers: Iterable[LayerTuple] = ()) -> LabelMap:
    """Return a labels layer as a label map in its file's axis order; the inverse of :func:`labels_layer`.

    Values painted after opening get a class named by their number, if the others have names.

    Raises
    ------
    GeometryError
        As :func:`in_file_order`.
    """
    array, origin = in_file_order(data, state, open_layers)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return LabelMap(array, origin.geometry, complete_classes(array, origin.classes) if origin.classes else ())


def _common_state(origin: Origin, name: str) -> dict[str, Any]:
    place = display_place(origin.geometry)
    return {
        "name": name,
        "scale": place.scale,
        "translate": place.translate,
        "units": UNITS,
        "axis_labels": AXIS_LABELS,
        "metadata": {METADATA_KEY: origin},
    }
