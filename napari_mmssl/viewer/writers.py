"""npe2 writers: layers saved with the true geometry of the scan they belong to."""

import re
from pathlib import Path
from typing import Any

from napari import current_viewer

from napari_mmssl.errors import GeometryError, WriteError
from napari_mmssl.viewer.layers import METADATA_KEY, LayerTuple, Origin, to_label_map, to_volume
from napari_mmssl.volumes.image_files import classes_file, write_label_map, write_volume

#: Labels layers that show the same array a second time; see ``case_view``.
COPY_ROLE = "label copy"


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
    """Write a labels layer to ``path`` in the space of its scan, and its classes beside it.

    Raises
    ------
    WriteError, GeometryError
        As :func:`write_image`.
    """
    target = Path(path)
    open_layers = _open_layers()
    _protect_scans(target, open_layers)
    write_label_map(target, to_label_map(data, state, open_layers))
    beside = classes_file(target)
    return [path, str(beside)] if beside.is_file() else [path]


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


def _open_layers() -> list[LayerTuple]:
    viewer = current_viewer()
    layers = [] if viewer is None else [layer for layer in viewer.layers if METADATA_KEY in layer.metadata]
    return [layer.as_layer_data_tuple() for layer in layers]


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
