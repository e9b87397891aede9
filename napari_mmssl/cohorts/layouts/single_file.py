"""One image file by itself: one case of one modality, or a label map."""

from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import sort_files
from napari_mmssl.cohorts.dataset_json import CHANNEL_FILE, FILE_NAME, read_channels, read_dataset_json
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.manifest_file import SUFFIXES
from napari_mmssl.cohorts.modalities import UNKNOWN
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 4
_LISTED = f"{FILE_NAME} above it names its channels"


@layouts.register("single_file", summary="One image file")
def single_file(root: Path) -> Recognised | None:
    """Recognise any file but a list; whether it can be read shows when its header is."""
    if not root.is_file() or root.suffix.lower() in SUFFIXES:
        return None
    listed = _listed_channels(root)
    if listed is not None:
        return Recognised(SPECIFICITY, (f"'{root.name}' is one file, named in the {FILE_NAME} above it",), (listed,))
    modalities, label, findings = sort_files([root], "")
    if modalities:
        reason = f"'{root.name}' is one file, and its name ends in a modality ({next(iter(modalities))})"
    elif label:
        reason = f"'{root.name}' is one file, and its name says that it is a label map"
    else:
        reason = f"'{root.name}' is one file, and its name does not end in a modality"
        modalities = {UNKNOWN: FoundFile(root, why="the one file that was asked for")}
        findings = (Finding("missing_modality", f"the name of '{root.name}' does not say which modality it is"),)
    name = stem(root)
    return Recognised(
        SPECIFICITY, (reason,), (FoundCase(name, subject_of(name), modalities, label, findings=findings),)
    )


def _listed_channels(path: Path) -> FoundCase | None:
    """Return the case of a file that lies in ``imagesTr`` or ``imagesTs`` under a ``dataset.json``."""
    folder = path.resolve().parent
    if folder.name not in ("imagesTr", "imagesTs"):
        return None
    data = read_dataset_json(folder.parent)
    named = None if data is None else data.get("channel_names", data.get("modality"))
    if named is None:
        return None
    channels = read_channels(folder.parent, named)
    name, several = stem(path), len(channels.modalities) > 1
    one = CHANNEL_FILE.fullmatch(name)
    if one and int(one.group(2)) < len(channels.modalities):
        name, modality = one.group(1), channels.modalities[int(one.group(2))]
        files = {modality: FoundFile(path, why=_LISTED)} if modality else {}
    else:
        files = {
            m: FoundFile(path, n if several else None, why=_LISTED) for n, m in enumerate(channels.modalities) if m
        }
    return FoundCase(name, subject_of(name), files, findings=channels.findings) if files else None
