"""How cohorts lie on disk: one file per layout, each a function from a path to what it recognises there."""

from pathlib import Path
from typing import Protocol

from napari_mmssl.cohorts.found import Recognised
from napari_mmssl.registry import Registry


class Layout(Protocol):
    """Goes by names (and ``dataset.json``) alone and opens no volume, so that all layouts can be asked.

    DICOM is the exception: nothing is known of a series before its headers are read.
    """

    def __call__(self, root: Path) -> Recognised | None:
        """Return what ``root`` holds in this layout; ``None`` if it is in another.

        Raises
        ------
        LayoutError
            If ``root`` is in this layout for certain, and broken.
        """


#: Asked in this turn, and only where no other layout knows the folder. One folder per case asks less of it than any
#: other layout, and looks into every folder to do so; DICOM reads headers, and where NIfTI files were made of series,
#: the files are meant.
ASKED_LAST = ("folder_per_case", "dicom")

layouts: Registry[Layout] = Registry("layout", "napari_mmssl.cohorts.layouts")


def place_in_turn(name: str) -> int:
    """Return when a layout is asked: 0 for most, more for those of :data:`ASKED_LAST`."""
    return ASKED_LAST.index(name) + 1 if name in ASKED_LAST else 0
