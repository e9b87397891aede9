"""A large folder dropped on the window: it is looked through on a thread, and the window stays alive."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

from napari import current_viewer
from napari.utils.notifications import show_info, show_warning

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.parts.background import in_thread
from napari_mmssl.viewer.reading import Opened, read_case
from napari_mmssl.viewer.session import session_of

#: Reading the headers of so many files takes a fraction of a second, also from a network share.
MOST_FILES_AT_ONCE = 60


def is_large(folder: Path) -> bool:
    """Whether ``folder`` holds more files than are looked through while a person waits; nothing is opened."""
    names = (name for _, _, files in os.walk(folder) for name in files)
    return len(list(islice(names, MOST_FILES_AT_ONCE + 1))) > MOST_FILES_AT_ONCE


def open_large_folder(viewer: Any, folder: Path) -> None:
    """Find the cohort in ``folder`` on a thread, then show its first case and hand both to the session."""

    def work() -> tuple[Cohort, Opened]:
        from napari_mmssl.cohorts.checks import check_cohort
        from napari_mmssl.cohorts.find import find_cohort

        cohort = check_cohort(find_cohort(folder))
        return cohort, read_case(cohort.cases[0], cohort.layout, cohort.label_names)

    def done(found: tuple[Cohort, Opened]) -> None:
        cohort, opened = found
        notes = CaseView(viewer).show(opened)
        session = session_of(viewer)
        session.cohort, session.case = cohort, cohort.cases[0]
        for problem in opened.problems:
            show_warning(problem)
        several = [how_many(cohort)] if len(cohort.cases) > 1 else []
        for note in (*several, *(note for note in notes if note not in opened.problems)):
            show_info(note)

    def gone() -> bool:
        return current_viewer() is None

    show_info(f"looking through '{folder.name}' ...")
    in_thread(work, done, lambda _sentence: None, name=f"looking through {folder.name}", unwanted=gone, shown=True)


def how_many(cohort: Cohort) -> str:
    """Return the sentence that says how many cases there are and where the others are listed."""
    return (
        f"'{cohort.root.name}' holds {len(cohort.cases)} cases ({cohort.layout}); '{cohort.cases[0].id}' is open, "
        "Plugins > MMSSL > Cases lists the others"
    )
