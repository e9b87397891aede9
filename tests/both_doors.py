"""Play the whole path through the widgets, then on the command line, and compare."""

import os
import time
from pathlib import Path

from qtpy.QtWidgets import QApplication, QComboBox, QDoubleSpinBox, QLineEdit, QPushButton, QSpinBox

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.segment.widget import SegmentWidget
from napari_mmssl.viewer.session import session_of
from napari_mmssl.viewer.train.widget import TrainWidget


def through_the_widgets(viewer, cohort: Path, out: Path, case: str, steps: int, coding: str) -> None:
    """Pretrain, fine-tune and segment with the widgets, into ``out``."""
    session = session_of(viewer)
    train, segment = TrainWidget(viewer), SegmentWidget(viewer)
    session.cohort = find_cohort(cohort)
    session.case = session.cohort.case(case)
    start(train, out / "pretrain", steps, goal="pretrain")
    train.fields.set_weights(str(out / "pretrain"))
    start(train, out / "finetune", steps, goal="finetune", coding=coding)
    segment.set_weights(out / "finetune")
    segment.start()
    wait_until(lambda: any(layer.name.startswith("prediction") for layer in viewer.layers))
    segment.save(out / f"{case}.nii.gz")
    for widget in (train, segment):
        widget.deleteLater()


def start(train: TrainWidget, out: Path, steps: int, *, goal: str, coding: str = "auto") -> None:
    """Fill the form, press start, and wait for the end."""
    box = train.findChild(QComboBox, "goal")
    wanted = ("taleb2020", "segmentation")
    names = [box.itemData(row) for row in range(box.count())]
    box.setCurrentIndex(next(row for row, one in enumerate(names) if one.kind == goal and one.name in wanted))
    train.findChild(QSpinBox, "steps").setValue(steps)
    train.findChild(QDoubleSpinBox, "label_fraction").setValue(0.5)
    train.findChild(QComboBox, "coding").setCurrentText(coding)
    train.findChild(QLineEdit, "out").setText(str(out))
    button = train.findChild(QPushButton, "start")
    button.click()
    wait_until(lambda: not button.isEnabled())
    wait_until(button.isEnabled)
    assert RunFolder(out).status()["state"] == "done", RunFolder(out).status()


def through_the_command_line(cohort: Path, out: Path, runs: Path, case: str) -> None:
    """Do the same with the settings that the widgets wrote, with as many threads as they use."""
    for kind in ("pretrain", "finetune"):
        assert main([kind, "--config", str(runs / kind / "run.toml"), "--out", str(out / kind)]) == 0
    arguments = ["--weights", str(out / "finetune"), "--out", str(out / "predictions"), "--case", case]
    assert main(["predict", str(cohort), *arguments]) == 0


def wait_until(true, seconds: float = 900) -> None:
    """Let Qt work until ``true()``."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it took too long"
        QApplication.processEvents()
        time.sleep(0.02)


def widget_threads() -> str:
    """Return how many threads a job started from the viewer uses."""
    return str(max(1, (os.cpu_count() or 2) - 1))
