"""npe2 readers: files and folders dropped on the window or opened from the menu."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from napari import current_viewer
from napari.utils.notifications import show_error, show_info, show_warning

from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.dropped import first_case, is_large, open_large_folder, open_small_folder
from napari_mmssl.viewer.layers.layer_data import LayerTuple
from napari_mmssl.viewer.layers.orientation_letters import prepare_camera
from napari_mmssl.viewer.reading import Opened, read_file
from napari_mmssl.viewer.session import session_of
from napari_mmssl.volumes.image_files import DICOM_SUFFIXES, is_dicom, is_image

Reader: TypeAlias = Callable[[str], list[LayerTuple] | list[tuple[None]]]

#: Names looked at before a folder is declined, so that a home folder dropped by mistake costs no time.
_MOST_NAMES = 5000
#: Files without a telling name of which the first bytes are read.
_MOST_LOOKED_INTO = 20


def get_reader(path: str | list[str]) -> Reader | None:
    """Return what opens ``path``, or ``None`` fast if it is none of ours; nothing is opened here.

    Several files at once are for napari to open one by one; we stack nothing.
    """
    if not isinstance(path, str):
        return None
    target = Path(path)
    if target.is_dir():
        return open_folder if _holds_scans(target) else None
    known = is_image(target) or target.suffix.lower() in DICOM_SUFFIXES
    return open_file if known and target.is_file() else None


def open_file(path: str) -> list[LayerTuple] | list[tuple[None]]:
    """Open one image file as layers.

    Raises
    ------
    MmsslError
        If it cannot be read and there is no viewer to say so in.
    """
    return _shown(lambda: read_file(Path(path)))


def open_folder(path: str) -> list[LayerTuple] | list[tuple[None]]:
    """Open a case folder, or the first case of a folder of cases; the *Cases* widget then shows the others.

    Cases may be files or DICOM series. In a viewer the case is shown as *Cases* shows it, and napari has nothing to
    add; a large folder is looked through on a thread, and its first case shows when that is done.

    Raises
    ------
    MmsslError
        If the folder is in no known layout and there is no viewer to say so in.
    """
    viewer = current_viewer()
    if viewer is None:
        return _shown(lambda: first_case(Path(path))[1])
    open_in_viewer = open_large_folder if is_large(Path(path)) else open_small_folder
    open_in_viewer(viewer, Path(path))
    return [(None,)]


def folder_layers(path: Path) -> list[LayerTuple] | list[tuple[None]]:
    """Return the first case in the folder ``path`` as layers, for napari to add, and hand it to the session."""

    def read() -> Opened:
        cohort, opened = first_case(path)
        viewer = current_viewer()
        if viewer is not None:
            session = session_of(viewer)
            session.cohort, session.case = cohort, cohort.cases[0]
        return opened

    return _shown(read)


def _shown(read: Callable[[], Opened]) -> list[LayerTuple] | list[tuple[None]]:
    """Read, and say notes and problems in the viewer; without a viewer problems are raised.

    napari answers a reader's exception with its own text ("tried opening with ..., but failed"), which hides the
    sentence a person can act on. Hence an error is shown here and napari is told that there is nothing to add.
    """
    viewer = current_viewer()
    try:
        opened = read()
        if not opened.layers:
            raise MmsslError(" ".join(opened.problems) or "there is nothing to show in this folder")
    except MmsslError as error:
        if viewer is None:
            raise
        show_error(str(error))
        return [(None,)]
    if viewer is not None:
        for note in (*prepare_camera(viewer), *opened.notes):
            show_info(note)
        for problem in opened.problems:
            show_warning(problem)
    return list(opened.layers)


def _holds_scans(folder: Path) -> bool:
    names = (
        Path(directory) / name
        for directory, folders, files in os.walk(folder)
        if _descend(Path(directory), folder, folders)
        for name in files
    )
    without_ending = 0
    for name in islice(names, _MOST_NAMES):
        if is_image(name) or name.suffix.lower() in DICOM_SUFFIXES:
            return True
        # Scanners name files by numbers, with dots in them or without.
        if without_ending < _MOST_LOOKED_INTO and (not name.suffix or name.suffix[1:].isdigit()):
            without_ending += 1
            if is_dicom(name):
                return True
    return False


def _descend(directory: Path, root: Path, folders: list[str]) -> bool:
    # A case lies at most three folders below what a person drops; deeper ones are dropped in place for os.walk.
    if len(directory.relative_to(root).parts) >= 3:
        folders.clear()
    folders.sort()
    return True
