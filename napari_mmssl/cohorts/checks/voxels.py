"""All checks that look at voxels, over a cohort: one case in memory at a time, whatever their number."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from napari_mmssl.cohorts.case import Case, Cohort, Finding
from napari_mmssl.cohorts.checks.intensities import outlier_intensities
from napari_mmssl.cohorts.checks.labels import check_label, rare_values
from napari_mmssl.cohorts.checks.leaks import possible_leaks
from napari_mmssl.cohorts.checks.registration import misregistered
from napari_mmssl.cohorts.image_hash import Bits
from napari_mmssl.cohorts.people import Traits, hashes, traits
from napari_mmssl.cohorts.thumbnails import Intensities, Thumbnail, thumbnail
from napari_mmssl.errors import MmsslError

#: Told how many of how many cases are done.
Progress = Callable[[int, int], None]


def check_voxels(
    cohort: Cohort, progress: Progress = lambda done, total: None, against: Sequence[Traits] = ()
) -> tuple[Cohort, dict[str, dict[int, int]]]:
    """Return ``cohort`` with what its voxels tell added to the findings, and the label values by case id.

    Every scan is read once and remembered small (:mod:`napari_mmssl.cohorts.thumbnails`), so that a second check of
    the same files takes seconds. One scan that cannot be read is a finding on its case.

    Parameters
    ----------
    cohort
        From :func:`napari_mmssl.cohorts.find.find_cohort`.
    progress
        Called after each case.
    against
        People that must not be in this cohort.
    """
    found: dict[str, list[Finding]] = {}
    label_values: dict[str, dict[int, int]] = {}
    intensities: dict[str, dict[str, Intensities]] = {}
    image_hashes: dict[str, dict[str, Bits]] = {}
    for n, case in enumerate(cohort.cases, start=1):
        small, found[case.id] = thumbnails(case)
        found[case.id] += misregistered(small)
        values, odd = check_label(case, small)
        found[case.id] += odd
        if values is not None:
            label_values[case.id] = values
        intensities[case.id] = {name: one.intensities for name, one in small.items()}
        image_hashes[case.id] = hashes(small)
        progress(n, len(cohort.cases))
    for more in (
        outlier_intensities(intensities),
        rare_values(label_values),
        possible_leaks(traits(cohort, image_hashes), against),
    ):
        for case_id, findings in more.items():
            found[case_id] += findings
    return _with_findings(cohort, found), label_values


def thumbnails(case: Case) -> tuple[dict[str, Thumbnail], list[Finding]]:
    """Return the thumbnails of the modalities of ``case`` that can be read, and a finding for each that cannot."""
    small, findings = {}, []
    for name, scan in case.modalities.items():
        try:
            small[name] = thumbnail(scan)
        except MmsslError as error:
            findings.append(Finding("unreadable", f"{name}: {error}"))
    return small, findings


def _with_findings(cohort: Cohort, found: dict[str, list[Finding]]) -> Cohort:
    cases = (
        replace(case, findings=tuple(dict.fromkeys((*case.findings, *found.get(case.id, ()))))) for case in cohort.cases
    )
    return replace(cohort, cases=tuple(cases))
