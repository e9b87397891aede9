"""What the widgets of one viewer share: the cohort, the case and the run in hand. Knows no Qt and no napari.

Widgets never import each other; each reads and sets this and listens to its signals.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.viewer.layers.anatomy import Convention
from napari_mmssl.viewer.preferences import preference


class Session:
    """The cohort, case and run that the widgets of one viewer work on; ``None`` while there is none."""

    cohort_changed = Signal(object)
    case_changed = Signal(object)
    run_changed = Signal(object)
    #: A case is to be opened, by whoever opens cases.
    open_asked = Signal(object)
    #: A run folder is to be shown, or gone on with, by whoever watches runs.
    attach_asked = Signal(object)
    resume_asked = Signal(object)

    def __init__(self, convention: Convention = "radiological") -> None:
        self._cohort: Cohort | None = None
        self._case: Case | None = None
        self._run: Path | None = None
        #: Which side of the screen the patient's right is on.
        self.convention = convention

    @property
    def cohort(self) -> Cohort | None:
        """The cohort in hand; setting another one drops the case unless it belongs to it."""
        return self._cohort

    @cohort.setter
    def cohort(self, cohort: Cohort | None) -> None:
        if cohort is self._cohort:
            return
        self._cohort = cohort
        self.cohort_changed.emit(cohort)
        if cohort is None or self._case not in cohort.cases:
            self.case = None

    @property
    def case(self) -> Case | None:
        """The case that is shown."""
        return self._case

    @case.setter
    def case(self, case: Case | None) -> None:
        if case is self._case:
            return
        self._case = case
        self.case_changed.emit(case)

    @property
    def run(self) -> Path | None:
        """The run folder last started, finished or chosen; others offer it as weights."""
        return self._run

    @run.setter
    def run(self, run: Path | None) -> None:
        if run == self._run:
            return
        self._run = run
        self.run_changed.emit(run)


_sessions: "WeakKeyDictionary[Any, Session]" = WeakKeyDictionary()


def plain(viewer: Any) -> Any:
    """Return the viewer behind the proxy that napari hands to widgets and commands."""
    return getattr(viewer, "__wrapped__", viewer)


def session_of(viewer: Hashable) -> Session:
    """Return the session of ``viewer``, the same one at every call; it goes when the viewer goes."""
    viewer = plain(viewer)
    if viewer not in _sessions:
        _sessions[viewer] = Session(preference("viewing", "convention", "radiological"))
    return _sessions[viewer]
