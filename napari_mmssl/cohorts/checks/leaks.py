"""The same person under two names: what no split by name can keep apart."""

from collections.abc import Sequence

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.people import Traits, same_people


def possible_leaks(ours: Sequence[Traits], theirs: Sequence[Traits] = ()) -> dict[str, list[Finding]]:
    """Return by case id a finding on each other case of the same person.

    Parameters
    ----------
    ours
        The cases of the cohort; two of one subject are no leak, since no split parts them.
    theirs
        Cases of other cohorts, such as the one that a network was pretrained on.
    """
    findings: dict[str, list[Finding]] = {}
    for match in same_people(ours, ours):
        if match.one.subject != match.other.subject:
            text = (
                f"may be the same person as '{match.other.case_id}': {match.reason}; a split could part them, so give"
                " both one subject, or leave one out"
            )
            findings.setdefault(match.one.case_id, []).append(Finding("possible_leak", text))
    for match in same_people(ours, theirs):
        text = f"may be the same person as '{match.other.case_id}' of '{match.other.cohort}': {match.reason}"
        findings.setdefault(match.one.case_id, []).append(Finding("possible_leak", text))
    return findings
