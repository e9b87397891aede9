"""Look at a folder or file: which cases it holds, and what is odd about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.checks import check_cohort, check_voxels
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import ConfigError
from napari_mmssl.workflows.leaks import people_of

#: Told what is being done, and how many of how many cases are done.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Inspection:
    """A cohort, checked.

    Parameters
    ----------
    cohort
        With all findings.
    label_values
        Case id to voxels by label value, background left out; cases without a readable label map are not in it, and
        a quick look reads none.
    complete
        Whether voxels were looked at too.
    """

    cohort: Cohort
    label_values: dict[str, dict[int, int]]
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return what ``mmssl inspect --json`` prints; scripts rely on its form."""
        return {
            "layout": self.cohort.layout,
            "reasons": list(self.cohort.reasons),
            "cases": [_case_json(case, self.label_values.get(case.id)) for case in self.cohort.cases],
        }


def inspect(
    path: Path, progress: Progress | None = None, *, quick: bool = False, against: Sequence[Path] = ()
) -> Inspection:
    """Find the cases in ``path`` and look for what is odd about them.

    Parameters
    ----------
    path
        A folder of cases, the folder of one case, or one image file.
    progress
        Called after each case, once for its headers and once for its voxels.
    quick
        Go by headers alone: nothing is said of label values, registration, intensities and leaks.
    against
        Cohorts or run folders whose people must not be in this cohort: those of a pretraining, or of another group.

    Raises
    ------
    LayoutError
        If there is nothing there, or nothing in a layout that is known.
    ReadError, GeometryError
        If ``path`` is one file and cannot be read.
    ConfigError
        If a quick look is asked for people, whom it cannot tell.
    """
    if quick and against:
        raise ConfigError(
            "people are told by what their scans show, which a quick look does not read: leave --quick out"
        )

    def tell(what: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(what, done, total) if progress is not None else None

    cohort = check_cohort(find_cohort(path, tell("headers")))
    if quick:
        return Inspection(cohort, {}, complete=False)
    others = [one for other in against for one in people_of(other, tell(f"'{other.name}'"))]
    return Inspection(*check_voxels(cohort, tell("voxels"), others))


def _case_json(case: Case, label_values: dict[int, int] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": case.id,
        "modalities": {name: _scan_json(scan) for name, scan in case.modalities.items()},
        "label": None if case.label is None else _scan_json(case.label),
        "clinical": case.clinical,
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in case.findings],
    }
    if label_values is not None:
        data["label_values"] = {str(value): count for value, count in label_values.items()}
    return data


def _scan_json(scan: ScanFile) -> dict[str, Any]:
    return {
        "path": str(scan.path),
        "channel": scan.channel,
        "series_uid": scan.series_uid,
        "shape": list(scan.geometry.shape),
        "spacing_mm": [round(mm, 6) for mm in scan.geometry.spacing_mm],
        "orientation": scan.geometry.orientation,
        "synthetic": scan.synthetic,
    }
