"""File > Open Sample: a made-up patient, drawn on this computer; nothing is downloaded."""

from pathlib import Path

from napari import current_viewer
from napari.qt.threading import create_worker
from napari.utils.notifications import show_info
from qtpy.QtCore import QEventLoop

from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.layers.layer_data import LayerTuple
from napari_mmssl.viewer.places import data_folder
from napari_mmssl.viewer.readers import folder_layers


def open_glioma() -> list[LayerTuple] | list[tuple[None]]:
    """Return a made-up person with a glioma as layers; ``mmssl sample`` makes whole cohorts.

    The person is drawn at the first call, which takes some ten seconds, on a thread where there is a viewer.

    Raises
    ------
    MmsslError
        If the files cannot be written.
    """
    return _open("glioma", "a made-up person with a glioma")


def open_prostate() -> list[LayerTuple] | list[tuple[None]]:
    """Return a made-up man's prostate as layers; see :func:`open_glioma`."""
    return _open("prostate", "a made-up man's prostate")


def open_liver() -> list[LayerTuple] | list[tuple[None]]:
    """Return a made-up person's CT of the liver as layers; see :func:`open_glioma`."""
    return _open("liver", "a made-up person's liver")


def _open(organ: str, who: str) -> list[LayerTuple] | list[tuple[None]]:
    if current_viewer() is not None and not is_drawn(organ):
        show_info(f"drawing {who}: a phantom, not a patient")
        _draw_while_the_window_lives(organ)
    return folder_layers(sample_folder(organ))


def _draw_while_the_window_lives(organ: str) -> None:
    """Draw on a thread and come back when it is done; napari takes layers of a sample at once or not at all."""
    waiting = QEventLoop()
    outcome: list[MmsslError] = []

    def draw() -> None:
        try:
            sample_folder(organ)
        except MmsslError as error:
            outcome.append(error)

    create_worker(draw, _connect={"finished": waiting.quit}, _progress={"desc": "drawing a phantom"})
    waiting.exec()
    if outcome:
        raise outcome[0]


def is_drawn(organ: str = "glioma") -> bool:
    """Whether the sample lies ready."""
    return _finished(organ).is_file()


def sample_folder(organ: str = "glioma") -> Path:
    """Return the folder of the sample, of one case; made if it is not there yet.

    Raises
    ------
    MmsslError
        If it cannot be written.
    """
    folder = _finished(organ).with_name(organ)
    if not is_drawn(organ):
        from napari_mmssl.atomic import write_text
        from napari_mmssl.workflows.sample import make_sample

        _clear(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_sample(organ, folder, 1, 0)
        write_text(_finished(organ), "")
    return folder


def _finished(organ: str) -> Path:
    return data_folder() / "samples" / f"{organ}.complete"


def _clear(folder: Path) -> None:
    """Remove what an interrupted call left."""
    import shutil

    if folder.is_dir():
        shutil.rmtree(folder)
