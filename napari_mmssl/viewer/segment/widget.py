"""The Segment widget: let a trained network draw a label map over the case in hand, judge it, correct it, save it."""

from pathlib import Path
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QProgressBar

from napari_mmssl.cohorts.case import Case
from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.layers.case_view import mark_saved
from napari_mmssl.viewer.layers.layer_data import complete_classes, origin_of, to_label_map
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.places import data_folder, free_folder
from napari_mmssl.viewer.reading import with_known_classes
from napari_mmssl.viewer.runs.following import Update, progress_words
from napari_mmssl.viewer.runs.monitor import Launch, RunMonitor
from napari_mmssl.viewer.runs.weights import weights_problem
from napari_mmssl.viewer.segment.drawn import Drawn, Measured, Named, measure, read_drawn, read_elsewhere, value_words
from napari_mmssl.viewer.segment.drawn_layers import SegmentLayers
from napari_mmssl.viewer.segment.keeping import Keeping
from napari_mmssl.viewer.segment.legend import LegendTable, class_volumes
from napari_mmssl.viewer.segment.lesions import LesionTable
from napari_mmssl.viewer.segment.trials import ModalityBoxes, TrialTable
from napari_mmssl.viewer.segment.weights_field import WeightsField
from napari_mmssl.viewer.writers import layers_of, save_labels
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.launch import start

#: Scores and lesions are told anew when nothing was painted for so long.
_REST_MS = 400


