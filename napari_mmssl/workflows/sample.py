"""Write a sample cohort: made-up people to try everything on, without a download."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_mmssl.atomic import make_folder, write_json, write_text
from napari_mmssl.cohorts.phantom_mark import NOTE_NAME, PHANTOM_MARK
from napari_mmssl.cohorts.phantoms import Phantom, PhantomCase, phantoms
from napari_mmssl.errors import ConfigError, WriteError
from napari_mmssl.volumes.image_files import classes_file, write_volume
from napari_mmssl.volumes.label_classes import write_classes
from napari_mmssl.volumes.volume import Volume

_MOST_CASES = 999


def make_sample(
    organ: str,
    out: Path,
    cases: int,
    seed: int,
    spacing_mm: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a sample cohort as one folder per case, with its clinical table and a note that it is a phantom.

    Parameters
    ----------
    organ
        Name of a registered phantom, such as ``glioma``.
    out
        A folder that does not exist yet, or an empty one.
    cases
        How many people, 1 to 999.
    seed
        Not negative; the same seed gives the same people.
    spacing_mm
        About the edge of a voxel; ``None``: what suits the phantom.
    progress
        Told how many of how many cases are done.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ConfigError
        If there is no such phantom, or a number is out of range.
    WriteError
        If ``out`` holds something already or cannot be written.
    """
    phantom = phantoms.get(organ)
    spacing_mm = phantom.spacing_mm if spacing_mm is None else spacing_mm
    _check(cases, seed, spacing_mm, phantom.spacings_mm)
    _make_empty(out)
    note: dict[str, Any] = {
        "generator": organ,
        "version": phantom.version,
        "clinical_version": phantom.clinical_version,
        "seed": seed,
        "cases": cases,
        "spacing_mm": spacing_mm,
        "made_from": phantom.made_from,
        "warning": "made-up people, for trying out and testing; nothing learned on them says anything about patients",
    }
    # First of all: even a cohort cut short says what it is.
    write_json(out / NOTE_NAME, {**note, "people": {}})
    people, clinical = {}, []
    for index in range(cases):
        case = phantom.make_case(index, seed, spacing_mm)
        _write_case(out / case.id, case, phantom, f"{PHANTOM_MARK} {organ} v{phantom.version}, seed {seed}")
        people[case.id] = case.facts
        clinical.append((case.id, case.clinical))
        if progress is not None:
            progress(index + 1, cases)
    for name, rows in phantom.tables(clinical).items():
        _write_table(out / name, rows)
    write_json(out / NOTE_NAME, {**note, "people": people})
    return out


def _check(cases: int, seed: int, spacing_mm: float, spacings_mm: tuple[float, float]) -> None:
    if not 1 <= cases <= _MOST_CASES:
        raise ConfigError(f"a sample cohort has 1 to {_MOST_CASES} cases, not {cases}")
    if seed < 0:
        raise ConfigError(f"a seed is 0 or more, not {seed}")
    finest, coarsest = spacings_mm
    if not finest <= spacing_mm <= coarsest:
        raise ConfigError(f"the spacing of a sample cohort is {finest:g} to {coarsest:g} mm, not {spacing_mm:g}")


def _make_empty(out: Path) -> None:
    make_folder(out)
    try:
        is_taken = any(out.iterdir())
    except OSError as error:
        raise WriteError(f"cannot look into '{out}': {error.strerror or error}") from error
    if is_taken:
        raise WriteError(f"'{out}' is not empty; choose another folder for the sample cohort")


def _write_case(folder: Path, case: PhantomCase, phantom: Phantom, description: str) -> None:
    make_folder(folder)
    # The label map too goes out as a volume, because only a volume takes a description.
    for name, array in {**case.volumes, "seg": case.label}.items():
        write_volume(folder / f"{name}.nii.gz", Volume(array, case.geometry), description)
    write_classes(classes_file(folder / "seg.nii.gz"), phantom.classes)


def _write_table(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    delimiter = "\t" if path.suffix == ".tsv" else ","
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
