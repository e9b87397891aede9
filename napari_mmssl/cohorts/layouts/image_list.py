"""Lists of images as JSON: ``{"training": [{"image": [paths], "label": path}], "validation": [...]}``.

BrainMVP and TACO train from such lists; MONAI reads them too. The modality is what the name of a file ends in, or
the key it stands under (``{"t1": path, "flair": path, "label": path}``). Paths are relative to the list.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import sort_files
from napari_mmssl.cohorts.dataset_json import FILE_NAME
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, session_of, subject_of
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 5
PARTS = ("training", "validation", "test", "testing")
_OTHERS = ("datasets", "rows")


@layouts.register("image_list", summary="List of images (training, validation) as JSON", source="arXiv:2410.10604")
def image_list(root: Path) -> Recognised | None:
    """Recognise a JSON file with a list of entries under ``training``, ``validation`` or ``test``.

    Raises
    ------
    LayoutError
        If it is a JSON file and no list of images of any kind that is known.
    """
    if root.is_dir() or root.suffix.lower() != ".json":
        return None
    data = read_json(root)
    if any(key in data for key in _OTHERS):
        return None
    if root.name == FILE_NAME and ("modality" in data or "channel_names" in data):
        return None  # it describes the folder it lies in
    parts = [part for part in PARTS if isinstance(data.get(part), list)]
    if not parts:
        raise LayoutError(f"'{root}' is no list of images: nothing is listed under {', '.join(PARTS[:3])}")
    try:
        cases = [case for part in parts for case in _cases(data[part], part, root.parent)]
    except (TypeError, KeyError, AttributeError) as error:
        raise LayoutError(f"'{root}' is damaged: its entries have no 'image' with the path of a file") from error
    listed = ", ".join(f"{part}: {len(data[part])}" for part in parts)
    return Recognised(
        SPECIFICITY, (f"{root.name} lists images, one entry a case ({listed})",), tuple(_told_apart(cases))
    )


def _cases(entries: Sequence[Any], part: str, base: Path) -> Iterator[FoundCase]:
    for entry in entries:
        listed = entry if isinstance(entry, Mapping) else {"image": entry}
        images = _paths(listed["image"], base) if "image" in listed else []
        modalities, _, findings = sort_files(images, "") if images else ({}, None, ())
        for key, value in listed.items():
            modality = canonical(key)
            if modality is not None and isinstance(value, str):
                modalities[modality] = FoundFile(base / value, why=f"it stands under '{key}'")
        if not images and not modalities:
            raise KeyError("image")
        label, told = _label(listed.get("label"), base)
        name = _name([*images, *(file.path for file in modalities.values())])
        yield FoundCase(
            name, subject_of(name), modalities, label, findings=(*findings, *told), group=part, session=session_of(name)
        )


def _paths(value: Any, base: Path) -> list[Path]:
    paths = [value] if isinstance(value, str) else value
    if not all(isinstance(path, str) for path in paths):
        raise TypeError("a path is a text")
    return [base / path for path in paths]


def _label(value: Any, base: Path) -> tuple[FoundFile | None, tuple[Finding, ...]]:
    paths = _paths(value, base) if value else []
    if len(paths) > 1:
        names = ", ".join(f"'{path.name}'" for path in paths)
        return None, (Finding("label_candidates", f"{names} are listed as label maps, and none is used"),)
    return (FoundFile(paths[0], why="it stands under 'label'") if paths else None), ()


def _name(paths: Sequence[Path]) -> str:
    """Return what the names of the files start with, or the folder they lie in."""
    names = [stem(path).replace("-", "_").split("_") for path in paths]
    shared = []
    for words in zip(*names, strict=False):
        if len(set(words)) > 1 or canonical(words[0]):
            break
        shared.append(words[0])
    if not shared:
        return paths[0].parent.name or "case"
    # As it is written: separators count in ids.
    return stem(paths[0])[: len("_".join(shared))]


def _told_apart(cases: Sequence[FoundCase]) -> list[FoundCase]:
    """Return the cases; those whose files are called alike everywhere take the name of their folder."""
    times = Counter(case.id for case in cases)
    if all(n == 1 for n in times.values()):
        return list(cases)
    renamed = []
    for case in cases:
        first = next((file.path for file in case.modalities.values()), None)
        name = first.parent.name if times[case.id] > 1 and first is not None else case.id
        renamed.append(
            FoundCase(
                name, subject_of(name), case.modalities, case.label, {}, case.findings, case.group, session_of(name)
            )
        )
    return renamed
