"""File > Open Sample: a made-up patient, drawn on this computer; nothing is downloaded."""

from pathlib import Path

from napari import current_viewer
from napari.qt.threading import create_worker
from napari.utils.notifications import show_info
from qtpy.QtCore import QEventLoop

from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.layers import LayerTuple
from napari_mmssl.viewer.places import data_folder
from napari_mmssl.viewer.readers import open_folder

_SPACING_MM = 2.0


def open_glioma() -> list[LayerTuple] | list[tuple[None]]:
    """Return a made-up person with a glioma as layers; ``mmssl sample`` makes whole cohorts.

    The person is drawn at the first call, which takes some ten seconds, on a thread where there is a viewer.

    Raises
    ------
    MmsslError
        If the files cannot be written.
    """
    if current_viewer() is not None and not is_drawn():
        show_info("drawing a made-up person with a glioma: a phantom, not a patient")
        _draw_while_the_window_lives()
    return open_folder(str(glioma_folder()))


def _draw_while_the_window_lives() -> None:
    """Draw on a thread and come back when it is done; napari takes layers of a sample at once or not at all."""
    waiting = QEventLoop()
    outcome: list[MmsslError] = []

    def draw() -> None:
        try:
            glioma_folder()
        except MmsslError as error:
            outcome.append(error)

    create_worker(draw, _connect={"finished": waiting.quit}, _progress={"desc": "drawing a phantom"})
    waiting.exec()
    if outcome:
        raise outcome[0]


def is_drawn() -> bool:
    """Whether the sample lies ready."""
    return _finished().is_file()


def glioma_folder() -> Path:
    """Return the folder of the sample, of one case; made if it is not there yet.

    Raises
    ------
    MmsslError
        If it cannot be written.
    """
    folder = _finished().with_name("glioma")
    if not is_drawn():
        from napari_mmssl.atomic import write_text
        from napari_mmssl.workflows.sample import make_sample

        _clear(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_sample("glioma", folder, 1, 0, _SPACING_MM)
        write_text(_finished(), "")
    return folder


def _finished() -> Path:
    return data_folder() / "samples" / "glioma.complete"


def _clear(folder: Path) -> None:
    """Remove what an interrupted call left."""
    import shutil

    if folder.is_dir():
        shutil.rmtree(folder)