class SegmentWidget(Panel):
    """Weights, case, run; then overlay, volumes, lesions, scores; correct; save."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_segment")
        self.monitor = RunMonitor(self, launch=launch)
        self.monitor.updated.connect(self._progressed)
        #: The label map that is shown and saved, once there is one: as drawn, or as corrected.
        self.layer: Labels | None = None
        #: What was drawn, unchanged.
        self.drawn: Drawn | None = None
        #: What was measured of it last.
        self.measured: Measured | None = None
        self._predicted: Case | None = None
        self._without: tuple[str, ...] = ()
        self._corrects = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._measure_all)
        self._draw()
        self.listen(self.session.case_changed, self._case_changed)
        self.listen(self.session.run_changed, self._offer)
        self._offer(self.session.run)
        self._case_changed(self.session.case)

    def set_weights(self, path: Path) -> None:
        """Use the weights in ``path``, a fine-tuning's run folder or a weights folder; say why if that cannot be."""
        self.weights.take(path)

    def start(self) -> None:
        """Let the network answer for the case in hand, in a process."""
        case, cohort = self.session.case, self.session.cohort
        if case is None or cohort is None or self.weights.path is None:
            return
        self._predicted, self._without = case, self._modalities.left_out()
        out = free_folder(data_folder() / "predictions", case.id, self.weights.path.name)
        out.parent.mkdir(parents=True, exist_ok=True)
        arguments = [
            "predict",
            str(cohort.root),
            "--weights",
            str(self.weights.path),
            "--out",
            str(out),
            "--case",
            case.id,
        ]
        arguments += [word for name in self._without for word in ("--without", name)]
        if not self.weights.gives_values:
            arguments += ["--save-entropy", *(["--save-probabilities"] if self._more.isChecked() else [])]
        self._progress.setRange(0, 0)
        self.monitor.start(arguments, out, "segmenting")
        self._refresh()

    def show_prediction(self, folder: Path, case: Case) -> None:
        """Lay the label map that a prediction wrote for ``case`` into ``folder`` over the case."""
        without, named = self._without, self._named(case)
        self.in_thread(lambda: read_drawn(folder, case, without, named), self._lay_over, self._say)

    def open_elsewhere(self, file: Path) -> None:
        """Lay a label map made by another program over the case in hand, as if it were predicted here."""
        case = self.session.case
        if case is not None:
            named = self._named(case)
            self.in_thread(lambda: read_elsewhere(file, case, named), self._lay_over, self._say)

    def _named(self, case: Case) -> Named:
        """Return what names the classes of label maps of ``case`` as its cohort does."""
        cohort = self.session.cohort
        layout, names = (cohort.layout, cohort.label_names) if cohort is not None else ("", {})
        return lambda label_map: with_known_classes(label_map, layout, case, names)

    def correct(self) -> None:
        """Begin to paint on a copy of what was drawn, which itself stays as it is."""
        if self.layer is None or self.drawn is None or self._corrects:
            return
        self.layer = self._layers.begin_correction(self.layer, self.drawn)
        self.layer.events.paint.connect(self._measure)
        self.viewer.layers.selection.active = self.layer
        self.layer.mode = "paint"
        self._corrects = True
        self._say("paint on 'corrected'; Ctrl+Z takes a stroke back, 'Keep correction' saves it")
        self._refresh()

    def save(self, path: Path) -> None:
        """Save the label map, as corrected, to ``path`` in the space of the scan."""
        if self.layer is None:
            return
        try:
            data, state, _ = self.layer.as_layer_data_tuple()
            if self._predicted and path.resolve() in {
                scan.path.resolve() for scan in self._predicted.modalities.values()
            }:
                raise MmsslError(f"'{path}' is the scan itself and scans are never changed; choose another name")
            notes = save_labels(path, data, state, layers_of(self.viewer))
        except MmsslError as error:
            self._say(str(error))
            show_error(str(error))
            return
        mark_saved(self.layer)
        self._say("; ".join((f"saved: {path}", *notes)))

    def removed(self) -> None:
        """Leave a prediction at work to itself and say so."""
        if self.monitor.active:
            self.monitor.leave()
            show_info(f"the segmentation goes on by itself; its label map will be in '{self.monitor.path}'")

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        form = self.form()
        self.weights = WeightsField(self, form, self._weights_chosen)
        self._case = self.case_field()
        form.addRow("case", self._case)
        self._modalities = ModalityBoxes(self)
        form.addRow("sees", self._modalities)
        self.weights.draw_card()
        self._draw_running()
        # Empty tables would only make a person look for what should be in them.
        with self.group() as self._judged:
            self._draw_judging()
        self._draw_saving()
        self.column.addStretch()
        note = self.text("research_use", "Research use only: not a medical device.")
        note.setEnabled(False)

    def _draw_running(self) -> None:
        self._start = self.button("Segment", "start", "Let the network draw the label map of this case", self.start)
        self._cancel = self.button("Cancel", "cancel", "End the prediction", lambda: self.monitor.order("cancel"))
        self._elsewhere = self.button(
            "Label map...",
            "open_elsewhere",
            "A label map made by another program, shown as a prediction",
            self._ask_elsewhere,
        )
        self.row(self._start, self._cancel, self._elsewhere)
        self._more = self.part(
            QCheckBox("write probabilities of each class too"), "write_probabilities", "Takes space on disk"
        )
        self.column.addWidget(self._more)
        self._progress = self.part(QProgressBar(), "progress")
        self.column.addWidget(self._progress)
        self._state = self.text("state")

    def _draw_judging(self) -> None:
        self._legend = LegendTable()
        self._legend.itemSelectionChanged.connect(self._pick_class)
        self.column.addWidget(self._legend)
        self._layers = SegmentLayers(self)
        self._layers.add_to(self)
        self._lesions = LesionTable(self)
        self._lesions.add_to(self)
        self._lesions.together_changed.connect(lambda _on: self._measure_all())
        self._trials = TrialTable(self)
        self._trials.cellClicked.connect(lambda row, _column: self._lay_over(self._trials.drawn(row)))
        self.column.addWidget(self._trials)

    def _draw_saving(self) -> None:
        self._correct = self.button(
            "Correct", "correct", "Paint on a copy; what was drawn is kept as it is", self.correct
        )
        self._keeping = Keeping(self, self._labels_now, self._say, self._mark_kept)
        self._save = self.button(
            "Save as...", "save", "Save the label map, as corrected, in the space of the scan", self._ask_save
        )
        self._suffix = self.part(QComboBox(), "file_format", "File format; .dcm: DICOM segmentation")
        self._suffix.addItems([".nii.gz", ".nrrd", ".mha", ".nii", ".dcm"])
        self.row(self._correct, self._keeping.keep, self._keeping.learn)
        self.row(self._save, self._suffix, self._keeping.report)

    # -- following ----------------------------------------------------------------------------

    def _case_changed(self, case: Case | None) -> None:
        self._case.setText("" if case is None else case.id)
        self._modalities.show_case(case, self.weights.modalities)
        if self.drawn is None or case is not self.drawn.case:
            self.layer, self.drawn, self._corrects = None, None, False
            self._legend.show_volumes([])
            self._lesions.show_lesions((), None)
            self._lesions.show_unsure(())
            self._trials.forget()
            self._layers.refresh()
        self._refresh()

    def _weights_chosen(self) -> None:
        self._modalities.show_case(self.session.case, self.weights.modalities)
        self._refresh()

    def _offer(self, run: Path | None) -> None:
        """Take the run last trained when it can segment and nothing was chosen yet."""
        if run is not None and weights_problem(run, "finetune") is None:
            self.set_weights(run)
        self._refresh()

    def _refresh(self) -> None:
        ready = self.weights.path is not None and self.session.case is not None
        self._start.setEnabled(ready and not self.monitor.active)
        self._cancel.setEnabled(self.monitor.active)
        self._progress.setVisible(self.monitor.active)
        self._elsewhere.setEnabled(self.session.case is not None)
        drawn = self.layer is not None
        self._judged.setVisible(drawn)
        self._save.setEnabled(drawn)
        self._correct.setEnabled(drawn and not self._corrects)
        self._keeping.refresh(drawn=drawn, corrected=self._corrects)

    def _progressed(self, update: Update) -> None:
        # One case is one step: a bar that is busy says more than one that jumps from 0 to 1.
        busy = not update.ended and update.total <= 1
        self._progress.setRange(0, 0 if busy else max(1, update.total))
        self._progress.setValue(update.step)
        self._say("segmenting ..." if busy and update.state == "running" else progress_words(update))
        if update.ended and update.state == "failed":
            show_error(str(update.reason))
        if update.ended and self._predicted is not None and self.monitor.path is not None and update.state == "done":
            self._take(self.monitor.path, self._predicted)
        self._refresh()

    def _take(self, folder: Path, case: Case) -> None:
        if self.weights.gives_values:
            self.in_thread(lambda: value_words(folder, case.id), self._say, self._say)
        else:
            self.show_prediction(folder, case)

    def _lay_over(self, drawn: Drawn) -> None:
        if self.session.case is not drawn.case:
            self._say(f"'{drawn.case.id}' is segmented: {drawn.file}; open the case again to see it")
            return
        self._predicted, self.drawn, self._corrects = drawn.case, drawn, False
        self.layer = self._layers.show(drawn)
        # What a network said stays as it said it: a person paints on a copy.
        self.layer.editable, self.layer.contour = False, 0
        self.layer.events.paint.connect(self._measure)
        self._lesions.show_unsure(drawn.unsure)
        outlined = "; outlined: the label map that the case has" if self._layers.has_reference else ""
        lacking = f", without {', '.join(drawn.lacking)}, which this case lacks" if drawn.lacking else ""
        self._say(f"filled: {f'what the network drew{lacking}' if drawn.record else drawn.file.name}{outlined}")
        self._measure()
        self._measure_all()
        self._refresh()

    def _measure(self, event: Any = None) -> None:
        """Tell volumes at once, and the rest when the brush rests."""
        if self.layer is None:
            return
        data, state, _ = self.layer.as_layer_data_tuple()
        origin = origin_of(state, data.shape)
        if origin is not None:
            classes = complete_classes(data, origin.classes)
            self._legend.show_painted(class_volumes(data, origin.geometry.voxel_ml, classes))
        self._rest.start()

    def _measure_all(self) -> None:
        self._rest.stop()
        found = self._labels_now()
        if found is None:
            return
        drawn, labels, corrected = found
        together = self._lesions.together

        def done(measured: Measured) -> None:
            if self.drawn is drawn and self.layer is not None:
                self._tell(measured, drawn, labels, corrected)

        self.in_thread(lambda: measure(drawn, labels, together=together), done, self._say)

    def _tell(self, measured: Measured, drawn: Drawn, labels: LabelMap, corrected: bool) -> None:
        self.measured = measured
        classes = complete_classes(labels.array, labels.classes)
        volumes = class_volumes(labels.array, labels.geometry.voxel_ml, classes)
        self._legend.show_volumes(volumes, measured.difference)
        self._lesions.show_lesions(measured.lesions, labels.geometry)
        self._layers.show_difference(measured.difference, drawn)
        if self.layer in self.viewer.layers:
            self.viewer.layers.selection.active = self.layer
        if not corrected:
            self._trials.add(drawn, measured)
        if measured.remark:
            self._say(measured.remark)
        elif not labels.array.any():
            self._say(f"nothing was found: not one voxel of '{drawn.case.id}' has a class")

    def _labels_now(self) -> tuple[Drawn, LabelMap, bool] | None:
        """Return what was drawn, its label map as it is now, and whether that is a correction."""
        if self.layer is None or self.drawn is None:
            return None
        data, state, _ = self.layer.as_layer_data_tuple()
        try:
            labels = to_label_map(data, state)
        except MmsslError as error:
            self._say(str(error))
            return None
        # Painting goes on while a thread measures.
        return self.drawn, LabelMap(labels.array.copy(), labels.geometry, labels.classes), self._corrects

    def _mark_kept(self) -> None:
        if self.layer is not None:
            mark_saved(self.layer)
        self._refresh()

    def _pick_class(self) -> None:
        """Paint with the class whose row was clicked."""
        row = self._legend.currentRow()
        if self.layer is None or row < 0:
            return
        origin = origin_of(self.layer.as_layer_data_tuple()[1], self.layer.data.shape)
        if origin is not None and row < len(origin.classes):
            self.viewer.layers.selection.active = self.layer
            self.layer.selected_label = origin.classes[row].value

    # -- asking -------------------------------------------------------------------------------

    def _ask_elsewhere(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Label map made elsewhere", "", "Label maps (*)")
        if chosen:
            self.open_elsewhere(Path(chosen))

    def _ask_save(self) -> None:
        suffix = self._suffix.currentText()
        name = f"{self._predicted.id if self._predicted else 'labels'}_seg{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save label map", name, f"*{suffix}")
        if chosen:
            self.save(Path(chosen if chosen.endswith(suffix) else chosen + suffix))

    def _say(self, sentence: str) -> None:
        self._state.setText(sentence)
