"""Make the modalities of a cohort fit, and bring results back to where each scan lies.

What is written is a cohort of its own, ``<case>/<modality>.nii.gz`` and ``seg.nii.gz``, with ``align.json``: source,
hash, movement and likeness before and after for each file, and what the cohort says of its people and label values. The
sources are only read.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mmssl import __version__
from napari_mmssl.atomic import make_folder, write_json
from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.layouts.aligned import RECORD
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import ConfigError, GeometryError, ReadError, WriteError
from napari_mmssl.pictures import Picture, PictureItem, write_picture
from napari_mmssl.tasks.conventions import choose_for
from napari_mmssl.volumes.foreground import find_foreground
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import read_header, read_volume, write_label_map, write_volume
from napari_mmssl.volumes.registration import (
    Method,
    Registration,
    laid_on_fixed,
    parameters,
    register,
    write_transform,
)
from napari_mmssl.volumes.reindex import same_voxels
from napari_mmssl.volumes.resample import resample, resample_labels
from napari_mmssl.volumes.volume import LabelMap, Volume

FORMAT = 1
_PICTURED = 96


@dataclass(frozen=True, eq=False)
class Fitted:
    """One modality of a case, and the movement from the reference world to its own."""

    scan: ScanFile
    volume: Volume
    registration: Registration


@dataclass(frozen=True, eq=False)
class FittedCase:
    """A case whose modalities were made to fit.

    Parameters
    ----------
    case
        As it was found.
    reference
        What the others were laid on: the name of a modality, or a file.
    grid
        Where all of them lie now.
    files
        By modality.
    """

    case: Case
    reference: str
    grid: Geometry
    files: dict[str, Fitted]

    def aligned(self, name: str) -> np.ndarray:
        """Return modality ``name`` on the common grid; what it does not cover holds its background."""
        fitted = self.files[name]
        volume = fitted.volume
        laid = laid_on_fixed(volume.geometry, fitted.registration.matrix)
        return resample(volume.array, laid, self.grid, outside=background(volume.array))


@dataclass(frozen=True)
class Aligned:
    """What :func:`align` wrote: the cases, and a sentence on each that was left out or not moved."""

    folder: Path
    cases: tuple[str, ...]
    notes: tuple[str, ...]


def align(
    path: Path,
    out: Path,
    to: str,
    method: Method,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    case_ids: Collection[str] = (),
) -> Aligned:
    """Write the cohort in ``path`` anew into ``out``, with all files of a case on one grid.

    Parameters
    ----------
    path
        A cohort, or the folder of one case.
    out
        A folder that does not exist or is empty.
    to
        The modality that stays where it is in each case; or an image file, onto which every case is brought.
    method
        ``resample`` trusts what the files say of their place; ``rigid`` and ``affine`` look for it.
    progress
        Told how many of how many cases are done.
    case_ids
        Only these cases; empty: all.

    Raises
    ------
    WriteError
        If ``out`` holds something already.
    ConfigError
        If no case has the modality ``to``, or there is no case of a name in ``case_ids``.
    ReadError, GeometryError
        If a scan of every case cannot be read or registered; a case of several is left out, and a note says why.
    """
    cohort = find_cohort(path)
    template = read_volume(Path(to)) if Path(to).is_file() else None
    if template is None and to not in cohort.modalities:
        raise ConfigError(
            f"'{to}' is neither an image file nor a modality of '{path}' ({', '.join(cohort.modalities)})"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WriteError(f"'{out}' is not empty; choose another folder for what is aligned")
    asked = cohort.chosen(case_ids)
    chosen = [case for case in asked if case.modalities and (template is not None or to in case.modalities)]
    notes = [f"'{case.id}' has no {to} and is left out" for case in asked if case not in chosen]
    if not chosen:
        raise ConfigError(f"none of the cases asked for has {to}; choose a modality that they have")
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": __version__,
        "source": str(cohort.root.resolve()),
        "to": to,
        "method": method,
        "parameters": parameters() if method != "resample" else {},
        "label_names": {str(value): name for value, name in cohort.label_names.items()},
        "label_coding": cohort.label_coding,
        "cases": {},
    }
    values: dict[str, list[int]] = {}
    for n, case in enumerate(chosen, start=1):
        try:
            fitted = fit_case(case, to, method, template)
            label_map = None if case.label is None else read_label(case.label)
        except (ReadError, GeometryError) as error:
            if n == len(chosen) and not record["cases"]:
                raise
            notes.append(f"{error}; it is left out")
        else:
            record["cases"][case.id] = _write_case(fitted, label_map, out)
            if label_map is not None:
                values[case.id] = np.unique(label_map.array).tolist()
                record["label_coding"] = _coding(cohort, values)
            # After each case, so that a full disk at the end loses nothing.
            write_json(out / RECORD, record)
            notes += _notes(fitted, method)
        progress(n, len(chosen))
    return Aligned(out, tuple(record["cases"]), tuple(notes))


def fit_case(case: Case, to: str, method: Method, template: Volume | None = None) -> FittedCase:
    """Lay the modalities of ``case`` on its modality ``to``, or on ``template``; nothing is written.

    On a template only the first modality is registered, and the others to that one: scans of one person fit each
    other better than an average of many.

    Raises
    ------
    ReadError, GeometryError
        If a scan cannot be read or registered, naming the case.
    """
    name = anchor = to if template is None else in_order(case.modalities)[0]
    try:
        first = read_scan(case.modalities[anchor])
        onto = register(template, first, method) if template is not None else register(first, first, "resample")
        grid = first.geometry if template is None else template.geometry
        files = {anchor: Fitted(case.modalities[anchor], first, onto)}
        for name in in_order(set(case.modalities) - {anchor}):
            volume = read_scan(case.modalities[name])
            between = register(first, volume, method)
            through = replace(between, matrix=between.matrix @ onto.matrix)
            files[name] = Fitted(case.modalities[name], volume, through)
    except (ReadError, GeometryError) as error:
        raise type(error)(f"case '{case.id}', {name}: {error}") from error
    return FittedCase(case, to, grid, files)


def picture_of(fitted: FittedCase, name: str) -> Picture:
    """Return the reference and modality ``name`` before and after, on one coarse grid, for a person to judge by."""
    anchor = fitted.reference if fitted.reference in fitted.files else in_order(fitted.files)[0]
    coarse = _coarse(fitted.grid)
    moving = fitted.files[name]
    before = resample(moving.volume.array, moving.volume.geometry, coarse, outside=background(moving.volume.array))
    items = (
        ("reference", resample(fitted.aligned(anchor), fitted.grid, coarse), f"{anchor}, which stays"),
        ("before", before, f"{name} where its file says it is"),
        ("after", resample(fitted.aligned(name), fitted.grid, coarse), f"{name} as it was laid on {anchor}"),
    )
    return Picture(
        f"align_{name}",
        0,
        fitted.case.id,
        tuple(
            PictureItem(what, "image", array.astype(np.float32), coarse.affine, shows) for what, array, shows in items
        ),
        {"before": moving.registration.before, "after": moving.registration.after},
    )


def _coding(cohort: Cohort, values: dict[str, list[int]]) -> str:
    """Return the known coding of the label maps: it may show in names of files that only the source has."""
    try:
        coding = choose_for(cohort, values)[0].name
    except ConfigError:
        return ""
    return "" if coding in ("lesion", "values") else coding


def _write_case(fitted: FittedCase, label_map: LabelMap | None, out: Path) -> dict[str, Any]:
    case, folder = fitted.case, out / fitted.case.id
    for made in (folder, out / "transforms" / case.id, out / "pictures" / case.id):
        make_folder(made)
    files: dict[str, Any] = {}
    for name, one in fitted.files.items():
        volume = Volume(fitted.aligned(name), fitted.grid, one.volume.synthetic)
        write_volume(folder / f"{name}.nii.gz", volume, read_header(one.scan.path).description)
        transform = Path("transforms") / case.id / f"{name}.tfm"
        write_transform(out / transform, one.registration.matrix)
        if len(fitted.files) > 1:
            write_picture(out / "pictures" / case.id / f"align_{name}", picture_of(fitted, name))
        files[name] = {
            "source": str(one.scan.path.resolve()),
            "channel": one.scan.channel,
            "series_uid": one.scan.series_uid,
            "sha256": _sha256(one.scan.path),
            "grid": _grid_json(one.volume.geometry),
            "transform": str(transform),
            "matrix": one.registration.matrix.tolist(),
            "before": one.registration.before,
            "after": one.registration.after,
            "moved_mm": round(one.registration.moved_mm, 3),
        }
    entry = {
        "subject": case.subject,
        "session": case.session,
        "clinical": case.clinical,
        "reference": fitted.reference,
        "grid": _grid_json(fitted.grid),
        "files": files,
    }
    if case.label is not None and label_map is not None:
        entry["label"] = _write_label(fitted, case.label, label_map, folder)
    return entry


def _write_label(fitted: FittedCase, scan: ScanFile, label: LabelMap, folder: Path) -> dict[str, Any]:
    """Write the label map with the movement of the modality it was drawn on: the one on its own grid."""
    on = next((name for name, one in fitted.files.items() if same_voxels(one.volume.geometry, label.geometry)), None)
    # A label map on a grid of its own lies where the reference does: nothing else is known of it.
    name = on or next(iter(fitted.files))
    laid = laid_on_fixed(label.geometry, fitted.files[name].registration.matrix)
    moved = replace(label, array=resample_labels(label.array, laid, fitted.grid), geometry=fitted.grid)
    write_label_map(folder / "seg.nii.gz", moved)
    return {"source": str(scan.path.resolve()), "sha256": _sha256(scan.path), "moves_with": name}


def _notes(fitted: FittedCase, method: Method) -> list[str]:
    if method == "resample":
        return []
    return [
        f"'{fitted.case.id}': no movement makes {name} fit better, so it stays where its file says it is"
        for name, one in fitted.files.items()
        if name != fitted.reference and one.registration.after is None
    ]


def background(array: np.ndarray) -> float:
    """Return the value round the body: what lies beyond a scan's edge should look like that, not like tissue."""
    outside = ~find_foreground(np.nan_to_num(array))
    return float(np.median(array[outside])) if outside.any() else float(np.nanmin(array))


def _coarse(grid: Geometry) -> Geometry:
    edge = max(np.array(grid.shape) * grid.spacing_mm) / _PICTURED
    step = np.maximum(1, np.round(edge / np.array(grid.spacing_mm)))
    move = np.diag([*step, 1.0])
    move[:3, 3] = (step - 1) / 2
    z, y, x = (max(1, int(n // s)) for n, s in zip(grid.shape, step, strict=True))
    return Geometry((z, y, x), grid.affine @ move)


def _grid_json(geometry: Geometry) -> dict[str, Any]:
    return {"shape": list(geometry.shape), "affine": geometry.affine.tolist()}


def _sha256(path: Path) -> str | None:
    """Return the hash of a file; of the folder of a series, that of its files in the order of their names."""
    told = hashlib.sha256()
    try:
        for file in [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file()):
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    told.update(block)
    except OSError:
        return None
    return told.hexdigest()
