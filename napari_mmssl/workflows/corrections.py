"""Keep corrected label maps apart from what was predicted, with where they came from, as a cohort to learn from."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl import __version__
from napari_mmssl.atomic import make_folder, write_json
from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.manifest_file import LEFT_OUT, read_rows, to_rows, write_rows
from napari_mmssl.errors import ConfigError, GeometryError, WriteError
from napari_mmssl.volumes.image_files import read_label_map, write_label_map
from napari_mmssl.volumes.reindex import how_apart, reindexed
from napari_mmssl.volumes.volume import LabelMap

FORMAT = 1
#: The manifest of all corrected cases of a folder: what ``mmssl finetune`` takes.
MANIFEST = "corrected.csv"


def keep_correction(
    folder: Path,
    case: Case,
    corrected: LabelMap,
    *,
    predicted: LabelMap | None = None,
    source: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``corrected`` as ``<folder>/<case>_corrected.nii.gz``, and enter the case into the folder's manifest.

    Beside it lies ``<case>_corrected.json``: when, from what, and how many voxels of each class were changed. A
    correction that is there already is replaced: it is the same work gone further.

    Parameters
    ----------
    folder
        Made if need be.
    case
        The case whose scans the label map lies on.
    corrected
        The label map as a person left it; axes may be stored in another order than those of the scan.
    predicted
        What it was before.
    source
        What else is known of the prediction, such as ``weights`` and ``prediction``.

    Returns
    -------
    The file that was written.

    Raises
    ------
    GeometryError
        If a label map does not lie on the grid of the case.
    ConfigError
        If the case has no scan.
    WriteError
        If something cannot be written, or the file would lie on a file of the case.
    """
    grid = _grid(case)
    on_scan = _placed(corrected, grid)
    path = folder / f"{case.id}_corrected.nii.gz"
    files = [*case.modalities.values(), *([case.label] if case.label else [])]
    if path.resolve() in {file.path.resolve() for file in files}:
        raise WriteError(f"'{path}' is a file of the cohort itself, which is never changed; choose another folder")
    make_folder(folder)
    write_label_map(path, on_scan)
    story: dict[str, Any] = {
        "format": FORMAT,
        "case": case.id,
        "corrected_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "software": f"napari-mmssl {__version__}",
        "from": dict(source or {}),
    }
    if predicted is not None:
        story["changed"] = changes(_placed(predicted, grid), on_scan)
    write_json(path.with_name(f"{case.id}_corrected.json"), story)
    _enter(folder, case, path, on_scan)
    return path


def correct_case(cohort_path: Path, case_id: str, corrected: Path, folder: Path, predicted: Path | None = None) -> Path:
    """Keep the label map file ``corrected``, whatever program it was painted in, as a correction of a case.

    Raises
    ------
    MmsslError
        As :func:`keep_correction`, and if there is no such case or a file cannot be read.
    """
    cohort = find_cohort(cohort_path)
    case = cohort.case(case_id)
    before = None if predicted is None else read_label_map(predicted)
    source = {} if predicted is None else {"prediction": predicted.name, **source_of(predicted)}
    return keep_correction(folder, case, read_label_map(corrected), predicted=before, source=source)


def source_of(prediction: Path) -> dict[str, Any]:
    """Return which weights drew the label map ``prediction``, as the folder around it tells; empty if it does not."""
    try:
        record = json.loads((prediction.parent / "predictions.json").read_text(encoding="utf-8"))
        return {"weights": record["weights"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def changes(before: LabelMap, after: LabelMap) -> dict[str, Any]:
    """Return how many voxels were changed, and per class how much was added and taken away, in ml."""
    ml = after.geometry.voxel_ml
    names = {one.value: one.name for one in (*before.classes, *after.classes)}
    values = sorted((set(np.unique(before.array).tolist()) | set(np.unique(after.array).tolist())) - {0})
    by_class = {
        names.get(value, f"label {value}"): {
            "added_ml": float(np.count_nonzero((after.array == value) & (before.array != value)) * ml),
            "removed_ml": float(np.count_nonzero((after.array != value) & (before.array == value)) * ml),
        }
        for value in values
    }
    return {"voxels": int(np.count_nonzero(before.array != after.array)), "classes": by_class}


def _grid(case: Case) -> ScanFile:
    if not case.modalities:
        raise ConfigError(f"case '{case.id}' has no scan on which a correction could lie")
    return next(iter(case.modalities.values()))


def _placed(labels: LabelMap, scan: ScanFile) -> LabelMap:
    moved = reindexed(labels, scan.geometry)
    if moved is None:
        apart = how_apart(labels.geometry, scan.geometry)
        raise GeometryError(f"the label map does not lie on the scan '{scan.path.name}': {apart}; nothing is resampled")
    return moved


def _enter(folder: Path, case: Case, path: Path, labels: LabelMap) -> None:
    manifest = folder / MANIFEST
    only = replace(case, label=ScanFile(path, labels.geometry))
    names = {one.value: one.name for one in labels.classes}
    rows = [row for row in to_rows(Cohort(folder, "manifest", (), (only,), names), folder) if row["role"] != LEFT_OUT]
    others = [row for row in read_rows(manifest) if row["case"] != case.id] if manifest.is_file() else []
    write_rows([*others, *rows], manifest)
