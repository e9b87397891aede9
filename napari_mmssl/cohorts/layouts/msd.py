"""Medical Segmentation Decathlon: 4-D files in ``imagesTr``, ``dataset.json`` with ``modality`` and ``training``."""

from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case_folder import images_in
from napari_mmssl.cohorts.dataset_json import FILE_NAME, Channels, read_channels, read_dataset_json, read_label_names
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.errors import LayoutError
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 3


@layouts.register("msd", summary="Medical Segmentation Decathlon (dataset.json, 4-D files)", source="arXiv:1902.09063")
def msd(root: Path) -> Recognised | None:
    """Recognise a ``dataset.json`` that has ``modality`` and an ``imagesTr`` of one file per case, or its folder."""
    root = root.parent if root.name == FILE_NAME else root
    if root.is_file():
        return None
    data = read_dataset_json(root)
    if data is None or "modality" not in data or "channel_names" in data:
        return None
    if any(stem(path).endswith("_0000") for path in _images(root, "imagesTr")):
        return None  # the first nnU-Net also said 'modality', with one file per channel
    channels = read_channels(root, data["modality"])
    pairs = _pairs(root, data)
    names = ", ".join(modality or "?" for modality in channels.modalities)
    reasons = (
        f"{FILE_NAME} names 'modality' ({names}), as the Medical Segmentation Decathlon does",
        f"imagesTr holds one file per case, with {len(channels.modalities)} channel(s) each",
    )
    cases = tuple(_case(image, label, channels) for image, label in pairs)
    return Recognised(SPECIFICITY, reasons, cases, label_names=read_label_names(data))


def _images(root: Path, folder: str) -> list[Path]:
    return images_in(root / folder) if (root / folder).is_dir() else []


def _pairs(root: Path, data: dict[str, Any]) -> list[tuple[Path, Path | None]]:
    """Return image and label map of each case, as ``dataset.json`` lists them or, if it does not, as they lie there."""
    if "training" not in data:
        return [
            (image, label if (label := root / labels / image.name).exists() else None)
            for images, labels in (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs"))
            for image in _images(root, images)
        ]
    try:
        trained = [(root / entry["image"], root / entry["label"]) for entry in data["training"]]
        tested = [root / (entry["image"] if isinstance(entry, dict) else entry) for entry in data.get("test") or []]
    except (TypeError, KeyError) as error:
        raise LayoutError(f"'{root / FILE_NAME}' is damaged: its lists of images cannot be read") from error
    return [*trained, *((image, None) for image in tested)]


def _case(image: Path, label: Path | None, channels: Channels) -> FoundCase:
    several = len(channels.modalities) > 1
    modalities = {
        modality: FoundFile(image, n if several else None, why=f"channel {n} of {FILE_NAME} is {modality}")
        for n, modality in enumerate(channels.modalities)
        if modality is not None
    }
    return FoundCase(
        stem(image),
        subject_of(stem(image)),
        modalities,
        FoundFile(label, why=f"the label map that belongs to {image.name}") if label else None,
        findings=channels.findings,
        group=image.parent.name,
    )
