"""What a layout makes of a folder from names alone, before any header is read."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.volumes.geometry import Geometry


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that is taken for a volume or label map; ``channel`` is its place in a 4-D file.

    A DICOM series is known by its folder and ``series_uid``, and its grid comes along: finding it took the headers.
    ``why`` is the reason for the match in words, ``coding`` how the grey values of a folder of pictures are read
    (:mod:`napari_mmssl.volumes.mask_stack`).
    """

    path: Path
    channel: int | None = None
    series_uid: str | None = None
    geometry: Geometry | None = None
    why: str = ""
    coding: str = ""

    def __post_init__(self) -> None:
        # Thousands of files share a few reasons.
        object.__setattr__(self, "why", sys.intern(self.why))


@dataclass(frozen=True, slots=True)
class FoundCase:
    """One case as its files are named.

    Parameters
    ----------
    id
        Wished name; made safe and unique by :func:`with_safe_ids`.
    subject
        The person.
    modalities
        Canonical name to file.
    label
        The label map, if exactly one file can be meant.
    clinical
        What the names say, such as the grade of a BraTS case.
    findings
        What had to be left out, and why.
    group
        Folder above the case's own that tells cases of one name apart.
    session
        The visit, where the names tell it.
    aliases
        Other names under which a clinical table may speak of this case, the most exact first.
    """

    id: str
    subject: str
    modalities: dict[str, FoundFile]
    label: FoundFile | None = None
    clinical: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    group: str = ""
    session: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recognised:
    """A folder in one layout.

    Parameters
    ----------
    specificity
        When several layouts know a folder, the one that asks most of it wins.
    reasons
        What was seen, one sentence each.
    cases
        In any order.
    tables
        Folders in which clinical tables may lie besides the one that was asked for.
    label_names
        What the values of the label maps mean, where the cohort says so.
    label_coding
        Name of the known coding that they are in, where the cohort says so.
    """

    specificity: int
    reasons: tuple[str, ...]
    cases: tuple[FoundCase, ...]
    tables: tuple[Path, ...] = ()
    label_names: Mapping[int, str] = field(default_factory=dict)
    label_coding: str = ""


#: Endings of case names that number a visit: BIDS, BraTS 2023, BraTS 2017-2019, UPENN-GBM, UCSF-PDGM.
_SESSION = re.compile(
    r"(?:_ses-.+)$|(?<=-\d{5})-\d{3}$|(?<=^brats-men-rt-\d{4})-\d+$|(?<=^upenn-gbm-\d{5})_\d{2}$|_fu\d+d?(?:_nifti)?$|_nifti$",
    re.IGNORECASE,
)
_VISIT_NUMBER = re.compile(
    r"(?<=-\d{5}-)\d{3}$|(?<=^brats-men-rt-\d{4}-)\d+$|(?<=_)ses-[^_]+$|(?<=^upenn-gbm-\d{5}_)\d{2}$|fu\d+d?(?=(?:_nifti)?$)",
    re.I,
)
_BRATS_SESSION = re.compile(r"(brats(?:1[789]|_2013)_.+)_\d$", re.IGNORECASE)


def subject_of(case_id: str) -> str:
    """Return the person that a case name speaks of, where the name follows a known scheme, or the name itself."""
    brats = _BRATS_SESSION.search(case_id)
    return case_id[: brats.end(1)] if brats else _SESSION.sub("", case_id)


def session_of(case_id: str) -> str:
    """Return the visit that a case name speaks of, where the name follows a known scheme; ``""`` if it does not."""
    visit = _VISIT_NUMBER.search(case_id)
    return visit.group() if visit else ""


def with_safe_ids(cases: Iterable[FoundCase]) -> list[FoundCase]:
    """Return ``cases`` sorted, with ids that are safe as file names and differ, whatever the file system.

    Ids that are met twice get the name of their group in front, and a number if that does not help.
    """
    cases = list(cases)
    names = [_safe(case.id) for case in cases]
    times = Counter(name.casefold() for name in names)
    taken: set[str] = set()
    renamed = []
    for case, name in zip(cases, names, strict=True):
        if times[name.casefold()] > 1 and case.group:
            name = _safe(f"{case.group}_{name}")
        unique, n = name, 1
        while unique.casefold() in taken:
            n += 1
            unique = f"{name}_{n}"
        taken.add(unique.casefold())
        subject = unique if case.subject == case.id else case.subject
        renamed.append(replace(case, id=unique, subject=subject))
    return sorted(renamed, key=lambda case: case.id)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "case"
