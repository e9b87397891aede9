"""Which trained weights the Segment widget uses: a run folder, a weights folder, or a file that was handed on."""

from collections.abc import Callable, Mapping
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QFormLayout

from napari_mmssl.errors import MmsslError
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.viewer.parts.panel import Panel, beside
from napari_mmssl.viewer.places import runs_folder
from napari_mmssl.viewer.runs.weights import weights_problem
from napari_mmssl.workflows.report import card_rows

_NONE = (
    "No trained weights yet: fine-tune some in the Train widget, choose the run folder of a fine-tuning above, or run "
    "<code>mmssl demo</code>, which leaves some in <code>demo/finetune_pretrained</code>."
)


class WeightsField:
    """A field with two buttons in ``form``, and below it what the card says, once :meth:`draw_card` was called.

    Parameters
    ----------
    panel
        Whose threads are used.
    form
        Where the field goes.
    chosen
        Called once other weights are used.
    """

    def __init__(self, panel: Panel, form: QFormLayout, chosen: Callable[[], None]) -> None:
        self._panel, self._chosen = panel, chosen
        #: The weights in use.
        self.path: Path | None = None
        #: Whether they give values of whole cases instead of label maps.
        self.gives_values = False
        self._name = panel.told("weights", "no trained weights", "Run folder of a fine-tuning, or a weights folder")
        #: What they were trained with; empty while there are none.
        self.modalities: tuple[str, ...] = ()
        folder = panel.button("Folder...", "choose_weights", "Choose the run folder of a fine-tuning", self._ask_folder)
        file = panel.button(
            "File...", "import_weights", "Trained weights that somebody handed on as one file", self._ask_file
        )
        form.addRow("weights", beside(self._name, folder, file, wide=self._name))

    def draw_card(self) -> None:
        """Add the words of the card to the panel's column."""
        self._about = self._panel.text("about", _NONE)

    def take(self, path: Path) -> None:
        """Use the weights in ``path``; say why if that cannot be."""
        try:
            card = read_card(path)
        except MmsslError as error:
            card, problem = {}, str(error)
        else:
            problem = "" if card.get("kind") == "finetune" else str(weights_problem(path, "finetune"))
        if problem:
            show_error(problem)
            self._about.setText(problem)
            return
        self.path, self.gives_values = path, card.get("task") != "segmentation"
        self._name.setText(path.name)
        self._name.setToolTip(str(path))
        self.modalities = tuple(card.get("modalities", ()))
        rows = card_rows(card)
        self._about.setText(_about_words(dict(rows)))
        self._about.setToolTip("\n".join(f"{name}: {value}" for name, value in rows))
        self._chosen()

    def import_file(self, file: Path) -> None:
        """Use the weights in ``file``, which ``mmssl export`` wrote; it is unpacked and checked on a thread."""
        self._about.setText(f"unpacking '{file.name}' ...")
        self._panel.in_thread(lambda: read_card(file), lambda _card: self.take(file), self._about.setText)

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, "Run folder of a fine-tuning", str(runs_folder()))
        if folder:
            self.take(Path(folder))

    def _ask_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self._panel, "File that mmssl export wrote", "", "Weights (*.zip)")
        if chosen:
            self.import_file(Path(chosen))


def _about_words(rows: Mapping[str, str]) -> str:
    what = f"draws {rows['classes']}" if "classes" in rows else rows.get("task", "")
    return f"{what}, from {rows['sequences']}" if "sequences" in rows else what
