"""The checks that read voxels, in a process of their own: minutes of work that no thread of the viewer should do."""

import json
import sys
from pathlib import Path

from qtpy.QtCore import QObject, QProcess, Signal

from napari_mmssl.cohorts.case import Finding


class VoxelChecks(QObject):
    """Run ``mmssl inspect`` on a cohort and tell what it found; one at a time, ended with its parent."""

    #: Case id to findings, those of the headers included.
    found = Signal(object)
    #: One sentence.
    failed = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None

    @property
    def is_running(self) -> bool:
        """Whether a check is on its way."""
        return self._process is not None

    def start(self, root: Path) -> None:
        """Check the cohort in ``root``; an earlier check is given up."""
        self.stop()
        process = QProcess(self)
        process.finished.connect(lambda *_: self._ended(process))
        process.errorOccurred.connect(lambda *_: self._ended(process))
        self._process = process
        process.start(sys.executable, ["-m", "napari_mmssl", "inspect", str(root), "--json"])

    def stop(self) -> None:
        """Give up the check that is on its way, if any."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(2000)
            process.deleteLater()

    def _ended(self, process: QProcess) -> None:
        running = self._process is process
        if not running:
            return
        self._process = None
        output = bytes(process.readAllStandardOutput().data())
        words = bytes(process.readAllStandardError().data()).decode("utf-8", "replace").strip().splitlines()
        process.deleteLater()
        try:
            cases = json.loads(output)["cases"]
        except (ValueError, KeyError):
            self.failed.emit(words[-1] if words else "the checks ended without a result")
            return
        self.found.emit(
            {case["id"]: tuple(Finding(one["kind"], one["text"]) for one in case["findings"]) for case in cases}
        )
