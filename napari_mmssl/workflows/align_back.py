"""Bring label maps that lie on an aligned grid back to the grids of the scans themselves."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl.atomic import make_folder
from napari_mmssl.cohorts.layouts.aligned import RECORD
from napari_mmssl.errors import ConfigError, GeometryError, ReadError, WriteError
from napari_mmssl.registry import unknown_name
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import is_image, read_label_map, stem, write_label_map
from napari_mmssl.volumes.registration import laid_on_fixed
from napari_mmssl.volumes.resample import resample_labels
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.align import FORMAT


def align_back(labels: Path, aligned: Path, out: Path, modality: str | None = None) -> list[Path]:
    """Write each label map that was drawn on an aligned case onto the grid of its scans.

    Parameters
    ----------
    labels
        A folder of label maps named after the cases, as ``mmssl predict`` writes it, or one such file.
    aligned
        The cohort that :func:`napari_mmssl.workflows.align.align` wrote.
    out
        Folder for ``<case>_<modality>.nii.gz``; files that are there are not replaced.
    modality
        Onto whose grid; ``None``: one label map for each modality.

    Returns
    -------
    The files written.

    Raises
    ------
    ReadError
        If ``aligned`` has no readable ``align.json``, or there is no label map of one of its cases.
    GeometryError
        If a label map does not lie on the aligned grid of its case.
    """
    record = read_record(aligned)
    if not labels.exists():
        raise ReadError(f"there is no file or folder '{labels}' with label maps")
    files = [labels] if labels.is_file() else sorted(path for path in labels.iterdir() if is_image(path))
    pairs = [(path, record["cases"][stem(path)]) for path in files if stem(path) in record["cases"]]
    if not pairs:
        raise ReadError(f"no label map in '{labels}' is named after a case of '{aligned}', such as '{_some(record)}'")
    written = []
    for path, entry in pairs:
        written += write_back(read_label_map(path), stem(path), entry, out, modality)
    return written


def write_back(
    label_map: LabelMap, case_id: str, entry: dict[str, Any], out: Path, modality: str | None = None
) -> list[Path]:
    """Write ``label_map``, which lies on the aligned grid of a case, onto the grids of its scans; return the files.

    Parameters
    ----------
    label_map
        As drawn on the aligned case.
    case_id, entry
        Which case, and what ``align.json`` has of it.
    out, modality
        As in :func:`align_back`.

    Raises
    ------
    WriteError
        If one of the files is there already; then none is written.
    ConfigError
        If the case has no such modality.
    GeometryError
        If the label map does not lie on that grid.
    """
    if not label_map.geometry.same_grid(_grid(entry["grid"])):
        raise GeometryError(
            f"the label map of '{case_id}' does not lie on the aligned grid of its case; predict from the aligned scans"
        )
    targets = {name: out / f"{case_id}_{name}.nii.gz" for name in _asked(entry, modality)}
    for target in targets.values():
        if target.exists():
            raise WriteError(f"'{target}' is there already and is not replaced; choose another folder")
    make_folder(out)
    for name, target in targets.items():
        write_label_map(target, back_on_source(label_map, entry["files"][name]))
    return list(targets.values())


def back_on_source(label_map: LabelMap, file: dict[str, Any]) -> LabelMap:
    """Return ``label_map`` on the grid of the source that ``file`` (an entry of ``align.json``) speaks of."""
    source = _grid(file["grid"])
    # The source's grid is laid into the aligned world; that is where the label map has its values.
    laid = laid_on_fixed(source, np.array(file["matrix"]))
    return replace(label_map, array=resample_labels(label_map.array, label_map.geometry, laid), geometry=source)


def read_record(aligned: Path) -> dict[str, Any]:
    """Return ``align.json`` of an aligned cohort.

    Raises
    ------
    ReadError
        If it is missing, damaged, or of a newer version.
    """
    path = aligned / RECORD
    try:
        record = dict(json.loads(path.read_text(encoding="utf-8")))
        version = int(record["format"])
        for entry in record["cases"].values():
            _grid(entry["grid"])
            for file in entry["files"].values():
                _grid(file["grid"])
                if np.array(file["matrix"], dtype=float).shape != (4, 4):
                    raise ValueError("a movement is a 4x4 matrix")
    except FileNotFoundError as error:
        raise ReadError(f"'{aligned}' was not written by mmssl align: there is no {RECORD} in it") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GeometryError) as error:
        raise ReadError(f"'{path}' is damaged ({error}); align the cohort again") from error
    if version > FORMAT:
        raise ReadError(f"'{path}' was written by a newer napari-mmssl; update napari-mmssl to read it")
    return record


def _asked(entry: dict[str, Any], modality: str | None) -> list[str]:
    if modality is None:
        return list(entry["files"])
    if modality not in entry["files"]:
        raise ConfigError(unknown_name("modality", modality, list(entry["files"])))
    return [modality]


def _grid(table: dict[str, Any]) -> Geometry:
    z, y, x = table["shape"]
    return Geometry((int(z), int(y), int(x)), np.array(table["affine"], dtype=float))


def _some(record: dict[str, Any]) -> str:
    return f"{next(iter(record['cases']), 'case')}.nii.gz"
