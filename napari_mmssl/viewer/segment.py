"""The Segment widget: let a trained network draw a label map over the case in hand, correct it, save it."""

from pathlib import Path
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QProgressBar, QPushButton

from napari_mmssl.cohorts.case import Case
from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.case_view import CaseView, mark_saved
from napari_mmssl.viewer.following import Update, progress_words
from napari_mmssl.viewer.layers import complete_classes, labels_layer, origin_of
from napari_mmssl.viewer.legend import LegendTable, class_volumes
from napari_mmssl.viewer.panel import Panel
from napari_mmssl.viewer.places import data_folder, free_folder, runs_folder
from napari_mmssl.viewer.run_monitor import Launch, RunMonitor
from napari_mmssl.viewer.training_form import weights_problem
from napari_mmssl.viewer.writers import PREDICTION_ROLE, layers_of, save_labels
from napari_mmssl.volumes.image_files import read_label_map
from napari_mmssl.volumes.volume import LabelMap
from napari_mmssl.workflows.launch import start

ROLE = PREDICTION_ROLE
_NO_WEIGHTS = (
    "No trained weights yet: fine-tune some in the Train widget, choose the run folder of a fine-tuning above, or run "
    "<code>mmssl demo</code>, which leaves some in <code>demo/finetune_pretrained</code>."
)


