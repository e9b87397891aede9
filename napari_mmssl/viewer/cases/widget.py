"""The Cases widget: find a cohort, see what is there and what is odd, open one case after the other."""

from itertools import islice
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_mmssl.cohorts.case import Case, Cohort, Finding
from napari_mmssl.cohorts.manifest_file import unsorted_rows
from napari_mmssl.cohorts.trees import files_below
from napari_mmssl.viewer.cases.case_list import CaseList
from napari_mmssl.viewer.cases.dropping import Dropping
from napari_mmssl.viewer.cases.pairing import PairingDialog, RowsFor
from napari_mmssl.viewer.cases.read_ahead import ReadAhead
from napari_mmssl.viewer.cases.view_controls import ViewControls
from napari_mmssl.viewer.cases.voxel_checks import VoxelChecks
from napari_mmssl.viewer.cases.welcome import draw_welcome
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.reading import Opened
from napari_mmssl.viewer.runs.split_groups import groups_of
from napari_mmssl.viewer.workspace import open_dock
from napari_mmssl.workflows.manifest import manifest_rows

#: A table of more files than this is for a program, not for a person.
_MOST_UNSORTED = 20_000
#: Between two words on how far the looking is.
_SAY_EVERY_MS = 100
#: So many findings are told in full; the rest stand in the tooltip.
_FIRST_FINDINGS = 3
#: Findings for which the Align widget is the remedy.
_DO_NOT_FIT = {"grid_mismatch", "misregistered"}
#: Findings for which the table of *Which file is what* is.
_TO_BE_SORTED = {"label_candidates"}


