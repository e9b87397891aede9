"""The form of the Train widget: goal, weights, encoder, budget, seed, labels, run folder."""

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QSpinBox,
)

from napari_mmssl.errors import ConfigError, MmsslError
from napari_mmssl.tasks.conventions import READY
from napari_mmssl.viewer.parts.folder_field import FolderField
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.places import free_folder, runs_folder
from napari_mmssl.viewer.preferences import preference
from napari_mmssl.viewer.runs.weights import weights_problem
from napari_mmssl.viewer.train.estimate import NOT_MEASURED, Measured, measured
from napari_mmssl.viewer.train.form import (
    NO_WEIGHTS,
    Goal,
    TrainingChoice,
    budgets,
    encoders,
    goals,
)
from napari_mmssl.viewer.train.sections import sections_of
from napari_mmssl.viewer.train.settings_form import SettingsForm

_MOST_STEPS = 10_000_000
_ON = "Folder with the cases; chosen in the Cases widget"
#: After the last change, before the estimate is made anew.
_PAUSE_MS = 300


class TrainingFields:
    """The fields, in a form of ``panel``; what was chosen is asked with :meth:`choice`."""

    def __init__(self, panel: Panel) -> None:
        self._panel, self._session = panel, panel.session
        self._weights = NO_WEIGHTS
        # Asked a little after the last change: typing a number of steps is many changes.
        self._timer = QTimer(panel)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._form = panel.form()
        self._draw_goal()
        #: Emits when another goal is chosen.
        self.goal_changed = self._goal.currentIndexChanged
        self._draw_network()
        self._draw_numbers()
        self._out: FolderField = panel.part(FolderField(runs_folder, "New run folder"), "out")
        self._form.addRow("into", self._out)
        self._estimate = panel.text("estimate")
        self._all = SettingsForm(panel)
        panel.column.addWidget(self._all)
        self._listen()
        # The settings of tasks take a moment to load; then the first fine-tuning that is chosen shows at once.
        panel.in_thread(lambda: [sections_of(goal) for goal in goals()[-1:]], lambda _: None, self._estimate.setText)
        self._list_weights()
        self._goal_changed()
        self._cohort_changed()

    def _listen(self) -> None:
        self._goal.currentIndexChanged.connect(self._goal_changed)
        self._panel.listen(self._session.cohort_changed, self._cohort_changed)
        self._panel.listen(self._session.run_changed, self._list_weights)
        for changed in (self._steps.valueChanged, self._size.currentTextChanged, self._all.changed):
            changed.connect(lambda *_: self._timer.start())
        self._timer.timeout.connect(self._ask_estimate)

    @property
    def goal(self) -> Goal:
        """What is to be trained."""
        goal: Goal = self._goal.currentData()
        return goal

    @property
    def out(self) -> Path | None:
        """The run folder to make; ``None`` if its name was taken away."""
        return self._out.folder

    @property
    def _root(self) -> Path:
        cohort = self._session.cohort
        return cohort.root if cohort else Path()

    def choice(self) -> TrainingChoice:
        """Return what is chosen.

        Raises
        ------
        ConfigError
            If there is no cohort yet.
        """
        if self._session.cohort is None:
            raise ConfigError("choose a folder with cases first, in the Cases widget")
        return self._choice()

    def _choice(self) -> TrainingChoice:
        return TrainingChoice(
            goal=self._goal.currentData(),
            cohort=self._root,
            weights=self._weights,
            encoder=self._encoder.currentText(),
            size=self._size.currentText(),
            steps=self._steps.value(),
            seed=self._seed.value(),
            label_fraction=self._fraction.value(),
            coding=self._coding.currentText(),
            assignments=self._all.assignments(),
            device=preference("computing", "device", "auto"),
        )

    def set_weights(self, weights: str) -> None:
        """Start fine-tuning from the run folder ``weights``, or from scratch with ``none``; say why if it cannot be."""
        problem = None if weights == NO_WEIGHTS else weights_problem(Path(weights), "pretrain")
        if problem is None:
            self._weights = weights
        else:
            show_error(problem)
        self._list_weights()
        self._encoder_follows_weights()
        self.suggest_out()

    def suggest_out(self) -> None:
        """Suggest a run folder that does not exist yet."""
        words = [self._goal.currentData().name, self._root.name]
        if self._goal.currentData().kind == "finetune":
            words.append("scratch" if self._weights == NO_WEIGHTS else "pretrained")
        self._out.folder = free_folder(runs_folder(), *words)

    # -- drawing ------------------------------------------------------------------------------

    def _draw_goal(self) -> None:
        self._goal = self._panel.part(QComboBox(), "goal", "What to train")
        for goal in goals():
            self._goal.addItem(goal.words, goal)
            self._goal.setItemData(self._goal.count() - 1, goal.summary, Qt.ItemDataRole.ToolTipRole)
        self._cohort = self._panel.told("cohort", "choose a folder in Cases", _ON)
        self._form.addRow("train", self._goal)
        self._form.addRow("on", self._cohort)

    def _draw_network(self) -> None:
        self._start_from = self._panel.part(QComboBox(), "weights", "Start from a pretraining, or from scratch")
        self._start_from.activated.connect(self._weights_chosen)
        self._encoder = self._panel.part(QComboBox(), "encoder", "Kind of network")
        self._size = self._panel.part(QComboBox(), "size", "tiny and small suit a CPU; paper wants a GPU")
        known = encoders()
        self._encoder.currentTextChanged.connect(lambda name: self._set_sizes(known[name]))
        self._encoder.addItems(list(known))
        self._form.addRow("from", self._start_from)
        self._form.addRow("encoder", _beside(self._encoder, self._size, stretch=(3, 2)))

    def _draw_numbers(self) -> None:
        self._budget = self._panel.part(
            QComboBox(), "budget", "smoke only shows that everything runs; full is what papers train, on a GPU"
        )
        self._steps = self._panel.part(QSpinBox(), "steps", "Training steps")
        self._steps.setRange(1, _MOST_STEPS)
        self._budget.currentIndexChanged.connect(lambda _row: self._steps.setValue(self._budget.currentData()))
        for name, steps in budgets().items():
            self._budget.addItem(name, steps)
        self._budget.setCurrentText("small")
        self._form.addRow("budget", _beside(self._budget, self._steps))
        self._seed = self._panel.part(QSpinBox(), "seed", "The same seed holds out the same people in every run")
        self._seed.setRange(0, 2**31 - 1)
        self._form.addRow("seed", self._seed)
        self._fraction = self._panel.part(
            QDoubleSpinBox(), "label_fraction", "Share of the training subjects whose labels count"
        )
        self._fraction.setRange(0.01, 1.0)
        self._fraction.setSingleStep(0.1)
        self._fraction.setValue(1.0)
        self._form.addRow("labels", self._fraction)
        self._coding = self._panel.part(
            QComboBox(), "coding", "What the label values mean; lesion takes every label above 0"
        )
        self._coding.addItems(["auto", *READY])
        self._form.addRow("coding", self._coding)

    def _set_sizes(self, sizes: list[str]) -> None:
        self._size.clear()
        self._size.addItems(sizes)

    # -- following ----------------------------------------------------------------------------

    def _goal_changed(self) -> None:
        goal: Goal = self._goal.currentData()
        self._goal.setToolTip(goal.summary)
        self._form.setRowVisible(self._start_from, goal.kind == "finetune")
        self._form.setRowVisible(self._fraction, goal.kind == "finetune")
        self._form.setRowVisible(self._coding, goal.draws_labels)
        self._encoder_follows_weights()
        self._all.show_sections(sections_of(goal))
        self.suggest_out()

    def _ask_estimate(self) -> None:
        """Look for a run like this one on a thread, and say how long it will take."""
        try:
            table = self._choice().settings_table()
        except MmsslError as error:
            self._estimate.setText(str(error))
            return
        steps = table["optimisation"]["steps"]

        def say(found: Measured | None) -> None:
            self._estimate.setText(NOT_MEASURED if found is None else found.words(steps))

        self._panel.in_thread(lambda: measured(table, runs_folder()), say, self._estimate.setText)

    def _encoder_follows_weights(self) -> None:
        own = self._goal.currentData().kind == "pretrain" or self._weights == NO_WEIGHTS
        self._encoder.setEnabled(own)
        self._size.setEnabled(own)

    def _cohort_changed(self, _cohort: Any = None) -> None:
        self._cohort.setText(self._root.name)
        self._cohort.setToolTip(f"{_ON}\n{self._root}" if self._session.cohort else _ON)
        self.suggest_out()

    def _list_weights(self, _run: Any = None) -> None:
        known = [Path(self._weights)] if self._weights != NO_WEIGHTS else []
        run = self._session.run
        if run is not None and run not in known and weights_problem(run, "pretrain") is None:
            known.append(run)
        self._start_from.clear()
        self._start_from.addItem("scratch (no weights)", NO_WEIGHTS)
        for path in known:
            self._start_from.addItem(path.name, str(path))
            self._start_from.setItemData(self._start_from.count() - 1, str(path), Qt.ItemDataRole.ToolTipRole)
        self._start_from.addItem("choose a run folder...", None)
        self._start_from.setCurrentIndex(max(0, self._start_from.findData(self._weights)))

    def _weights_chosen(self, row: int) -> None:
        chosen = self._start_from.itemData(row)
        if chosen is None:
            chosen = QFileDialog.getExistingDirectory(self._panel, "Run folder of a pretraining", str(runs_folder()))
        self.set_weights(chosen or self._weights)


def _beside(*widgets: Any, stretch: tuple[int, ...] = (0, 0)) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget, share in zip(widgets, stretch, strict=True):
        row.addWidget(widget, share)
    return row
