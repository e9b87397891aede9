"""``dataset.json``, which both nnU-Net and the Medical Segmentation Decathlon put beside their images."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.json_files import read_json
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.errors import LayoutError

FILE_NAME = "dataset.json"
#: How nnU-Net names the file of one channel of a case.
CHANNEL_FILE = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Channels:
    """What the channels of a cohort are.

    Parameters
    ----------
    modalities
        Canonical name of each channel; ``None`` where the name is not known or is there twice.
    findings
        What is not known, for each case.
    """

    modalities: tuple[str | None, ...]
    findings: tuple[Finding, ...]


def read_dataset_json(root: Path) -> dict[str, Any] | None:
    """Return the contents of ``root``'s ``dataset.json``; ``None`` if there is none.

    Raises
    ------
    LayoutError
        If it is there and is no JSON object.
    """
    path = root / FILE_NAME
    return read_json(path) if path.is_file() else None


def read_channels(root: Path, named: Any) -> Channels:
    """Return the channels that ``channel_names`` or ``modality`` of a ``dataset.json`` names.

    Raises
    ------
    LayoutError
        If they are not counted from ``"0"`` on.
    """
    if isinstance(named, list):
        named = {str(n): name for n, name in enumerate(named)}
    if not isinstance(named, dict) or sorted(named) != sorted(str(n) for n in range(len(named))) or not named:
        raise LayoutError(f"'{root / FILE_NAME}' does not name its channels from \"0\" on")
    names = [str(named[str(n)]) for n in range(len(named))]
    modalities = [canonical(name) for name in names]
    findings = []
    for n, (name, modality) in enumerate(zip(names, modalities, strict=True)):
        if modality is None:
            findings.append(
                f"channel {n} is left out: {FILE_NAME} calls it '{name}', which is no modality that is known"
            )
        elif modalities.count(modality) > 1:
            findings.append(f"channel {n} is left out: {FILE_NAME} calls more than one channel {modality}")
    return Channels(
        tuple(modality if modalities.count(modality) == 1 else None for modality in modalities),
        tuple(Finding("missing_modality", text) for text in findings),
    )


def read_label_names(data: dict[str, Any]) -> dict[int, str]:
    """Return what the values of the label maps mean, as ``labels`` of a ``dataset.json`` says; background left out.

    The Decathlon writes ``{"1": "edema"}``, nnU-Net ``{"edema": 1}``; nnU-Net's regions, which are lists of values,
    and whatever else is no whole number, name no value.
    """
    labels = data.get("labels")
    names: dict[int, str] = {}
    for key, value in labels.items() if isinstance(labels, dict) else ():
        number, name = (key, value) if isinstance(value, str) else (value, key)
        if isinstance(name, str) and str(number).isdigit() and 0 < int(number) < 1 << 16:
            names[int(number)] = name
    return names