class CasesWidget(Panel):
    """Choose a folder, see its cases, open them."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "mmssl_cases")
        self._view = CaseView(self.viewer)
        #: How many of how many cases were looked at. The thread that looks writes here and touches no widget: one
        #: that emitted a signal of ours while the window closed would take napari down.
        self._looked = (0, 0)
        self._looking = QTimer(self, interval=_SAY_EVERY_MS)
        self._looking.timeout.connect(lambda: self._say_progress(*self._looked))
        self._ahead = ReadAhead(self, self._arrived, self._not_read)
        self._wanted: Case | None = None
        #: The folder asked for last, if no layout knows it but it holds image files.
        self._unknown: Path | None = None
        self._checks = VoxelChecks(self)
        self._checks.found.connect(self._checked)
        self._checks.failed.connect(self._not_checked)
        self.at_end(self._checks.stop)
        self._draw()
        Dropping(self, self.open_cohort)
        self.listen(self.session.cohort_changed, self._show_cohort)
        self.listen(self.session.case_changed, self._mark)
        self.listen(self.session.open_asked, self.open_case)
        self.listen(self.session.run_changed, lambda _run: self._list_cases())
        self._show_cohort(self.session.cohort)
        self._mark(self.session.case)

    def open_cohort(self, folder: Path) -> None:
        """Find the cohort in ``folder`` on a thread and hand it to the session."""
        self._about.setText(f"looking through '{folder}' ...")
        self._set_looking(True)

        def note(done: int, total: int) -> None:
            self._looked = (done, total)

        def find() -> Cohort:
            from napari_mmssl.cohorts.checks import check_cohort
            from napari_mmssl.cohorts.find import find_cohort

            return check_cohort(find_cohort(folder, note))

        self.in_thread(find, self._found, lambda sentence: self._not_found(folder, sentence))

    def check_voxels(self) -> None:
        """Look at the voxels of all cases, in a process of its own; what is odd comes into the table."""
        if self.session.cohort is not None:
            self._checks.start(self.session.cohort.root)
            self._check.setText("Checking voxels ...")
            self._check.setEnabled(False)

    def open_case(self, case: Case) -> None:
        """Show ``case``; its files are read on a thread unless they were read ahead."""
        self._wanted = case
        opened = self._ahead.take(case)
        if opened is not None:
            self._show_case(case, opened)
            return
        self._about_case.setText(f"reading '{case.id}' ...")
        self._ahead.want([case])

    def cases(self) -> list[Case]:
        """Return the cases in the list, as it is filtered and sorted."""
        return self._list.cases()

    def is_ready(self, case: Case) -> bool:
        """Whether ``case`` was read ahead and would be shown at once."""
        return self._ahead.has(case)

    def step(self, by: int) -> None:
        """Open the case ``by`` rows on in the list as it is filtered; nothing happens at the ends."""
        case = self._list.neighbour(self._wanted or self.session.case, by)
        if case is not None:
            self.open_case(case)

    def open_pairing(self) -> PairingDialog | None:
        """Show which file was taken for what; of a folder that no layout knows, all files, for a person to sort."""
        cohort, unknown = self.session.cohort, self._unknown
        if unknown is not None:
            rows: RowsFor = lambda path: unsorted_rows(islice(files_below(unknown), _MOST_UNSORTED), path.parent)  # noqa: E731
            dialog = PairingDialog(self, unknown, rows)
        elif cohort is not None:
            dialog = PairingDialog(self, cohort.root, lambda path: manifest_rows(cohort, path))
        else:
            return None
        dialog.saved.connect(self.open_cohort)
        dialog.open()
        return dialog

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._choose = self.button(
            "Folder...", "choose_folder", "A folder of cases, or the folder of one case; or drop one", self._ask_folder
        )
        self._choose_file = self.button(
            "File...", "choose_file", "A manifest, a dataset.json, or one scan", self._ask_file
        )
        self._pair = self.button(
            "Which file is what...",
            "pairing",
            "See how files were matched to cases and modalities, correct it, and keep it as a manifest",
            self.open_pairing,
        )
        self._pair.setEnabled(False)
        self.row(self._choose, self._choose_file, self._pair)
        self._check = self.button(
            "Check voxels",
            "check_voxels",
            "Read every scan once and say what does not fit, looks odd, or is the same person twice; takes minutes",
            self.check_voxels,
        )
        self._check.setEnabled(False)
        self.column.addWidget(self._check)
        self._about = self.text("about_cohort")
        self._welcome = draw_welcome(self, self.open_cohort)
        with self.group() as self._listed:
            self._draw_list()
        self._controls = ViewControls(self, self._view)

    def _draw_list(self) -> None:
        self._list = CaseList(self)
        self._list.add_filters(self)
        self._list.chosen.connect(self.open_case)
        self._list.refiltered.connect(self._refiltered)
        self.column.addWidget(self._list, 1)
        self._about_case = self.text("about_case")
        self._align = self.button(
            "Make modalities fit...",
            "make_fit",
            "Lay the modalities of each case on one grid, with a look at this case first",
            lambda: open_dock(self.viewer, "Align"),
        )
        self.column.addWidget(self._align)
        self.row(
            self.button("◀ Previous", "previous_case", "Open the case above", lambda: self.step(-1), "Alt+Left"),
            self.button("Next ▶", "next_case", "Open the case below", lambda: self.step(1), "Alt+Right"),
        )

    # -- doing --------------------------------------------------------------------------------

    def _ask_folder(self) -> None:
        start = str(self.session.cohort.root) if self.session.cohort else ""
        folder = QFileDialog.getExistingDirectory(self, "Folder with cases", start)
        if folder:
            self.open_cohort(Path(folder))

    def _ask_file(self) -> None:
        start = str(self.session.cohort.root) if self.session.cohort else ""
        name, _ = QFileDialog.getOpenFileName(self, "Manifest or scan", start)
        if name:
            self.open_cohort(Path(name))

    def _set_looking(self, looking: bool) -> None:
        for button in (self._choose, self._choose_file):
            button.setEnabled(not looking)
        self._looked = (0, 0)
        if looking:
            self._looking.start()
        else:
            self._looking.stop()

    def _checked(self, found: dict[str, tuple[Finding, ...]]) -> None:
        self._list.table.add_findings(found)
        self._check.setText("Check voxels")
        self._check.setEnabled(True)
        odd = sum(bool(findings) for findings in found.values())
        self.tell([f"{len(found)} cases were checked, {odd} with findings"])
        self._mark(self.session.case)

    def _not_checked(self, sentence: str) -> None:
        self._check.setText("Check voxels")
        self._check.setEnabled(self.session.cohort is not None)
        show_warning(sentence)

    def _say_progress(self, done: int, total: int) -> None:
        if total:
            self._about.setText(f"reading headers: {done} of {total} cases ...")

    def _found(self, cohort: Cohort) -> None:
        self._set_looking(False)
        self._unknown = None
        self.session.cohort = cohort

    def _not_found(self, folder: Path, sentence: str) -> None:
        self._set_looking(False)
        self._unknown = folder if folder.is_dir() and next(files_below(folder), None) is not None else None
        self._pair.setEnabled(self._unknown is not None or self.session.cohort is not None)
        way_out = " 'Which file is what' lists its files, for you to say." if self._unknown is not None else ""
        self._about.setText(sentence + way_out)

    def _show_cohort(self, cohort: Cohort | None) -> None:
        self._ahead.start(cohort.layout if cohort else "", cohort.label_names if cohort else {})
        self._wanted = None
        self._list_cases()
        self._pair.setEnabled(cohort is not None)
        self._checks.stop()
        self._list.table.add_findings({})
        self._check.setText("Check voxels")
        self._check.setEnabled(bool(cohort and cohort.cases))
        self._welcome.setVisible(cohort is None)
        self._listed.setVisible(cohort is not None)
        if cohort is None:
            return
        self._set_looking(False)
        count = f"{len(cohort.cases)} case{'s' if len(cohort.cases) != 1 else ''}"
        self._about.setText(f"<b>{cohort.root.name}</b>: {count}, layout <b>{cohort.layout}</b>")
        self._about.setToolTip("\n".join((str(cohort.root), *cohort.reasons)))

    def _list_cases(self) -> None:
        cohort = self.session.cohort
        groups, source = groups_of(cohort, self.session.run) if cohort and cohort.cases else ({}, "")
        self._list.show_cohort(cohort, groups)
        self._list.setStatusTip(source)
        self._mark(self.session.case)

    def _arrived(self, case: Case, _opened: Opened) -> None:
        if case is self._wanted:
            self.open_case(case)

    def _not_read(self, case: Case, sentence: str) -> None:
        if case is self._wanted:
            self._wanted = None
            self._about_case.setText(sentence)

    def _show_case(self, case: Case, opened: Opened) -> None:
        self._wanted = None
        notes = self._view.show(opened)
        self._controls.case_shown()
        self.session.case = case
        for problem in opened.problems:
            show_warning(problem)
        self.tell([note for note in notes if note not in opened.problems])
        self._read_neighbours()

    def _read_neighbours(self) -> None:
        """Read the cases on both sides while a person looks at this one."""
        beside = (self._list.neighbour(self.session.case, by) for by in (1, -1))
        self._ahead.want([case for case in beside if case is not None and case is not self.session.case])

    def _refiltered(self) -> None:
        self._mark(self.session.case)
        if self._wanted is None and self.session.case is not None:
            self._read_neighbours()

    def _mark(self, case: Case | None) -> None:
        found = () if case is None else self._list.table.findings(case)
        self._align.setVisible(any(finding.kind in _DO_NOT_FIT for finding in found))
        if case is None:
            self._about_case.setText("Double-click a case to open it.")
            return
        self._list.mark(case)
        findings = "; ".join(finding.text for finding in found[:_FIRST_FINDINGS])
        if len(found) > _FIRST_FINDINGS:
            findings += f"; and {len(found) - _FIRST_FINDINGS} more"
        if any(finding.kind in _TO_BE_SORTED for finding in found):
            findings += ". In <i>Which file is what...</i> you can say so and rename nothing"
        self._about_case.setToolTip("\n".join(finding.text for finding in found))
        where = self._list.place_words(case)
        self._about_case.setText(f"<b>{case.id}</b> ({where})" + (f": {findings}" if findings else ""))
