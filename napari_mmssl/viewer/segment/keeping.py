"""What a person leaves with: the corrected case for fine-tuning, a report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qtpy.QtWidgets import QFileDialog

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.places import data_folder
from napari_mmssl.viewer.segment.drawn import Drawn
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.corrections import MANIFEST, keep_correction
from napari_mmssl.workflows.report import Facts, facts_of, write_report


def corrections_folder(cohort: Cohort | None) -> Path:
    """Return where corrected cases of ``cohort`` go."""
    return data_folder() / "corrections" / (cohort.root.stem if cohort is not None else "cases")


class Keeping:
    """Buttons that keep a correction, open the corrected cases as a cohort, and write a report.

    Parameters
    ----------
    panel
        Whose thread and session are used.
    labels
        Called for what was drawn and for its label map as it is now; ``None`` if there is none.
    say
        Called with what came of it.
    kept
        Called once the correction is on disk.
    """

    def __init__(
        self,
        panel: Panel,
        labels: Callable[[], tuple[Drawn, LabelMap, bool] | None],
        say: Callable[[str], None],
        kept: Callable[[], None],
    ) -> None:
        self._panel, self._labels, self._say, self._kept = panel, labels, say, kept
        self.keep = panel.button(
            "Keep correction",
            "keep_correction",
            "Save as <case>_corrected, among cases to fine-tune on",
            self.keep_correction,
        )
        self.learn = panel.button(
            "Open corrected", "open_corrected", "Make the corrected cases the cohort, for Train", self.open_corrected
        )
        self.report = panel.button(
            "Report...",
            "report",
            "A page with volumes, lesions, scores, pictures and the model's card",
            self._ask_report,
        )

    def refresh(self, *, drawn: bool, corrected: bool) -> None:
        """Offer what can be done."""
        self.keep.setEnabled(corrected)
        self.report.setEnabled(drawn)
        self.learn.setEnabled((corrections_folder(self._panel.session.cohort) / MANIFEST).is_file())

    def keep_correction(self) -> None:
        """Save the corrected label map with its story, on a thread."""
        found = self._labels()
        if found is None:
            return
        drawn, labels, _ = found
        folder = corrections_folder(self._panel.session.cohort)
        source = {"prediction": drawn.file.name, "weights": drawn.record.get("weights"), "without": list(drawn.without)}
        source = {name: value for name, value in source.items() if value}

        def work() -> Path:
            return keep_correction(folder, drawn.case, labels, predicted=drawn.labels, source=source)

        def done(path: Path) -> None:
            self._kept()
            self._say(f"kept: {path}; 'Open corrected' makes the corrected cases the cohort, for Train")

        self._panel.in_thread(work, done, self._say)

    def open_corrected(self) -> None:
        """Make the corrected cases the cohort in hand; Train then learns from them."""
        manifest = corrections_folder(self._panel.session.cohort) / MANIFEST

        def done(cohort: Cohort) -> None:
            self._panel.session.cohort = cohort
            self._say(f"{len(cohort.cases)} corrected case(s) are the cohort now: fine-tune on them in Train")

        self._panel.in_thread(lambda: find_cohort(manifest), done, self._say)

    def write_report(self, folder: Path) -> None:
        """Write the report on the label map as it is now into ``folder``, on a thread."""
        found = self._labels()
        if found is None:
            return
        drawn, labels, corrected = found

        def work() -> Path:
            return write_report(folder, drawn.case, labels, _facts(drawn, corrected))

        self._panel.in_thread(work, lambda page: self._say(f"report: {page}"), self._say)

    def _ask_report(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, "Folder for the report", str(Path.home()))
        if folder:
            self.write_report(Path(folder))


def _facts(drawn: Drawn, corrected: bool) -> Facts:
    facts = facts_of(drawn.file, drawn.case)
    return replace(facts, corrected=corrected or facts.corrected)