class SegmentWidget(Panel):
    """Weights, case, run; then overlay, volumes, save."""

    def __init__(self, napari_viewer: Any, *, launch: Launch = start) -> None:
        super().__init__(napari_viewer, "mmssl_segment")
        self._view = CaseView(self.viewer)
        self.monitor = RunMonitor(self, launch=launch)
        self.monitor.updated.connect(self._progressed)
        self._weights: Path | None = None
        #: The label map as it lies over the case, once there is one.
        self.layer: Labels | None = None
        self._predicted: Case | None = None
        self._draw()
        self.session.case_changed.connect(self._case_changed)
        self.session.run_changed.connect(self._offer)
        self._offer(self.session.run)
        self._case_changed(self.session.case)

    def set_weights(self, path: Path) -> None:
        """Segment with the run folder ``path`` of a fine-tuning; say why if it cannot be."""
        problem = weights_problem(path, "finetune")
        if problem is not None:
            show_error(problem)
            self._about.setText(problem)
            return
        self._weights = path
        self._weights_name.setText(path.name)
        self._weights_name.setToolTip(str(path))
        self._about.setText("")
        self._refresh()

    def start(self) -> None:
        """Let the network draw the case in hand, in a process."""
        case, cohort = self.session.case, self.session.cohort
        if case is None or cohort is None or self._weights is None:
            return
        self._predicted = case
        out = free_folder(data_folder() / "predictions", case.id, self._weights.name)
        out.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["predict", str(cohort.root), "--weights", str(self._weights), "--out", str(out), "--case", case.id]
        self._progress.setRange(0, 0)
        self.monitor.start(arguments, out, "segmenting")
        self._refresh()

    def show_prediction(self, folder: Path, case: Case) -> None:
        """Lay the label map that a prediction wrote for ``case`` into ``folder`` over the case."""
        file = folder / f"{case.id}.nii.gz"
        self.in_thread(lambda: read_label_map(file), lambda labels: self._lay_over(labels, file, case), self._say)

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
        self._weights_name = self.part(QLineEdit(), "weights", "Run folder of a fine-tuning")
        self._weights_name.setReadOnly(True)
        self._weights_name.setPlaceholderText("no trained weights")
        choose = self.part(QPushButton("..."), "choose_weights", "Choose the run folder of a fine-tuning")
        choose.clicked.connect(self._ask_weights)
        row = QHBoxLayout()
        row.addWidget(self._weights_name, 1)
        row.addWidget(choose)
        form.addRow("weights", row)
        self._case = self.part(QLineEdit(), "case", "The case that is open; chosen in the Cases widget")
        self._case.setReadOnly(True)
        self._case.setPlaceholderText("open a case in Cases")
        form.addRow("case", self._case)
        self._about = self.text("about")
        self._about.setText(_NO_WEIGHTS)
        self._start = self.part(QPushButton("Segment"), "start", "Let the network draw the label map of this case")
        self._cancel = self.part(QPushButton("Cancel"), "cancel", "End the prediction")
        self._start.clicked.connect(self.start)
        self._cancel.clicked.connect(lambda: self.monitor.order("cancel"))
        row = QHBoxLayout()
        row.addWidget(self._start)
        row.addWidget(self._cancel)
        self.column.addLayout(row)
        self._progress = self.part(QProgressBar(), "progress")
        self.column.addWidget(self._progress)
        self._state = self.text("state")
        self._legend = LegendTable()
        self._legend.itemSelectionChanged.connect(self._pick_class)
        self.column.addWidget(self._legend, 1)
        self._draw_saving()
        note = self.text("research_use", "Research use only: not a medical device.")
        note.setEnabled(False)

    def _draw_saving(self) -> None:
        self._save = self.part(
            QPushButton("Save as..."), "save", "Save the label map, as corrected, in the space of the scan"
        )
        self._save.clicked.connect(self._ask_save)
        self._suffix = self.part(QComboBox(), "file_format", "File format; .dcm: DICOM segmentation")
        self._suffix.addItems([".nii.gz", ".nrrd", ".mha", ".nii", ".dcm"])
        row = QHBoxLayout()
        row.addWidget(self._save, 1)
        row.addWidget(self._suffix)
        self.column.addLayout(row)

    # -- following ----------------------------------------------------------------------------

    def _case_changed(self, case: Case | None) -> None:
        self._case.setText("" if case is None else case.id)
        if case is not self._predicted:
            self._legend.show_volumes([])
            self.layer = None
        self._refresh()

    def _offer(self, run: Path | None) -> None:
        """Take the run last trained when it can segment and nothing was chosen yet."""
        if run is not None and weights_problem(run, "finetune") is None:
            self.set_weights(run)
        self._refresh()

    def _refresh(self) -> None:
        ready = self._weights is not None and self.session.case is not None
        self._start.setEnabled(ready and not self.monitor.active)
        self._cancel.setEnabled(self.monitor.active)
        self._save.setEnabled(self.layer is not None)

    def _progressed(self, update: Update) -> None:
        # One case is one step: a bar that is busy says more than one that jumps from 0 to 1.
        busy = not update.ended and update.total <= 1
        self._progress.setRange(0, 0 if busy else max(1, update.total))
        self._progress.setValue(update.step)
        self._say("segmenting ..." if busy and update.state == "running" else progress_words(update))
        if update.ended and update.state == "failed":
            show_error(str(update.reason))
        if update.ended and self._predicted is not None and self.monitor.path is not None and update.state == "done":
            self.show_prediction(self.monitor.path, self._predicted)
        self._refresh()

    def _lay_over(self, label_map: LabelMap, file: Path, case: Case) -> None:
        if self.session.case is not case:
            self._say(f"'{case.id}' is segmented: {file}; open the case again to see it")
            return
        layer_tuple = labels_layer(label_map, f"prediction · {case.id}", path=file, case=case.id, role=ROLE)
        self._predicted = case
        self.layer = self._view.add(layer_tuple)
        reference = self._view.of_role("label")
        if reference is not None:
            # Two filled maps over each other mix their colours; the reference becomes an outline.
            reference.contour = 1
        self.layer.events.paint.connect(self._measure)
        self._view.go_to_labels(self.layer)
        self._measure()
        self._refresh()

    def _measure(self, event: Any = None) -> None:
        if self.layer is None:
            return
        data, state, _ = self.layer.as_layer_data_tuple()
        origin = origin_of(state, data.shape)
        if origin is not None:
            classes = complete_classes(data, origin.classes)
            self._legend.show_volumes(class_volumes(data, origin.geometry.voxel_ml, classes))

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

    def _ask_weights(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Run folder of a fine-tuning", str(runs_folder()))
        if folder:
            self.set_weights(Path(folder))

    def _ask_save(self) -> None:
        suffix = self._suffix.currentText()
        name = f"{self._predicted.id if self._predicted else 'labels'}_seg{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save label map", name, f"*{suffix}")
        if chosen:
            self.save(Path(chosen if chosen.endswith(suffix) else chosen + suffix))

    def _say(self, sentence: str) -> None:
        self._state.setText(sentence)
