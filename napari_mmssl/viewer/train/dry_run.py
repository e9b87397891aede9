"""A few dry steps of what is chosen in Train, in a process: memory, time, and what fits if it does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_mmssl.errors import RunFailed
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.runs.following import duration_words
from napari_mmssl.viewer.runs.monitor import Launch, last_words
from napari_mmssl.viewer.train.form import Kind
from napari_mmssl.workflows.launch import Job


class DryRun:
    """Runs ``mmssl pretrain`` or ``finetune`` with ``--dry-run``, one at a time."""

    def __init__(self, panel: Panel, launch: Launch) -> None:
        self._panel, self._launch = panel, launch
        self._job: Job | None = None
        panel.at_end(self._end)

    @property
    def active(self) -> bool:
        """Whether one is at work."""
        return self._job is not None

    def start(self, kind: Kind, settings_file: Path, steps: int, say: Callable[[str], None]) -> None:
        """Try the settings in ``settings_file``, which is deleted afterwards, and ``say`` what came of it."""
        job = self._job = self._launch([kind, "--config", str(settings_file), "--dry-run", "--json"])

        def work() -> str:
            job.process.wait()
            settings_file.unlink(missing_ok=True)
            told = job.log.read_text(encoding="utf-8", errors="replace")
            # Code 1 is an answer too: it does not fit. Before the answer may stand warnings of libraries.
            found = told[told.index("\n{") + 1 :] if "\n{" in told else told
            try:
                return words(json.loads(found), steps)
            except ValueError:
                raise RunFailed(last_words(job) or "the dry run ended without a result") from None

        def done(sentence: str) -> None:
            self._job = None
            say(sentence)

        self._panel.in_thread(work, done, done)

    def _end(self) -> None:
        if self._job is not None:
            self._job.process.kill()


def words(found: dict[str, Any], steps: int) -> str:
    """Return what dry steps told, in a sentence or two."""
    if not found["fits"]:
        changes = ", ".join(found["proposal"] or ())
        way_out = f"what fits: {changes} (under All settings)" if changes else "a smaller encoder may fit"
        return f"too little memory on {found['device']} ({found['free_gib']:.1f} GiB are free); {way_out}"
    return (
        f"{duration_words(found['total_s'])} for {steps} steps on {found['device']}, looks at unseen subjects apart; "
        f"{found['memory_gib']:.1f} of {found['free_gib']:.1f} GiB that are free"
    )
