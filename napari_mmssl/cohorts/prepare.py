"""Prepare cases for a network: one axis order, one spacing, the body alone, comparable intensities.

numpy and scipy only: the viewer builds its puzzles from the same prepared cases.
"""

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from napari_mmssl.atomic import write_json
from napari_mmssl.cohorts.cache_budget import HEAD, aside, budget_bytes, make_room, mark_used
from napari_mmssl.cohorts.case import Case, ScanFile
from napari_mmssl.cohorts.reading import read_label, read_scan
from napari_mmssl.errors import ConfigError, GeometryError, ReadError, WriteError
from napari_mmssl.volumes.dicom_series import list_files
from napari_mmssl.volumes.foreground import bounding_box, find_foreground
from napari_mmssl.volumes.geometry import Geometry, Reorientation, to_canonical, two_grids
from napari_mmssl.volumes.reindex import in_order_of, same_voxels
from napari_mmssl.volumes.resample import cropped, resample, with_spacing
from napari_mmssl.volumes.volume import LabelMap, Volume

#: Goes up whenever a prepared case would come out differently.
PREPARED_VERSION = 1
_MARGIN = 2
_CLIP = 5.0
#: Cases stored between two looks at how full the cache is.
_LOOK_EVERY = 50

Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """One case as a network sees it.

    Parameters
    ----------
    id, subject
        As in the case.
    modalities
        Names of the channels of ``volumes``.
    volumes
        Intensities ``(K, D, H, W)`` float32, about -5 to 5, 0 outside the body; axes run to S, A, R.
    foreground
        Where any modality shows the body; ``(D, H, W)`` boolean.
    label
        Label values as in the file, ``(D, H, W)``, or ``None``.
    geometry
        The prepared grid.
    source
        The grid of the files, to which results go back.
    synthetic
        Those of ``modalities`` that a network made.
    """

    id: str
    subject: str
    modalities: tuple[str, ...]
    volumes: np.ndarray
    foreground: np.ndarray
    label: np.ndarray | None
    geometry: Geometry
    source: Geometry
    synthetic: tuple[str, ...] = ()

    @property
    def reorientation(self) -> Reorientation:
        """From the file's axis order to the prepared one."""
        return to_canonical(self.source)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: of an array that is mapped from a file, the file.

        Loader processes that are not forked (macOS, Windows, and Linux from Python 3.14 on) get cases in this way. With
        the arrays each of them would hold the whole cohort in memory.
        """
        return {name: _MappedFile(value.filename) if _is_mapped(value) else value for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the files again."""
        vars(self).update({name: one.mapped() if isinstance(one, _MappedFile) else one for name, one in state.items()})


@dataclass(frozen=True)
class _MappedFile:
    path: str

    def mapped(self) -> np.ndarray:
        array: np.ndarray = np.load(self.path, mmap_mode="r")
        return array


def _is_mapped(value: Any) -> bool:
    """Whether ``value`` is all of a file that is still there, and no part or copy of it."""
    base: Any = getattr(value, "base", None)  # of a part it is the array that it is a part of
    return isinstance(value, np.memmap) and isinstance(base, mmap.mmap) and os.path.isfile(str(value.filename))


