"""A cohort as a table: one row per case, one column per modality. A Qt model without any view."""

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_mmssl.cohorts.case import Case, Cohort, Finding, ScanFile
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.volumes.reindex import same_voxels

_ROOT = QModelIndex()
PRESENT, MISSING, OTHER_GRID, SYNTHETIC = "✓", "–", "≠ grid", "synthetic"
#: In the column of the split, which is narrow; what is shorter already stands as it is.
_SHORT = {"validation": "val"}
#: Headings that are read in a narrow dock too.
_SHORT_HEADS = {"findings": "odd"}


class CaseTable(QAbstractTableModel):
    """Cases by modalities, with label and findings; empty until :meth:`show`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cases: tuple[Case, ...] = ()
        self._modalities: tuple[str, ...] = ()
        self._groups: Mapping[str, str] = {}
        self._found: Mapping[str, tuple[Finding, ...]] = {}

    def show(self, cohort: Cohort | None, groups: Mapping[str, str] | None = None) -> None:
        """Show ``cohort``, or nothing; ``groups`` names the part of the split that each subject is in."""
        self.beginResetModel()
        self._cases = cohort.cases if cohort else ()
        self._modalities = tuple(in_order(cohort.modalities)) if cohort else ()
        self._groups = groups or {}
        self.endResetModel()

    def add_findings(self, found: Mapping[str, tuple[Finding, ...]]) -> None:
        """Show what checks found since the cohort was read, by case id, until other findings come."""
        self._found = found
        if self._cases:
            column = len(self.heads) - 1
            self.dataChanged.emit(self.index(0, column), self.index(len(self._cases) - 1, column))

    def findings(self, case: Case) -> tuple[Finding, ...]:
        """Return what is known to be odd about ``case``."""
        return tuple(dict.fromkeys((*case.findings, *self._found.get(case.id, ()))))

    def group(self, row: int) -> str:
        """Return the part of the split that the case in ``row`` is in, or nothing."""
        return self._groups.get(self._cases[row].subject, "")

    @property
    def heads(self) -> tuple[str, ...]:
        """The columns' headings: case, modalities, label, split, findings."""
        return ("case", *self._modalities, "label", "split", "findings")

    def case(self, row: int) -> Case:
        """Return the case in ``row``."""
        return self._cases[row]

    def row_of(self, case: Case | None) -> int:
        """Return the row of ``case``, or -1."""
        return next((row for row, other in enumerate(self._cases) if other is case), -1)

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of cases."""
        return 0 if parent.isValid() else len(self._cases)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self.heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the heading of a column, or the number of a row."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Vertical:
            return section + 1
        return _SHORT_HEADS.get(self.heads[section], self.heads[section])

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the word in a cell, or all about it as a tooltip."""
        case, column = self._cases[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._word(case, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._explanation(case, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and 0 < column < len(self.heads) - 1:
            return int(Qt.AlignmentFlag.AlignCenter)
        return None

    def _word(self, case: Case, column: int) -> str:
        if column == 0:
            return case.id
        if self.heads[column] == "split":
            group = self._groups.get(case.subject, "")
            return _SHORT.get(group, group)
        if self.heads[column] == "findings":
            kinds = sorted({finding.kind.replace("_", " ") for finding in self.findings(case)})
            # Where the words are cut, their number is still seen.
            return f"{len(kinds)}: {'; '.join(kinds)}" if kinds else ""
        scan = self._scan(case, column)
        if scan is None:
            return MISSING
        if scan.synthetic:
            return SYNTHETIC
        return PRESENT if same_voxels(scan.geometry, _first(case).geometry) else OTHER_GRID

    def _explanation(self, case: Case, column: int) -> str:
        findings = "\n".join(finding.text for finding in self.findings(case))
        if self.heads[column] == "split":
            group = self._groups.get(case.subject, "no part")
            return f"{group}: the part of the split that this subject is in; sessions of one subject never part"
        if self.heads[column] in ("case", "findings"):
            clinical = ", ".join(f"{name} {value}" for name, value in case.clinical.items())
            return "\n".join(text for text in (f"{case.id} (subject {case.subject})", clinical, findings) if text)
        scan = self._scan(case, column)
        if scan is None:
            return "missing"
        grid = scan.geometry
        shape, spacing = (" x ".join(f"{value:.4g}" for value in values) for values in (grid.shape, grid.spacing_mm))
        channel = "" if scan.channel is None else f", channel {scan.channel}"
        return f"{scan.path}{channel}\n{shape} voxels (z, y, x) of {spacing} mm, {grid.orientation}"

    def _scan(self, case: Case, column: int) -> ScanFile | None:
        if column == len(self._modalities) + 1:
            return case.label
        return case.modalities.get(self._modalities[column - 1])


def _first(case: Case) -> ScanFile:
    """Return the scan whose grid the others are held against."""
    names = in_order(case.modalities)
    scan = case.modalities[names[0]] if names else case.label
    assert scan is not None  # Only asked about a file of the case.
    return scan
