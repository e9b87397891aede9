"""A folder dropped on the window: its first case is shown. A large one is looked through on a thread."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

from napari import current_viewer
from napari.utils.notifications import show_error, show_info, show_warning

from napari_mmssl.cohorts.case import Cohort
from napari_mmssl.errors import MmsslError
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


def open_small_folder(viewer: Any, folder: Path) -> None:
    """Show the first case in ``folder`` and hand cohort and case to the session; say so if there is none."""
    try:
        _show(viewer, *first_case(folder))
    except MmsslError as error:
        show_error(str(error))


def open_large_folder(viewer: Any, folder: Path) -> None:
    """Do as :func:`open_small_folder`, and check the cohort, on a thread."""

    def work() -> tuple[Cohort, Opened]:
        from napari_mmssl.cohorts.checks import check_cohort

        cohort, opened = first_case(folder)
        return check_cohort(cohort), opened

    def gone() -> bool:
        return current_viewer() is None

    show_info(f"looking through '{folder.name}' ...")
    in_thread(
        work,
        lambda found: _show(viewer, *found),
        lambda _sentence: None,
        name=f"looking through {folder.name}",
        unwanted=gone,
        shown=True,
    )


def first_case(folder: Path) -> tuple[Cohort, Opened]:
    """Find the cohort in ``folder`` and read its first case.

    Raises
    ------
    MmsslError
        If the folder is in no known layout, or nothing of the case can be shown.
    """
    from napari_mmssl.cohorts.find import find_cohort

    cohort = find_cohort(folder)
    first = cohort.cases[0]
    opened = read_case(first, cohort.layout, cohort.label_names)
    if not opened.layers:
        # Of series that are no volumes, the findings say why.
        why = opened.problems or tuple(finding.text for finding in first.findings)
        raise MmsslError(" ".join(why) or "there is nothing to show in this folder")
    return cohort, opened


def _show(viewer: Any, cohort: Cohort, opened: Opened) -> None:
    """Show the first case of ``cohort`` as *Cases* does: in the plane of its slices, the finest scan on top."""
    notes = CaseView(viewer).show(opened)
    session = session_of(viewer)
    session.cohort, session.case = cohort, cohort.cases[0]
    for problem in opened.problems:
        show_warning(problem)
    several = [how_many(cohort)] if len(cohort.cases) > 1 else []
    for note in (*several, *(note for note in notes if note not in opened.problems)):
        show_info(note)


def how_many(cohort: Cohort) -> str:
    """Return the sentence that says how many cases there are and where the others are listed."""
    return (
        f"'{cohort.root.name}' holds {len(cohort.cases)} cases ({cohort.layout}); '{cohort.cases[0].id}' is open, "
        "Plugins > MMSSL > Cases lists the others"
    )
