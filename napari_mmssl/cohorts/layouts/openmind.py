"""OpenMind's ``pretrain_data.json``: collection > datasets > subjects > sessions > images, as nnssl reads it.

Keys as in github.com/MIC-DKFZ/nnssl, ``src/nnssl/data/raw_dataset.py``.

Paths in it may start with ``$nnssl_raw``: the variable of that name is used if it is set, and otherwise the folder
above the one the file lies in, where it stands for that.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.cohorts.trees import unwrapped
from napari_mmssl.errors import LayoutError

SPECIFICITY = 6
FILE_NAME = "pretrain_data.json"


@layouts.register("openmind", summary="OpenMind (pretrain_data.json)", source="arXiv:2412.17041")
def openmind(root: Path) -> Recognised | None:
    """Recognise the file, or the folder it lies in."""
    folder = unwrapped(root, lambda place: (place / FILE_NAME).is_file()) if root.is_dir() else None
    path = folder / FILE_NAME if folder else root
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    data = read_json(path)
    if "datasets" not in data:
        if path.name == FILE_NAME:
            raise LayoutError(f"'{path}' is damaged: it names no 'datasets'")
        return None
    try:
        cases = tuple(_cases(data, path))
    except (TypeError, KeyError, AttributeError) as error:
        raise LayoutError(f"'{path}' is damaged: its lists of subjects and images cannot be read") from error
    n_images = sum(len(case.modalities) for case in cases)
    reasons = (
        f"{path.name} lists {len(data['datasets'])} dataset(s) of subjects, sessions and images, as OpenMind does",
        f"{n_images} images of {len(cases)} sessions are used, one of each modality",
    )
    return Recognised(SPECIFICITY, reasons, cases)


def _cases(data: dict[str, Any], path: Path) -> Iterator[FoundCase]:
    for index, dataset in data["datasets"].items():
        for subject, person in dataset["subjects"].items():
            for session, visit in person["sessions"].items():
                modalities, findings = _images(visit["images"], path)
                name = "_".join(str(part) for part in (index, subject, session))
                clinical = _clinical({**(person.get("subject_info") or {}), **(visit.get("session_info") or {})})
                who = f"{index}_{subject}"
                yield FoundCase(name, who, modalities, None, clinical, tuple(findings), str(index), str(session))


def _images(images: list[dict[str, Any]], path: Path) -> tuple[dict[str, FoundFile], list[Finding]]:
    modalities: dict[str, FoundFile] = {}
    findings = []
    for image in sorted(images, key=lambda one: str(one["image_path"])):
        named = str(image["modality"])
        modality = canonical(named)
        if modality is None:
            text = f"'{image['name']}' is left out: '{named}' is no modality that is known"
            findings.append(Finding("missing_modality", text))
        elif modality in modalities:
            findings.append(Finding("missing_modality", f"'{image['name']}' is left out: another {modality}"))
        else:
            modalities[modality] = FoundFile(_place(str(image["image_path"]), path), why=f"listed as {named}")
    return modalities, findings


def _place(written: str, path: Path) -> Path:
    if written.startswith("$"):
        variable, _, rest = written[1:].partition("/")
        base = os.environ.get(variable)
        return (Path(base) if base else path.resolve().parent.parent) / rest
    return path.parent / written


def _clinical(info: dict[str, Any]) -> dict[str, Any]:
    age, sex = info.get("age"), str(info.get("sex", "")).upper()[:1]
    clinical: dict[str, Any] = {}
    if isinstance(age, int | float) and 0 < age < 130:
        clinical["age_years"] = float(age)
    if sex in ("M", "F"):
        clinical["sex"] = sex
    return clinical
