"""nnU-Net: ``imagesTr/CASE_0000.nii.gz``, one file per channel, named in ``dataset.json``."""

from pathlib import Path

from napari_mmssl.cohorts.case_folder import images_in
from napari_mmssl.cohorts.dataset_json import (
    CHANNEL_FILE,
    FILE_NAME,
    read_channels,
    read_dataset_json,
    read_label_names,
)
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 3


@layouts.register("nnunet", summary="nnU-Net (dataset.json, one _0000 file per channel)", source="arXiv:1809.10486")
def nnunet(root: Path) -> Recognised | None:
    """Recognise ``imagesTr`` (or ``imagesTs``) with files that end in ``_0000``, or the ``dataset.json`` beside it.

    Raises
    ------
    LayoutError
        If there are such files and nothing says what the channels are.
    """
    root = root.parent if root.name == FILE_NAME else root
    if root.is_file():
        return None
    cases = {folder: _channel_files(root / folder) for folder in ("imagesTr", "imagesTs")}
    if not any(cases.values()):
        return None
    data = read_dataset_json(root) or {}
    named = data.get("channel_names", data.get("modality"))
    if named is None:
        raise LayoutError(
            f"'{root}' lies as nnU-Net wants it, but no {FILE_NAME} with 'channel_names' says what _0000 is"
        )
    channels = read_channels(root, named)
    names = ", ".join(modality or "?" for modality in channels.modalities)
    reasons = (
        "imagesTr or imagesTs hold files that end in _0000, as nnU-Net names them",
        f"{FILE_NAME} names the channels: {names}",
    )
    found = []
    for folder, of_case in cases.items():
        labels = _label_files(root / folder.replace("images", "labels"))
        for name, files in of_case.items():
            modalities = {
                modality: FoundFile(files[n], why=f"channel {n} of {FILE_NAME} is {modality}")
                for n, modality in enumerate(channels.modalities)
                if modality is not None and n in files
            }
            label = labels.get(name)
            found.append(FoundCase(name, subject_of(name), modalities, label, findings=channels.findings, group=folder))
    return Recognised(SPECIFICITY, reasons, tuple(found), label_names=read_label_names(data))


def _channel_files(folder: Path) -> dict[str, dict[int, Path]]:
    """Return, per case, channel number to file."""
    cases: dict[str, dict[int, Path]] = {}
    for path in images_in(folder) if folder.is_dir() else []:
        parts = CHANNEL_FILE.fullmatch(stem(path))
        if parts:
            cases.setdefault(parts.group(1), {})[int(parts.group(2))] = path
    return cases


def _label_files(folder: Path) -> dict[str, FoundFile]:
    return (
        {stem(path): FoundFile(path, why=f"it lies in {folder.name}") for path in images_in(folder)}
        if folder.is_dir()
        else {}
    )
