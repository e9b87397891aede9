"""What the pictures of the documentation show, one function for each: the widgets are driven as a person would."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QApplication, QScrollArea

_LIMIT_S = 300.0
_SETTLE_S = 0.6


@dataclass(frozen=True)
class Material:
    """What is shown, and where the pictures go; ``synthesis`` may be missing."""

    cohort: Path
    pretrain: Path
    finetune: Path
    predictions: Path
    synthesis: Path
    case: str
    out: Path


@dataclass(frozen=True)
class Scene:
    """A picture: its name, the widget in front, what brings it about, and what takes it away again."""

    name: str
    widget: str
    show: Callable[[Any, Any, Material], None]
    leave: Callable[[Any, Any], None] = lambda viewer, widget: None
    #: Taken by ``mmssl demo`` too.
    demo: bool = False

    def possible(self, material: Material) -> bool:
        """Whether there is what it shows."""
        return self.widget != "Synthesis" or material.synthesis.is_dir()


def open_case(cases: Any, material: Material) -> None:
    """Open the cohort and its case in the widget ``cases``."""
    session = cases.session
    cases.open_cohort(material.cohort)
    wait(lambda: session.cohort is not None, f"the cohort '{material.cohort}'")
    case = session.cohort.case(material.case)
    cases.open_case(case)
    wait(lambda: session.case is case, f"the case '{material.case}'")


def wait(condition: Callable[[], bool], what: str) -> None:
    """Let Qt work until ``condition()``.

    Raises
    ------
    TimeoutError
        After five minutes.
    """
    end = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not show within {_LIMIT_S:.0f} s")
        QApplication.processEvents()
        time.sleep(0.01)


def settle() -> None:
    """Let layouts, drawing and sliding notifications come to rest."""
    end = time.monotonic() + _SETTLE_S
    wait(lambda: time.monotonic() > end, "nothing")


def _planes(viewer: Any, cases: Any, material: Material) -> None:
    from napari_mmssl.viewer.workspace import open_planes

    open_planes(viewer)


def _no_planes(viewer: Any, cases: Any) -> None:
    from napari_mmssl.viewer.workspace import PLANES

    viewer.window.remove_dock_widget(viewer.window.dock_widgets[PLANES].parent())


def _puzzle(viewer: Any, pretext: Any, material: Material) -> None:
    pretext.set_run(material.pretrain)
    pretext.show_last_picture()
    wait(lambda: pretext.controls.shows_puzzle, "the puzzle")


def _no_puzzle(viewer: Any, pretext: Any) -> None:
    pretext.controls.clear()


def _map(viewer: Any, pretext: Any, material: Material) -> None:
    pretext.set_run(material.pretrain)
    pretext.map.start()
    wait(lambda: pretext.map.map is not None, "the map")
    settle()
    pretext.findChild(QScrollArea).ensureWidgetVisible(pretext.map)


def _synthesis(viewer: Any, synthesis: Any, material: Material) -> None:
    synthesis.set_weights(material.synthesis)
    synthesis.make()
    wait(lambda: synthesis.compared is not None, "the synthetic volume")


def _no_synthesis(viewer: Any, synthesis: Any) -> None:
    synthesis.back_to_case()
    synthesis.parent().hide()


def _align(viewer: Any, align: Any, material: Material) -> None:
    align.preview()
    wait(lambda: align.fits.shown, "the preview of an alignment")


def _no_align(viewer: Any, align: Any) -> None:
    align.leave_preview()
    align.parent().hide()


def _training(viewer: Any, train: Any, material: Material) -> None:
    train.open_run(material.pretrain)
    wait(lambda: train.monitor.last is not None and train.monitor.last.ended, "the curves")


def _runs(viewer: Any, runs: Any, material: Material) -> None:
    runs.set_folder(material.pretrain.parent)
    wait(lambda: bool(runs.table.rows), "the runs")
    runs.select([row.path for row in runs.table.rows if row.kind == "finetune"])


def _overlay(viewer: Any, segment: Any, material: Material) -> None:
    segment.set_weights(material.finetune)
    segment.show_prediction(material.predictions, segment.session.case)
    wait(lambda: segment.measured is not None, "the prediction")


SCENES = (
    Scene("cases", "Cases", _planes, _no_planes),
    Scene("align", "Align", _align, _no_align),
    Scene("puzzle", "Pretext", _puzzle, _no_puzzle, demo=True),
    Scene("map", "Pretext", _map),
    Scene("synthesis", "Synthesis", _synthesis, _no_synthesis),
    Scene("training", "Train", _training, demo=True),
    Scene("runs", "Runs", _runs),
    Scene("overlay", "Segment", _overlay, demo=True),
)
