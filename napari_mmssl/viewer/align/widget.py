"""The Align widget: make the modalities of each case fit, after a look at one case before and after."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QProgressBar

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.viewer.align.fit_view import FitView, fit_layers, how_words
from napari_mmssl.viewer.align.form import AlignForm
from napari_mmssl.viewer.align.job import AlignJob
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, to_label_map
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.places import aligned_folder, free_folder
from napari_mmssl.viewer.runs.monitor import Launch
from napari_mmssl.viewer.workspace import open_dock
from napari_mmssl.viewer.writers import PREDICTION_ROLE
from napari_mmssl.workflows.launch import start

if TYPE_CHECKING:
    from napari_mmssl.workflows.align_preview import Fit

#: More sentences than this about single cases are left to ``align.json`` and counted.
_MOST_NOTES = 6


class AlignWidget(Panel):
    """Choose what stays and how the others may move; look at one case; align all."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_align")
        self.fits = FitView(self.viewer)
        self.job = AlignJob(self, launch=launch)
        self.job.progressed.connect(self._progressed)
        self.job.done.connect(self._done)
        self.job.failed.connect(self._failed)
        #: The case whose preview is made or shown, and the cohort of one case that it is in.
        self._previewed: Case | None = None
        self._preview: Path | None = None
        self._is_aligned = False
        self._draw()
        self.listen(self.session.cohort_changed, self._cohort_changed)
        self.listen(self.session.case_changed, self._case_changed)
        self.at_end(self._end_preview)
        self._cohort_changed(self.session.cohort)
        self._case_changed(self.session.case)

    def preview(self) -> None:
        """Align the case in hand in a process, into a place of its own that is forgotten afterwards."""
        case, cohort = self.session.case, self.session.cohort
        if case is None or cohort is None or self.job.active:
            return
        self.leave_preview()
        self._previewed = case
        self._preview = Path(tempfile.mkdtemp(prefix="mmssl-align-"))
        self._begin(["--case", case.id], cohort, self._preview, f"aligning '{case.id}' to look at")

    def align_cohort(self) -> None:
        """Align all cases in a process, into the folder chosen; then show them."""
        cohort = self.session.cohort
        if cohort is None or self.job.active:
            return
        out = self.form_.out
        if out is None:
            self._say("give the new folder a name under 'into'")
            return
        self.leave_preview()
        self._begin([], cohort, out, f"aligning '{cohort.root.name}'")

    def cancel(self) -> None:
        """End what is at work; cases that are written stay, a preview does not."""
        if not self.job.active:
            return
        self.job.order("stop")
        cancelled = "cancelled"
        if self._preview is None and self.job.out.exists():
            cancelled = f"cancelled; what was written is in '{self.job.out}'"
        self.leave_preview()
        self._say(cancelled)
        self._refresh()

    def show_fit(self) -> None:
        """Show the modality chosen, before and after."""
        case, folder = self._previewed, self._preview
        modality, how = self.form_.shown_modality, self.form_.shown_how
        if case is None or folder is None or not modality:
            return

        def work() -> tuple["Fit", list[LayerTuple]]:
            from napari_mmssl.workflows.align_preview import read_fit

            fit = read_fit(case, folder, modality)
            return fit, fit_layers(fit, how)

        def done(found: tuple["Fit", list[LayerTuple]]) -> None:
            # Somebody may have gone on to another case, or another modality, since.
            if self._preview == folder and (self.form_.shown_modality, self.form_.shown_how) == (modality, how):
                self.fits.show(*found, how)
                self._say(f"'{case.id}': {found[0].words}.\n{how_words(found[0], how)}.")
                self._refresh()

        self.in_thread(work, done, self._say)

    def leave_preview(self) -> None:
        """Take the preview away, forget it, and show the case again."""
        if self.fits.shown:
            self.fits.clear()
        if self._preview is not None:
            shutil.rmtree(self._preview, ignore_errors=True)
        self._preview = self._previewed = None
        self.form_.set_modalities([])
        self.form_.set_comparing(False)

    def back_to_scans(self, folder: Path) -> None:
        """Write the label map drawn on the aligned case in hand onto the grid of each of its scans."""
        case, cohort, layer = self.session.case, self.session.cohort, self._drawn()
        if case is None or cohort is None:
            return
        if layer is None:
            self._broken(f"no label map is drawn on '{case.id}': segment it, or select the layer to take back")
            return
        data, state, _ = layer.as_layer_data_tuple()
        data = data.copy()

        def work() -> list[Path]:
            from napari_mmssl.workflows.align_back import read_record, write_back

            entry = read_record(cohort.root)["cases"][case.id]
            return write_back(to_label_map(data, state), case.id, entry, folder)

        def done(written: list[Path]) -> None:
            self._say(f"'{layer.name}' was written to '{folder}': {', '.join(path.name for path in written)}")
            show_info(f"{len(written)} label maps on the scans' own grids are in '{folder}'")

        self.in_thread(work, done, self._say)

    def removed(self) -> None:
        """Leave an alignment of a cohort to itself and say so; a preview ends."""
        if self.job.active and self._preview is None:
            self.job.leave()
            show_info(f"the alignment goes on by itself; the cases will be in '{self.job.out}'")
        elif self.job.active:
            self.job.order("cancel")
        self.leave_preview()

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        self.form_ = AlignForm(self)
        self.form_.preview.clicked.connect(self.preview)
        self.form_.align.clicked.connect(self.align_cohort)
        self.form_.cancel.clicked.connect(self.cancel)
        self._progress = self.part(QProgressBar(), "progress")
        self.column.addWidget(self._progress)
        self._state = self.text("state")
        self.form_.draw_comparison(self)
        self.form_.chosen.connect(self.show_fit)
        self.form_.leave.clicked.connect(self.leave_preview)
        self.form_.draw_back(self)
        self.form_.back.clicked.connect(self._ask_back)
        self.column.addStretch(1)

    # -- following ----------------------------------------------------------------------------

    def _cohort_changed(self, cohort: Cohort | None) -> None:
        self.leave_preview()
        self._is_aligned = False
        self.form_.show_cohort(cohort)
        if cohort is None:
            return
        self.form_.set_out(free_folder(aligned_folder(), cohort.root.name))

        def is_aligned() -> bool:
            from napari_mmssl.cohorts.layouts.aligned import RECORD

            return (cohort.root / RECORD).is_file()

        def told(aligned: bool) -> None:
            self._is_aligned = aligned and self.session.cohort is cohort
            self._refresh()

        self.in_thread(is_aligned, told, self._say)

    def _case_changed(self, case: Case | None) -> None:
        if case is not self._previewed and not (self.job.active and self._preview is None):
            if self.job.active:
                self.job.order("cancel")
                self._say("the preview was given up, since another case is open")
            self.leave_preview()
        self.form_.show_case(case)
        self._refresh()

    def _refresh(self) -> None:
        busy, cohort, case = self.job.active, self.session.cohort, self.session.case
        ready = bool(cohort is not None and self.form_.reference and not busy)
        self.form_.preview.setEnabled(ready and case is not None)
        self.form_.align.setEnabled(ready)
        self.form_.cancel.setEnabled(busy)
        self.form_.set_comparing(self.fits.shown)
        self.form_.back.setEnabled(self._is_aligned and case is not None)
        self._progress.setVisible(busy)

    def _begin(self, words: list[str], cohort: Cohort, out: Path, said: str) -> None:
        self.job.start(
            [str(cohort.root), "--to", self.form_.reference, "--method", self.form_.method, *words], out, said
        )
        self._progress.setRange(0, 0)
        self._say(f"{said} ...")
        self._refresh()

    def _progressed(self, done: int, total: int) -> None:
        if self._preview is None:
            self._progress.setRange(0, total)
            self._progress.setValue(done)
            self._say(f"{done} of {total} cases are aligned")

    def _done(self, result: dict[str, Any]) -> None:
        self._refresh()
        if self._preview is None:
            self._show_aligned(Path(result["folder"]), result["cases"], result["notes"])
            return
        folder, case = self._preview, self._previewed
        assert case is not None  # Set with the folder.

        def fitted() -> list[str]:
            from napari_mmssl.workflows.align_preview import fitted_modalities

            return fitted_modalities(folder, case.id)

        def told(names: list[str]) -> None:
            if self._preview != folder:
                return
            if not names:
                self._say(f"'{case.id}' has nothing but {self.form_.reference}; there is nothing to make fit")
            self.form_.set_modalities(names)

        self.in_thread(fitted, told, self._say)

    def _show_aligned(self, folder: Path, cases: list[str], notes: list[str]) -> None:
        """Hand the aligned cohort to the session, and say what was left out or not moved."""
        said = [f"{len(cases)} cases are aligned, in '{folder}'; look at them before use", *notes[:_MOST_NOTES]]
        if len(notes) > _MOST_NOTES:
            said.append(f"{len(notes) - _MOST_NOTES} more are told in '{folder / 'align.json'}'")

        def find() -> Cohort:
            from napari_mmssl.cohorts.checks import check_cohort
            from napari_mmssl.cohorts.find import find_cohort

            return check_cohort(find_cohort(folder))

        def found(cohort: Cohort) -> None:
            self.session.cohort = cohort
            self._say("\n".join(said))
            self.tell(said[:1])
            open_dock(self.viewer, "Cases")

        self.in_thread(find, found, self._say)

    def _failed(self, sentence: str) -> None:
        self.leave_preview()
        self._broken(sentence)
        self._refresh()

    def _end_preview(self) -> None:
        if self._preview is not None:
            self.job.end_quietly()
            shutil.rmtree(self._preview, ignore_errors=True)

    def _ask_back(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for label maps on the scans' own grids")
        if folder:
            self.back_to_scans(Path(folder))

    def _drawn(self) -> Labels | None:
        """Return the label map that is selected, or the prediction, of the case in hand."""
        active = self.viewer.layers.selection.active
        origin = active.metadata.get(METADATA_KEY) if isinstance(active, Labels) else None
        if isinstance(origin, Origin):
            return active
        found = CaseView(self.viewer).of_role(PREDICTION_ROLE)
        return found if isinstance(found, Labels) else None

    def _broken(self, sentence: str) -> None:
        self._say(sentence)
        show_error(sentence)

    def _say(self, sentence: str) -> None:
        self._state.setText(sentence)
