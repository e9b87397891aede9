"""What changes when a modality is switched off: one row for each answer to the same case."""

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtWidgets import QCheckBox, QGridLayout, QWidget

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.modalities import in_order
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.parts.read_only_table import ReadOnlyTable
from napari_mmssl.viewer.segment.drawn import Drawn, Measured, mean_dice

_HEADS = (
    ("sequences seen", "What the network was given"),
    ("ml", "All classes together, in millilitres"),
    ("Dice", "Mean over the classes that are there, against the reference"),
    ("unsure", "Mean entropy where it is not plainly background: 0 sure, 1 all classes alike"),
)
#: So many answers are seen at once.
_MOST_SEEN = 4


class ModalityBoxes(QWidget):
    """A box for each modality of the case; what is switched off is not given to the network."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel = panel
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._boxes: list[QCheckBox] = []
        #: Of modalities that the network knows and the case lacks.
        self._absent: list[QCheckBox] = []

    def show_case(self, case: Case | None, known: Sequence[str] = ()) -> None:
        """Offer the modalities of ``case`` that a network knows, all switched on; all, while none is ``known``.

        What the network knows and the case lacks is seen too, and cannot be switched on.
        """
        for box in (*self._boxes, *self._absent):
            self._grid.removeWidget(box)
            box.hide()
            box.deleteLater()
        self._boxes, self._absent = [], []
        there = [name for name in (in_order(case.modalities) if case else ()) if not known or name in known]
        for n, name in enumerate(there):
            box = self._panel.part(QCheckBox(name), f"use_{name}", f"Give {name} to the network")
            box.setChecked(True)
            box.toggled.connect(self._keep_one)
            self._grid.addWidget(box, n // 4, n % 4)
            self._boxes.append(box)
        for n, name in enumerate((name for name in known if case and name not in case.modalities), len(there)):
            box = self._panel.part(
                QCheckBox(name), f"lacks_{name}", f"This case has no {name}, which the network knows"
            )
            box.setEnabled(False)
            self._grid.addWidget(box, n // 4, n % 4)
            self._absent.append(box)
        self._keep_one()

    def left_out(self) -> tuple[str, ...]:
        """Return the modalities that are switched off."""
        return tuple(box.text() for box in self._boxes if not box.isChecked())

    def _keep_one(self, _on: bool = False) -> None:
        on = [box for box in self._boxes if box.isChecked()]
        for box in self._boxes:
            # A network that is given nothing has nothing to say.
            box.setEnabled(not (len(on) == 1 and box is on[0]))


@dataclass(frozen=True)
class Trial:
    """An answer, and what is remembered of it."""

    drawn: Drawn
    volume_ml: float
    dice: float | None
    unsure: float | None


class TrialTable(ReadOnlyTable):
    """Answers to the case in hand, by what the network was given; a click on one shows it again."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(_HEADS, name=0)
        panel.part(self, "trials", "Each answer to this case; switch a sequence off and segment again to compare")
        self._trials: list[Trial] = []
        self.hide()

    def forget(self) -> None:
        """Empty the table: another case is open."""
        self._trials.clear()
        self._show()

    def add(self, drawn: Drawn, measured: Measured) -> None:
        """Add an answer; the one to the same question of the same file is replaced."""
        labels = drawn.labels
        volume_ml = float((labels.array > 0).sum()) * labels.geometry.voxel_ml
        trial = Trial(drawn, volume_ml, mean_dice(measured.difference), drawn.mean_entropy)
        self._trials = [one for one in self._trials if one.drawn.file != drawn.file] + [trial]
        self._show()

    def drawn(self, row: int) -> Drawn:
        """Return the answer in ``row``."""
        return self._trials[row].drawn

    def _show(self) -> None:
        # One answer stands in the legend; from the second on there is something to compare.
        self.setVisible(len(self._trials) > 1)
        self.forget_rows()
        for trial in self._trials:
            numbers = ("–" if value is None else f"{value:.2f}" for value in (trial.dice, trial.unsure))
            words = (_seen(trial.drawn), f"{trial.volume_ml:.1f}", *numbers)
            self.add_row(words, tip=str(trial.drawn.file))
        self.setFixedHeight(self.height_of(min(self.rowCount(), _MOST_SEEN)))


def _seen(drawn: Drawn) -> str:
    if drawn.without:
        return f"without {', '.join(drawn.without)}"
    return "all" if drawn.record else drawn.file.name
