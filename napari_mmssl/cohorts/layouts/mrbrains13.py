"""MRBrainS13: ``TrainingData/1/{T1,T1_1mm,T1_IR,T2_FLAIR,LabelsForTraining,LabelsForTesting}.nii``.

``LabelsForTesting`` holds what the challenge measures (1 cerebrospinal fluid, 2 grey and 3 white matter);
``LabelsForTraining`` parts these further. ``T1_1mm`` lies on a grid of its own.
"""

from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in, images_in
from napari_mmssl.cohorts.found import FoundCase, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.trees import by_ending, said_left_out

SPECIFICITY = 4
_ENDINGS = {
    "t1": "t1",
    "t1_1mm": "t1",
    "t1_ir": "t1ir",
    "t2_flair": "flair",
    "labelsfortesting": "label",
    "labelsfortraining": "label in more classes",
}
#: Together these three are MRBrainS13's and nobody else's.
_MARKS = {"t1_1mm", "t1_ir", "t2_flair"}
_PARTS = ("TrainingData", "TestData")
#: Of LabelsForTesting.
_TISSUES = {1: "cerebrospinal fluid", 2: "grey matter", 3: "white matter"}


@layouts.register("mrbrains13", summary="MRBrainS13 (TrainingData/1/T1_1mm.nii)", source="doi:10.1155/2015/813696")
def mrbrains13(root: Path) -> Recognised | None:
    """Recognise folders of which one holds ``T1_1mm``, ``T1_IR`` and ``T2_FLAIR``."""
    if root.is_file():
        return None
    folders = [("", root)] if _is_case(root) else [("", folder) for folder in folders_in(root) if _is_case(folder)]
    for part in _PARTS:
        if (root / part).is_dir():
            folders += [(part, folder) for folder in folders_in(root / part) if _is_case(folder)]
    if not folders:
        return None
    found, left = [], []
    for part, folder in folders:
        case, unknown = _read(folder, part)
        found.append(case)
        left += unknown
    reasons = [f"{len(found)} folders hold T1_1mm, T1_IR and T2_FLAIR, as MRBrainS13 names them", *said_left_out(left)]
    labels = [case.label.path.name for case in found if case.label]
    plain = bool(labels) and all(name.lower().startswith("labelsfortesting") for name in labels)
    return Recognised(SPECIFICITY, tuple(reasons), tuple(found), label_names=_TISSUES if plain else {})


def _is_case(folder: Path) -> bool:
    return {path.name.lower().partition(".")[0] for path in images_in(folder)} >= _MARKS


def _read(folder: Path, part: str) -> tuple[FoundCase, list[str]]:
    modalities, labels, unknown = by_ending(images_in(folder), "", _ENDINGS)
    label = labels.get("label") or labels.get("label in more classes")
    findings = []
    if len(labels) > 1:
        text = "LabelsForTesting (fluid, grey, white) is used; LabelsForTraining parts the same tissue further"
        findings.append(Finding("label_candidates", text))
    # People of both parts are numbered from 1 on.
    name = folder.resolve().name
    name = f"{part}_{name}" if part else name
    return FoundCase(name, name, modalities, label, findings=tuple(findings)), unknown
