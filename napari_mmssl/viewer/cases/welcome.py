"""What stands in the Cases widget before there is a cohort: what the widgets are for, and somebody to try them on."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QWidget

from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.sample_data import sample_folder

_WORDS = (
    "<p><b>Begin here</b>: choose a folder of cases above, or drop one here. The scans are only read.</p>"
    "<p><b>Cases</b> opens people one after the other and says what is odd about their scans.<br>"
    "<b>Pretext</b> shows what a network is asked before it has seen any label.<br>"
    "<b>Train</b> starts a training and shows it at work; <b>Runs</b> lists all of them.<br>"
    "<b>Segment</b> lets a trained network draw, for you to judge, correct and save.</p>"
    "<p>No scans at hand? Somebody can be made up:</p>"
)


def draw_welcome(panel: Panel, open_cohort: Callable[[Path], None]) -> QWidget:
    """Add the words and the button to the column of ``panel``; return what holds both, to be shown or hidden."""

    def begin() -> None:
        button.setEnabled(False)
        button.setText("drawing somebody ...")
        panel.in_thread(lambda: sample_folder("glioma"), done, failed)

    def done(folder: Path) -> None:
        ready()
        open_cohort(folder)

    def failed(_sentence: str) -> None:
        # napari shows the sentence.
        ready()

    def ready() -> None:
        button.setEnabled(True)
        button.setText("Open a made-up person")

    with panel.group() as group:
        panel.text("welcome", _WORDS)
        button = panel.button(
            "Open a made-up person",
            "open_sample",
            "A phantom with a glioma, drawn on this computer from average anatomy; nothing is downloaded",
            begin,
        )
        panel.column.addWidget(button)
        panel.column.addStretch()
    return group