def prepare_case(case: Case, spacing_mm: Spacing | None, *, with_label: bool = True) -> PreparedCase:
    """Read and prepare ``case``.

    Parameters
    ----------
    case
        Its modalities must lie on one grid; the order of its axes may differ from file to file.
    spacing_mm
        Spacing along (S, A, R) to resample to; ``None`` keeps the case's own.
    with_label
        Whether to read the label map too.

    Raises
    ------
    GeometryError
        If the modalities, or the label map, lie on different grids.
    ReadError
        If a file cannot be read.
    """
    names = tuple(sorted(case.modalities))
    if not names:
        raise ReadError(f"case '{case.id}' has no modality that can be read")
    check_one_grid(case, with_label=with_label)
    source = case.modalities[names[0]].geometry
    turn = to_canonical(source)
    canonical = turn.apply_to(source)
    target = canonical if spacing_mm is None else with_spacing(canonical, spacing_mm)
    raw = [turn.apply(_in_order(read_scan(case.modalities[name]), source)) for name in names]
    for name, array in zip(names, raw, strict=True):
        if not np.isfinite(array).any():
            raise ReadError(f"'{name}' of case '{case.id}' holds no finite intensity")
    raw = [np.nan_to_num(array, posinf=0.0, neginf=0.0) for array in raw]
    masks = [find_foreground(array) for array in raw]
    volumes = [resample(_normalised(array, mask), canonical, target) for array, mask in zip(raw, masks, strict=True)]
    foreground = resample(np.logical_or.reduce(masks).astype(np.float32), canonical, target) >= 0.5
    label = None
    if with_label and case.label is not None:
        label = resample(turn.apply(_in_order(read_label(case.label), source)), canonical, target, order=0)
    box = bounding_box(foreground, _MARGIN)
    return PreparedCase(
        case.id,
        case.subject,
        names,
        np.stack([volume[box] for volume in volumes]).astype(np.float32),
        foreground[box],
        None if label is None else np.ascontiguousarray(label[box]),
        cropped(target, box),
        source,
        _synthetic(case, names),
    )


def _in_order(file: Volume | LabelMap, source: Geometry) -> np.ndarray:
    return in_order_of(file.array, file.geometry, source)


def _synthetic(case: Case, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if case.modalities[name].synthetic)


def known_modalities(case: Case, known: Collection[str]) -> Case:
    """Return ``case`` with only those modalities that a network knows.

    Raises
    ------
    ConfigError
        If none is left.
    GeometryError
        If those left lie on different grids.
    """
    kept = case.only(known)
    if not kept.modalities:
        raise ConfigError(
            f"case '{case.id}' has {', '.join(sorted(case.modalities)) or 'no modality'}; "
            f"the network knows {', '.join(known)}"
        )
    check_one_grid(kept, with_label=False)
    return kept


def check_one_grid(case: Case, *, with_label: bool = True) -> None:
    """Raise :class:`GeometryError` unless all of a case's files hold the same voxels, in whatever order."""
    files: dict[str, ScanFile] = dict(case.modalities)
    if with_label and case.label is not None:
        files["label"] = case.label
    first, *others = files or [""]
    for name in others:
        one, other = files[first].geometry, files[name].geometry
        if not same_voxels(one, other):
            raise GeometryError(
                f"case '{case.id}': {two_grids(name, other, first, one)}; "
                f"put them on one grid first: mmssl align FOLDER --to {first if first != 'label' else name} --out DIR"
            )


