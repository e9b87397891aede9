"""The last lines of a run's log, for the person who wants to know more than the sentence says."""

from pathlib import Path

from qtpy.QtWidgets import QPlainTextEdit

from napari_mmssl.viewer.parts.panel import Panel

#: A log may be long, and on a network share.
_MOST_BYTES = 40_000


class RunLog(QPlainTextEdit):
    """Shows ``log.txt`` of a run; stays at the end unless a person scrolled up."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        panel.part(self, "run_log", "What the training wrote: warnings, and the details of a failure")
        self.setReadOnly(True)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setPlaceholderText("nothing logged")
        self._panel, self._reading = panel, False

    def refresh(self, run: Path | None) -> None:
        """Read the log of ``run`` on a thread and show it."""
        if run is None or self._reading:
            return
        self._reading = True
        self._panel.in_thread(lambda: last_lines(run / "log.txt"), self._show, lambda _words: self._show(""))

    def _show(self, words: str) -> None:
        self._reading = False
        if words == self.toPlainText():
            return
        bar = self.verticalScrollBar()
        at_end, before = bar.value() == bar.maximum(), bar.value()
        self.setPlainText(words)
        bar.setValue(bar.maximum() if at_end else before)


def last_lines(path: Path, most_bytes: int = _MOST_BYTES) -> str:
    """Return whole lines from the end of ``path``, at most ``most_bytes`` of them; nothing if there is no file."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, 2) - most_bytes)
            file.seek(start)
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if start else text
