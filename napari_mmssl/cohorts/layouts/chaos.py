"""CHAOS: ``Train_Sets/MR/1/T1DUAL/DICOM_anon/InPhase``, ``Train_Sets/CT/1/DICOM_anon``, pictures in ``Ground``.

**CT and MR are of different people**, whatever their numbers. The two phases of T1-DUAL are one scan; T2-SPIR is
another, on a grid of its own. Both have label maps; a case has one, and it is that of T1-DUAL.
"""

from pathlib import Path

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.case_folder import folders_in
from napari_mmssl.cohorts.found import FoundCase, FoundFile, Recognised
from napari_mmssl.cohorts.layouts import layouts
from napari_mmssl.cohorts.series_folder import open_pictures, open_series
from napari_mmssl.cohorts.trees import names_in
from napari_mmssl.volumes.dicom_series import DicomSeries
from napari_mmssl.volumes.mask_stack import CODINGS

SPECIFICITY = 4
_DICOM, _GROUND = "DICOM_anon", "Ground"
_MR = ("T1DUAL", "T2SPIR")
#: Folders above those of people, however the archives were unpacked; nothing else is looked into.
_LIKELY = {"mr", "ct", "train_sets", "test_sets", "chaos_train_sets", "chaos_test_sets", "chaos"}
_DEEPEST = 3

Opened = tuple[FoundFile | None, DicomSeries | None, list[Finding]]


@layouts.register("chaos", summary="CHAOS (CT and MR of different people)", source="arXiv:2001.06535")
def chaos(root: Path) -> Recognised | None:
    """Recognise people with ``T1DUAL`` or ``DICOM_anon`` below ``MR`` and ``CT``; only then are headers read."""
    if root.is_file():
        return None
    people = _people(root, _DEEPEST)
    if not people:
        return None
    cases = tuple(_mr_case(folder) if kind == "MR" else _ct_case(folder) for kind, folder in people)
    n = {kind: sum(other == kind for other, _ in people) for kind in ("MR", "CT")}
    reasons = [f"{n['MR']} people below MR and {n['CT']} below CT lie as in CHAOS"]
    if all(n.values()):
        reasons.append("CT and MR are of different people, even where their numbers are the same")
    names = {one.value: one.name for one, _ in CODINGS["chaos_mr"].ranges}
    return Recognised(SPECIFICITY, tuple(reasons), cases, label_names=names)


def _people(place: Path, deepest: int) -> list[tuple[str, Path]]:
    """Return the people below ``place`` and whether they are of the MR or the CT part."""
    kind = place.resolve().name.upper()
    if kind in ("MR", "CT"):
        wanted = set(_MR) if kind == "MR" else {_DICOM}
        found = [(kind, folder) for folder in folders_in(place) if wanted & set(names_in(folder))]
        if found:
            return found
    if deepest == 0:
        return []
    inside = [folder for folder in folders_in(place) if folder.name.lower() in _LIKELY]
    return [one for folder in inside for one in _people(folder, deepest - 1)]


def _mr_case(folder: Path) -> FoundCase:
    modalities: dict[str, FoundFile] = {}
    findings: list[Finding] = []
    opened: dict[str, Opened] = {}
    for modality, place in (
        ("t1in", f"T1DUAL/{_DICOM}/InPhase"),
        ("t1out", f"T1DUAL/{_DICOM}/OutPhase"),
        ("t2spir", f"T2SPIR/{_DICOM}"),
    ):
        if not (folder / place).is_dir():
            continue
        opened[modality] = open_series(folder / place, modality, why=f"it lies in {place}")
        findings += opened[modality][2]
        file = opened[modality][0]
        if file is not None:
            modalities[modality] = file
    label = None
    grounds = [(m, s) for m, s in (("t1in", "T1DUAL"), ("t2spir", "T2SPIR")) if (folder / s / _GROUND).is_dir()]
    if grounds and grounds[0][0] in opened:
        modality, scan = grounds[0]
        file, series, _ = opened[modality]
        label, told = open_pictures(folder / scan / _GROUND, series, file, "chaos_mr", f"drawn on {modality}")
        findings += told
    if len(grounds) > 1:
        text = "the label map of T1DUAL is used; that of T2SPIR, drawn on another grid, is left out"
        findings.append(Finding("label_candidates", text))
    return _named("MR", folder, modalities, label, findings)


def _ct_case(folder: Path) -> FoundCase:
    file, series, findings = open_series(folder / _DICOM, "ct", why=f"it lies in CT/{folder.name}/{_DICOM}")
    label = None
    if (folder / _GROUND).is_dir():
        label, told = open_pictures(folder / _GROUND, series, file, "chaos_ct", "drawn on ct")
        findings = [*findings, *told]
    return _named("CT", folder, {"ct": file} if file else {}, label, findings)


def _named(
    kind: str, folder: Path, modalities: dict[str, FoundFile], label: FoundFile | None, findings: list[Finding]
) -> FoundCase:
    name = f"{kind}_{folder.resolve().name}"
    return FoundCase(name, name, modalities, label, findings=tuple(findings), group=folder.resolve().parent.parent.name)
