"""One folder per modality: ``t1/case1.nii.gz``, ``flair/case1.nii.gz``, ``labels/case1.nii.gz``."""

import re
from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import images_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised, session_of, subject_of
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.modalities import canonical
from napari_mmssl.cohorts.trees import names_in
from napari_mmssl.volumes.image_files import stem

SPECIFICITY = 2
_LABELS = re.compile(r"(?:seg|segm|segmentation|label|mask|annotation)s?|gt|ground[-_ ]?truth|truth", re.IGNORECASE)
_LABEL_ENDING = re.compile(r"[-_. ]+(?:seg|segm|segmentation|label|mask|msk|gt)s?$", re.IGNORECASE)


@layouts.register("folder_per_modality", summary="One folder per modality, files named after cases")
def folder_per_modality(root: Path) -> Recognised | None:
    """Recognise folders named after modalities, two at least, or one and one for label maps."""
    if root.is_file():
        return None
    folders = {name: what for name in names_in(root) if (what := _what(name)) is not None}
    folders = {name: what for name, what in folders.items() if (root / name).is_dir() and images_in(root / name)}
    modalities = [what for what in folders.values() if what != "label"]
    if not modalities or len(folders) < 2 or len(set(folders.values())) < len(folders):
        return None
    found: dict[str, dict[str, list[Path]]] = {}
    for name, what in folders.items():
        for path in images_in(root / name):
            found.setdefault(_case_name(path, what), {}).setdefault(what, []).append(path)
    cases = tuple(_case(name, files) for name, files in found.items())
    counts = ", ".join(f"{name}: {len(images_in(root / name))}" for name in folders)
    reasons = (
        f"{len(folders)} folders are named after modalities or label maps ({counts})",
        "files of one name in them are taken for one person",
    )
    return Recognised(SPECIFICITY, reasons, cases)


def _what(folder: str) -> str | None:
    """Return the modality a folder is named after, or ``label``."""
    return "label" if _LABELS.fullmatch(folder) else canonical(folder)


def _case_name(path: Path, what: str) -> str:
    """Return the name of a file without what its folder says already: ``case1`` of ``flair/case1_flair``."""
    name = stem(path)
    if what == "label":
        return _LABEL_ENDING.sub("", name)
    words = re.split(r"([-_. ]+)", name)
    for n in range(len(words) - 1, 0, -2):
        if canonical("".join(words[n:])) == what and n >= 2:
            return "".join(words[: n - 1])
    return name


def _case(name: str, files: dict[str, list[Path]]) -> FoundCase:
    chosen: dict[str, FoundFile] = {}
    findings = []
    for what, paths in files.items():
        if len(paths) == 1:
            chosen[what] = FoundFile(paths[0], why=f"it lies in the folder '{paths[0].parent.name}'")
            continue
        names = ", ".join(f"'{path.name}'" for path in paths)
        kind = "label_candidates" if what == "label" else "missing_modality"
        findings.append(Finding(kind, f"{names} may all be {what}, and none is used"))
    label = chosen.pop("label", None)
    return FoundCase(name, subject_of(name), chosen, label, findings=tuple(findings), session=session_of(name))
