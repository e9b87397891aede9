"""What ``mmssl align`` wrote: a folder per case, and ``align.json`` with what the source said of each."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case_folder import case_folders, read_case_folder
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.errors import LayoutError

SPECIFICITY = 6
#: File in an aligned cohort that says how each file came about.
RECORD = "align.json"


@layouts.register("aligned", summary="What mmssl align wrote (align.json)")
def aligned(root: Path) -> Recognised | None:
    """Recognise a folder in which an ``align.json`` lies.

    Persons, visits, clinical values and the meaning of labels are those of the cohort that was aligned. Label maps and
    cases that were put there since count too.

    Raises
    ------
    LayoutError
        If that file is damaged.
    """
    path = root / RECORD
    if root.is_file() or not path.is_file():
        return None
    record = read_json(path)
    try:
        said = {str(case): dict(entry) for case, entry in record["cases"].items()}
        names = {int(value): str(name) for value, name in record.get("label_names", {}).items()}
        cases = tuple(_case(folder, group, images, said) for group, folder, images in case_folders(root))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LayoutError(f"'{path}' is damaged ({error!r}); align the cohort again") from error
    reason = f"{RECORD} says how {len(said)} of the {len(cases)} cases were laid on '{record.get('to')}'"
    coding = str(record.get("label_coding") or "")
    return Recognised(SPECIFICITY, (reason,), cases, label_names=names, label_coding=coding) if cases else None


def _case(folder: Path, group: str, images: list[Path], said: Mapping[str, dict[str, Any]]) -> FoundCase:
    entry = said.get(folder.name)
    if entry is None:
        return read_case_folder(folder, group, images)
    # A manifest may have given a modality a name of its own, by which no other layout would know the file.
    written = {name: folder / f"{name}.nii.gz" for name in entry["files"]}
    found = read_case_folder(folder, group, [path for path in images if path not in written.values()])
    files = {name: FoundFile(path, why="mmssl align wrote it") for name, path in written.items() if path in images}
    clinical = {key: value for key, value in entry.get("clinical", {}).items() if isinstance(value, str | int | float)}
    return replace(
        found,
        subject=str(entry.get("subject") or found.subject),
        session=str(entry.get("session") or found.session),
        modalities={**found.modalities, **files},
        clinical=clinical,
    )
