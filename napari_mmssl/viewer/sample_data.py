"""File > Open Sample: a made-up patient, drawn on this computer; nothing is downloaded."""

from pathlib import Path

from napari import current_viewer
from napari.utils.notifications import show_error, show_info

from napari_mmssl.errors import MmsslError
from napari_mmssl.viewer.layers import LayerTuple
from napari_mmssl.viewer.places import data_folder
from napari_mmssl.viewer.readers import open_folder

#: Few enough to be drawn while a person waits; ``mmssl sample`` makes cohorts to train on.
_CASES = 2
_SPACING_MM = 2.0


def open_glioma() -> list[LayerTuple] | list[tuple[None]]:
    """Return the first of two made-up people with a glioma, as layers; the *Cases* widget shows both.

    They are drawn at the first call, into the folder for samples, and read from there later.

    Raises
    ------
    MmsslError
        If they cannot be written and there is no viewer to say so in.
    """
    try:
        folder = glioma_folder()
    except MmsslError as error:
        if current_viewer() is None:
            raise
        show_error(str(error))
        return [(None,)]
    if current_viewer() is not None:
        show_info("this person is made up: a phantom to try things on, not a patient")
    return open_folder(str(folder))


def glioma_folder() -> Path:
    """Return the folder of the sample; made if it is not there yet.

    Raises
    ------
    MmsslError
        If it cannot be written.
    """
    folder = data_folder() / "samples" / "glioma"
    finished = folder.with_name("glioma.complete")
    if not finished.is_file():
        from napari_mmssl.atomic import write_text
        from napari_mmssl.workflows.sample import make_sample

        _clear(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_sample("glioma", folder, _CASES, 0, _SPACING_MM)
        write_text(finished, "")
    return folder


def _clear(folder: Path) -> None:
    """Remove what an interrupted call left."""
    import shutil

    if folder.is_dir():
        shutil.rmtree(folder)
