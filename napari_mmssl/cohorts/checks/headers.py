"""What the headers of a cohort tell: missing modalities, different grids, sheared axes."""

from dataclasses import replace

from napari_mmssl.cohorts.case import Case, Cohort, Finding, ScanFile
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.volumes.geometry import two_grids
from napari_mmssl.volumes.reindex import same_voxels


def check_cohort(cohort: Cohort) -> Cohort:
    """Return ``cohort`` with what its headers tell added to the findings; no voxel is read.

    A modality is missing from a case when another case of the cohort has it. A case that was checked already
    gains nothing.
    """
    cases = []
    for case in cohort.cases:
        found = (*missing_modalities(case, cohort.modalities), *grid_mismatches(case), *sheared_affines(case))
        cases.append(replace(case, findings=tuple(dict.fromkeys((*case.findings, *found)))))
    return replace(cohort, cases=tuple(cases))


def missing_modalities(case: Case, expected: tuple[str, ...]) -> list[Finding]:
    """Return a finding for each modality of ``expected`` that ``case`` lacks."""
    lacking = in_order(set(expected) - set(case.modalities))
    return [Finding("missing_modality", f"{name} is missing; other cases have it") for name in lacking]


def grid_mismatches(case: Case) -> list[Finding]:
    """Return a finding for each file that does not lie on the grid of the case's first modality.

    A grid whose axes are swapped or flipped, but whose voxels are the same, is the same: nothing is resampled to bring
    one onto the other. Both grids are named in numbers, axes in array order (z, y, x).
    """
    if not case.modalities:
        return []
    first, *others = in_order(case.modalities)
    grid = case.modalities[first].geometry
    findings = [
        Finding("grid_mismatch", two_grids(name, case.modalities[name].geometry, first, grid))
        for name in others
        if not same_voxels(case.modalities[name].geometry, grid)
    ]
    if case.label is not None and not same_voxels(case.label.geometry, grid):
        text = two_grids("the label map", case.label.geometry, first, grid)
        fitting = [name for name in others if same_voxels(case.modalities[name].geometry, case.label.geometry)]
        findings.append(Finding("grid_mismatch", f"{text}; it fits {fitting[0]}" if fitting else text))
    return findings


def sheared_affines(case: Case) -> list[Finding]:
    """Return a finding for each file whose axes are not at right angles."""
    return [
        Finding(
            "sheared_affine", f"the axes of {name} are not at right angles ('{file.path.name}'); only NIfTI keeps that"
        )
        for name, file in _files(case).items()
        if file.geometry.is_sheared
    ]


def _files(case: Case) -> dict[str, ScanFile]:
    return case.modalities if case.label is None else {**case.modalities, "the label map": case.label}