def _normalised(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return z-scores over the foreground, outliers clipped, 0 outside it."""
    values = array[mask].astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    core = values[(values >= low) & (values <= high)]
    mean, spread = (float(core.mean()), float(core.std())) if core.size else (0.0, 1.0)
    scores = (array.astype(np.float32) - mean) / (spread or 1.0)
    return np.where(mask, np.clip(scores, -_CLIP, _CLIP), np.float32(0))


# -- the cache on disk ----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return where prepared cases are kept: ``$MMSSL_HOME/cache`` or the user's cache folder."""
    home = os.environ.get("MMSSL_HOME")
    return Path(home) / "cache" if home else Path(platformdirs.user_cache_dir("napari-mmssl"))


def prepare_cohort(
    cases: Sequence[Case],
    spacing_mm: Spacing | None,
    *,
    with_label: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
    unreadable: Callable[[Case, ReadError], None] | None = None,
) -> list[PreparedCase]:
    """Prepare ``cases``, keeping the results on disk; arrays are mapped from there, not held in memory.

    What is kept of other cases is deleted, longest unused first, when the budget is spent; see
    :mod:`napari_mmssl.cohorts.cache_budget`.

    Parameters
    ----------
    cases, spacing_mm, with_label
        As in :func:`prepare_case`.
    progress
        Called with (cases done, cases in all).
    unreadable
        Called with a case that cannot be read, which is then left out; without it the error is raised.
    """
    cache, budget = cache_folder() / "prepared", budget_bytes()
    folders = [cache / _key(case, spacing_mm, with_label) for case in cases]
    prepared, stored = [], 0
    for done, (case, folder) in enumerate(zip(cases, folders, strict=True), start=1):
        if not (folder / HEAD).is_file():
            if stored % _LOOK_EVERY == 0:
                make_room(cache, budget, folders)
            stored += 1
        try:
            prepared.append(_cached(case, folder, spacing_mm, with_label))
        except ReadError as error:
            if unreadable is None:
                raise
            unreadable(case, error)
        progress(done, len(cases))
    if stored:
        make_room(cache, budget, folders)
    return prepared


def _cached(case: Case, folder: Path, spacing_mm: Spacing | None, with_label: bool) -> PreparedCase:
    for _ in range(2):  # another process may make room between the look and the reading
        if not (folder / HEAD).is_file():
            _store(prepare_case(case, spacing_mm, with_label=with_label), folder)
        mark_used(folder)
        with suppress(FileNotFoundError):
            return _load(folder, case)
    raise ReadError(f"'{folder}' is deleted while it is read; give prepared cases more room with MMSSL_CACHE_GB")


def _key(case: Case, spacing_mm: Spacing | None, with_label: bool) -> str:
    files = dict(case.modalities)
    if with_label and case.label is not None:
        files["label"] = case.label
    told: list[object] = [PREPARED_VERSION, spacing_mm]
    for name, scan in sorted(files.items()):
        if scan.path.is_dir():
            # Several series may share a folder, and files in it may be replaced without its own date changing.
            told.append(
                [name, str(scan.path.resolve()), scan.channel, scan.series_uid, scan.coding, list_files(scan.path)]
            )
            continue
        stat = scan.path.stat()
        told.append([name, str(scan.path.resolve()), scan.channel, stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _store(prepared: PreparedCase, folder: Path) -> None:
    """Write aside and rename, so that two processes preparing one case do not meet half of it."""
    half = aside(folder)
    try:
        half.mkdir(parents=True, exist_ok=True)
        np.save(half / "volumes.npy", prepared.volumes)
        np.save(half / "foreground.npy", prepared.foreground)
        if prepared.label is not None:
            np.save(half / "label.npy", prepared.label)
        write_json(
            half / HEAD,
            {
                "modalities": prepared.modalities,
                "geometry": _geometry_table(prepared.geometry),
                "source": _geometry_table(prepared.source),
            },
        )
        try:
            os.replace(half, folder)
        except OSError:
            if not (folder / HEAD).is_file():  # or another process was quicker
                raise
    except OSError as error:
        raise WriteError(f"cannot keep prepared cases in '{folder.parent}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _load(folder: Path, case: Case) -> PreparedCase:
    head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
    has_label = (folder / "label.npy").is_file()
    return PreparedCase(
        case.id,
        case.subject,
        tuple(head["modalities"]),
        np.load(folder / "volumes.npy", mmap_mode="r"),
        np.load(folder / "foreground.npy", mmap_mode="r"),
        np.load(folder / "label.npy", mmap_mode="r") if has_label else None,
        Geometry(tuple(head["geometry"]["shape"]), np.array(head["geometry"]["affine"])),
        Geometry(tuple(head["source"]["shape"]), np.array(head["source"]["affine"])),
        _synthetic(case, head["modalities"]),
    )


def _geometry_table(geometry: Geometry) -> dict[str, list[float]]:
    return {"shape": list(geometry.shape), "affine": geometry.affine.tolist()}
