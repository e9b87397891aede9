"""The Synthesis widget: make a modality of the case in hand, and see it beside the real one."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QSlider

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.errors import MmsslError, ReadError
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.viewer.layers.stage import Stage
from napari_mmssl.viewer.parts.panel import Panel, beside
from napari_mmssl.viewer.parts.read_only_table import ReadOnlyTable
from napari_mmssl.viewer.places import data_folder, free_folder, runs_folder
from napari_mmssl.viewer.runs.following import Update, progress_words
from napari_mmssl.viewer.runs.monitor import Launch, RunMonitor
from napari_mmssl.viewer.synthesis.side_by_side import (
    BESIDE,
    CHECKERBOARD,
    CURTAIN,
    MARK,
    ROLE,
    as_seen,
    beside_layers,
    checkerboard,
    curtain,
    keep_mark,
    mixed_layer,
)
from napari_mmssl.volumes.image_files import is_image, read_header, stem
from napari_mmssl.workflows.launch import start
from napari_mmssl.workflows.synthesize import Comparison, compare_volumes

_HEADS = (
    ("region", "The body, and each class of the label map"),
    ("SSIM", "Structural similarity, 1 is equal"),
    ("PSNR", "Peak signal to noise in dB; higher is nearer"),
    ("error", "Mean absolute difference in standard deviations of the body"),
    ("ml", "Millilitres"),
)
_SLIDER = 100


class SynthesisWidget(Panel):
    """Generator, case, make; then real beside synthetic, with numbers by region."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_synthesis")
        self.monitor = RunMonitor(self, launch=launch)
        self.monitor.updated.connect(self._progressed)
        self._weights: Path | None = None
        self._stage = Stage(self.viewer, ROLE)
        #: What is compared, once something is.
        self.compared: Comparison | None = None
        self._of: tuple[Case, str] | None = None
        self._made_for: Case | None = None
        self._draw()
        self.listen(self.session.case_changed, self._case_changed)
        self._case_changed(self.session.case)

    def set_weights(self, path: Path) -> None:
        """Make with the generators in ``path``, what ``mmssl synthesize train`` left; say why if that cannot be."""
        try:
            directions = read_card(path).get("directions")
            if not directions:
                raise ReadError(f"'{path.name}' holds no generators; choose the run folder of mmssl synthesize train")
        except MmsslError as error:
            show_error(str(error))
            self._say(str(error))
            return
        self._weights = path
        self._weights_name.setText(path.name)
        self._weights_name.setToolTip(str(path))
        self._say("makes " + ", ".join(f"{target} from {source}" for source, target in directions))
        self._refresh()

    def make(self) -> None:
        """Let the generators make what they can of the case in hand, what is there too, in a process."""
        case, cohort = self.session.case, self.session.cohort
        if case is None or cohort is None or self._weights is None:
            return
        self._made_for = case
        out = free_folder(data_folder() / "synthetic", case.id, self._weights.name)
        out.parent.mkdir(parents=True, exist_ok=True)
        words = ["synthesize", "apply", str(cohort.root), "--weights", str(self._weights), "--out", str(out)]
        self.monitor.start([*words, "--case", case.id, "--also-known"], out, "synthesising")
        self._refresh()

    def compare(self, modality: str, synthetic: Path) -> None:
        """Show the synthetic volume ``synthetic`` beside the real ``modality`` of the case in hand."""
        case = self.session.case
        if case is None or modality not in case.modalities:
            return
        real, label = case.modalities[modality].path, case.label

        def work() -> Comparison:
            try:
                return as_seen(compare_volumes(real, synthetic, None if label is None else label.path))
            except MmsslError:
                if label is None:
                    raise
                # Numbers by class are lost where the label map lies elsewhere; those of the body are not.
                return as_seen(compare_volumes(real, synthetic))

        def done(compared: Comparison) -> None:
            self.compared, self._of = compared, (case, modality)
            self._show_regions(compared.regions)
            self._show()
            self._refresh()

        self._say("comparing ...")
        self.in_thread(work, done, self._say)

    def removed(self) -> None:
        """Take the layers away; what is being made goes on."""
        self._stage.clear()
        if self.monitor.active:
            self.monitor.leave()
            show_info(f"the synthesis goes on by itself; its volumes will be in '{self.monitor.path}'")

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        form = self.form()
        self._weights_name = self.told("generators", "no generators", "Run folder of mmssl synthesize train")
        choose = self.button(
            "Folder...", "choose_generators", "Choose the run folder of a synthesis training", self._ask_weights
        )
        form.addRow("generators", beside(self._weights_name, choose, wide=self._weights_name))
        self._modality = self.part(QComboBox(), "real", "The real volume that a synthetic one is compared with")
        form.addRow("compare with", self._modality)
        self._make = self.button(
            "Make", "make", "Make what the generators can, to compare with what is real", self.make
        )
        self._open = self.button(
            "Open synthetic...", "open_synthetic", "A synthetic volume made before", self._ask_synthetic
        )
        self.row(self._make, self._open)
        self._state = self.text("state", "Open a case in Cases; choose generators, or a synthetic volume of it.")
        self._draw_comparison()

    def _draw_comparison(self) -> None:
        form = self.form()
        self._way = self.part(QComboBox(), "way", "How the two are laid beside, or into, each other")
        self._way.addItems([BESIDE, CURTAIN, CHECKERBOARD])
        self._way.currentTextChanged.connect(lambda _way: self._show())
        form.addRow("show", self._way)
        self._slider = self.part(
            QSlider(Qt.Orientation.Horizontal), "edge", "Where the curtain hangs, or how large the fields are"
        )
        self._slider.setRange(1, _SLIDER)
        self._slider.setValue(_SLIDER // 2)
        self._slider.valueChanged.connect(lambda _value: self._mix())
        form.addRow("edge", self._slider)
        self._regions = self.part(ReadOnlyTable(_HEADS, name=0), "regions", "How alike they are, by region")
        self._regions.setMinimumHeight(130)
        self.column.addWidget(self._regions, 1)
        self._back = self.button("Back to the case", "back_to_case", "Take the comparison away", self.back_to_case)
        self.column.addWidget(self._back)
        note = self.text("mark", f"What a network made is called {MARK} and is refused wherever labels are learned.")
        note.setEnabled(False)

    # -- following ----------------------------------------------------------------------------

    def _case_changed(self, case: Case | None) -> None:
        self.back_to_case()
        self._modality.clear()
        if case is not None:
            self._modality.addItems([name for name in in_order(case.modalities) if not case.modalities[name].synthetic])
        self._refresh()

    def _progressed(self, update: Update) -> None:
        self._say(progress_words(update))
        if update.ended and update.state == "failed":
            show_error(str(update.reason))
        case = self._made_for
        if update.ended and update.state == "done" and case is self.session.case and case is not None:
            self._compare_made(case)
        self._refresh()

    def _compare_made(self, case: Case) -> None:
        assert self.monitor.path is not None
        folder = self.monitor.path / case.id
        made = {stem(file): file for file in sorted(folder.iterdir()) if is_image(file) and read_header(file).synthetic}
        both = [name for name in made if name in case.modalities]
        if both:
            self._modality.setCurrentText(both[0])
            self.compare(both[0], made[both[0]])
        elif made:
            self._say(f"made {', '.join(made)}, which this person lacks: there is nothing real to compare with")

    def _refresh(self) -> None:
        ready = self._weights is not None and self.session.case is not None
        self._make.setEnabled(ready and not self.monitor.active)
        self._open.setEnabled(self.session.case is not None)
        shown = self.compared is not None
        self._way.setEnabled(shown)
        self._slider.setEnabled(shown and self._way.currentText() != BESIDE)
        self._back.setEnabled(shown)

    def _show(self) -> None:
        if self.compared is None or self._of is None:
            return
        case, modality = self._of
        beside = self._way.currentText() == BESIDE
        made = beside_layers(self.compared, case.id, modality)
        if not beside:
            made = [mixed_layer(self.compared, self._mixed(), case.id, modality)]
        for layer in self._stage.show(made, (2, 2) if beside else (1, 1)):
            if MARK in layer.name:
                keep_mark(layer, layer.name)
        self._say(f"'{case.id}', {modality}: {'real, synthetic, error, SSIM' if beside else self._way.currentText()}")
        self._refresh()

    def _mixed(self) -> Any:
        assert self.compared is not None
        share = self._slider.value() / _SLIDER
        if self._way.currentText() == CURTAIN:
            return curtain(self.compared.real, self.compared.synthetic, share)
        cell = max(1, round(share * max(self.compared.real.shape) / 2))
        return checkerboard(self.compared.real, self.compared.synthetic, cell)

    def _mix(self) -> None:
        for layer, origin in self._stage.view.ours():
            if (origin.role or "").startswith(f"{ROLE}real and"):
                layer.data = self._mixed()

    def _show_regions(self, regions: Mapping[str, Mapping[str, float]]) -> None:
        self._regions.forget_rows()
        for name, found in regions.items():
            numbers = ((found["ssim"], 3), (found["psnr_db"], 1), (found["mean_error"], 2), (found["volume_ml"], 1))
            words = (f"{value:.{digits}f}" if math.isfinite(value) else "–" for value, digits in numbers)
            self._regions.add_row((name, *words))

    def back_to_case(self) -> None:
        """Take the comparison away and show the case again."""
        self.compared, self._of = None, None
        self._stage.clear()
        self._regions.forget_rows()
        self._refresh()

    # -- asking -------------------------------------------------------------------------------

    def _ask_weights(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Run folder of a synthesis training", str(runs_folder()))
        if folder:
            self.set_weights(Path(folder))

    def _ask_synthetic(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Synthetic volume", "", "Volumes (*)")
        if chosen:
            self.compare(self._modality.currentText(), Path(chosen))

    def _say(self, sentence: str) -> None:
        self._state.setText(sentence)
