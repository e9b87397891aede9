"""A case: one subject at one session, as named modalities on disk."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_mmssl.errors import ConfigError
from napari_mmssl.registry import unknown_name
from napari_mmssl.volumes.geometry import Geometry


@dataclass(frozen=True, eq=False, slots=True)
class ScanFile:
    """One volume on disk, known by its header alone.

    Parameters
    ----------
    path
        The file, or the folder of a DICOM series.
    geometry
        Its grid, from the header.
    channel
        Position on the fourth axis of a 4-D file; ``None`` for a 3-D one.
    series_uid
        DICOM series, where there is one.
    synthetic
        Whether a network made it.
    passed_gate
        Whether a synthetic one says that it passed the quality gate.
    why
        The reason for taking it for what it is taken for, in words.
    coding
        How the grey values of a folder of pictures are read (:mod:`napari_mmssl.volumes.mask_stack`).
    """

    path: Path
    geometry: Geometry
    channel: int | None = None
    series_uid: str | None = None
    synthetic: bool = False
    passed_gate: bool = False
    why: str = ""
    coding: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a case that a person should know, as a fixed word and a sentence.

    Words: ``missing_modality grid_mismatch label_candidates empty_label unreadable phantom sheared_affine
    not_a_volume``; of voxels ``misregistered outlier_intensity impossible_label possible_leak``; and of DICOM series
    ``missing_slice duplicate_slice uneven_spacing mixed_series localizer gantry_tilt``.
    """

    kind: str
    text: str


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """One subject at one session.

    Parameters
    ----------
    id
        Unique in its cohort and safe as a file name.
    subject
        The person; two sessions of one person share it, and no split may part them.
    modalities
        Canonical name (:mod:`napari_mmssl.cohorts.modalities`) to file.
    label
        The label map, if there is one.
    clinical
        Values from the cohort's table: ``age_years``, ``survival_days``, ``survival_observed``, ``class`` ...
    findings
        What the layout met while putting the case together.
    session
        The visit, where the names tell it.
    """

    id: str
    subject: str
    modalities: dict[str, ScanFile]
    label: ScanFile | None = None
    clinical: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    session: str = ""

    def only(self, names: Collection[str]) -> "Case":
        """Return the case with those of its modalities that are in ``names``."""
        return replace(self, modalities={name: scan for name, scan in self.modalities.items() if name in names})


@dataclass(frozen=True, eq=False)
class Cohort:
    """A list of cases and the layout they were found in.

    Parameters
    ----------
    root
        The folder or file that was asked for.
    layout
        Name of the layout.
    reasons
        Why it was taken for that layout, one sentence each.
    cases
        Sorted by id.
    label_names
        What the cohort itself says that the values of its label maps mean; empty if it says nothing.
    label_coding
        Name of the known coding that they are in, where the cohort says so.
    """

    root: Path
    layout: str
    reasons: tuple[str, ...]
    cases: tuple[Case, ...]
    label_names: dict[int, str] = field(default_factory=dict)
    label_coding: str = ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of all modalities met, sorted."""
        return tuple(sorted({name for case in self.cases for name in case.modalities}))

    def case(self, case_id: str) -> Case:
        """Return the case called ``case_id``; :class:`ConfigError` with near names if there is none."""
        for case in self.cases:
            if case.id == case_id:
                return case
        raise ConfigError(unknown_name("case", case_id, [case.id for case in self.cases]))

    def chosen(self, case_ids: Collection[str]) -> tuple[Case, ...]:
        """Return the cases called so, in the cohort's order, or all where none is named.

        Raises
        ------
        ConfigError
            If there is no case of a name.
        """
        wanted = {self.case(case_id).id for case_id in case_ids}
        return tuple(case for case in self.cases if case.id in wanted) if wanted else self.cases
