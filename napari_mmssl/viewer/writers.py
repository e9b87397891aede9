"""npe2 writers: layers saved with the true geometry of the scan they belong to."""

import re
from pathlib import Path
from typing import Any

from napari import current_viewer
from napari.utils.notifications import show_info

from napari_mmssl.errors import GeometryError, WriteError
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, to_label_map, to_volume
from napari_mmssl.volumes.image_files import (
    DICOM_SUFFIXES,
    classes_file,
    holds_classes,
    write_label_map,
    write_volume,
)
from napari_mmssl.volumes.reindex import same_voxels
from napari_mmssl.volumes.volume import LabelMap

#: Labels layers that show the same array a second time; see ``case_view``.
COPY_ROLE = "label copy"
#: Labels layers that a network drew.
PREDICTION_ROLE = "prediction"


def write_image(path: str, data: Any, state: dict[str, Any]) -> list[str]:
    """Write an image layer to ``path`` in the axis order and place of its file.

    Raises
    ------
    WriteError
        If ``path`` is an opened scan, which are never changed, or cannot be written.
    GeometryError
        If the layer does not tell where it lies.
    """
    target = Path(path)
    open_layers = _open_layers()
    _protect_scans(target, [(data, state, "image"), *open_layers])
    write_volume(target, to_volume(data, state, open_layers))
    return [path]


def write_labels(path: str, data: Any, state: dict[str, Any]) -> list[str]:
    """Write a labels layer to ``path`` in the space of its scan, and its classes into it or beside it.

    A name that ends in ``.dcm`` makes a DICOM segmentation of the series that is open under the layer.

    Raises
    ------
    WriteError, GeometryError
        As :func:`write_image`.
    """
    target = Path(path)
    for note in save_labels(target, data, state, _open_layers()):
        show_info(note)
    beside = classes_file(target)
    return [path, str(beside)] if not holds_classes(target) and beside.is_file() else [path]


def save_labels(target: Path, data: Any, state: dict[str, Any], open_layers: list[LayerTuple]) -> tuple[str, ...]:
    """Write a labels layer as :func:`write_labels` does, among ``open_layers``; return what a person should know.

    Raises
    ------
    WriteError, GeometryError
        As :func:`write_image`, and if no DICOM series lies under a layer that is to become a DICOM segmentation.
    """
    from napari_mmssl.workflows.segmentation_export import SEGMENTATION_SUFFIX, save_segmentation

    _protect_scans(target, open_layers)
    labels = to_label_map(data, state, open_layers)
    if target.suffix.lower() != SEGMENTATION_SUFFIX:
        write_label_map(target, labels)
        return ()
    own = (state.get("metadata") or {}).get(METADATA_KEY)
    case, role = (own.case, own.role) if isinstance(own, Origin) else (None, None)
    path, series_uid = _series_under(target, labels, case, open_layers)
    return save_segmentation(labels, target, path, series_uid, automatic=role == PREDICTION_ROLE)


def write_case(path: str, layers: list[LayerTuple]) -> list[str]:
    """Write image and labels layers into the folder ``path``, one compressed NIfTI file each.

    Raises
    ------
    WriteError, GeometryError
        As :func:`write_image`; every layer is checked before the first is written.
    """
    folder = Path(path)
    named = _file_names([layer for layer in layers if _role(layer[1]) != COPY_ROLE])
    open_layers = [*layers, *_open_layers()]
    images = {name: to_volume(data, state, open_layers) for name, (data, state, kind) in named if kind == "image"}
    maps = {name: to_label_map(data, state, open_layers) for name, (data, state, kind) in named if kind == "labels"}
    for name in (*images, *maps):
        _protect_scans(folder / name, open_layers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder '{folder}': {error.strerror}") from error
    for name, volume in images.items():
        write_volume(folder / name, volume)
    for name, label_map in maps.items():
        write_label_map(folder / name, label_map)
    return [str(folder / name) for name in (*images, *maps)]


def _series_under(
    target: Path, labels: LabelMap, case: str | None, open_layers: list[LayerTuple]
) -> tuple[Path, str | None]:
    """Return folder and UID of the DICOM series whose slices ``labels`` lie on: of its own case, if that has one."""
    origins = [(state.get("metadata") or {}).get(METADATA_KEY) for _, state, kind in open_layers if kind == "image"]
    series = [one for one in origins if isinstance(one, Origin) and one.path is not None and _is_dicom(one.path)]
    for origin in sorted(series, key=lambda one: one.case != case):
        if origin.path is not None and same_voxels(labels.geometry, origin.geometry):
            return origin.path, origin.series_uid
    raise WriteError(
        f"cannot write '{target}': a DICOM segmentation refers to the series it was drawn on, and none with its grid "
        "is open; open it, or save as .nii.gz and use 'mmssl convert FILE NAME.dcm --reference SERIES'"
    )


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in DICOM_SUFFIXES


def layers_of(viewer: Any) -> list[LayerTuple]:
    """Return our layers of ``viewer``; none if there is no viewer."""
    layers = [] if viewer is None else [layer for layer in viewer.layers if METADATA_KEY in layer.metadata]
    return [layer.as_layer_data_tuple() for layer in layers]


def _open_layers() -> list[LayerTuple]:
    return layers_of(current_viewer())


def _protect_scans(target: Path, layers: list[LayerTuple]) -> None:
    for _, state, kind in layers:
        origin = (state.get("metadata") or {}).get(METADATA_KEY)
        if kind != "image" or not isinstance(origin, Origin) or origin.path is None:
            continue
        if origin.path.resolve() == target.resolve():
            raise WriteError(f"'{target}' is the scan itself and scans are never changed; choose another name")


def _file_names(layers: list[LayerTuple]) -> list[tuple[str, LayerTuple]]:
    named: list[tuple[str, LayerTuple]] = []
    taken: set[str] = set()
    for layer in layers:
        wished = _role(layer[1]) or str(layer[1].get("name") or layer[2])
        base = re.sub(r"[^\w.-]+", "_", wished).strip("_.") or layer[2]
        number = 1
        name = f"{base}.nii.gz"
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}.nii.gz"
        taken.add(name.lower())
        named.append((name, layer))
    if not named:
        raise GeometryError("there is no layer to save")
    return named


def _role(state: dict[str, Any]) -> str | None:
    origin = (state.get("metadata") or {}).get(METADATA_KEY)
    return origin.role if isinstance(origin, Origin) else None
