"""The command *MMSSL: open scans without asking*.

napari's own reader takes every file there is, so that it asks for each scan which of the two is meant, and by itself
cannot open it or forgets where it lies. What is remembered is a setting of napari's, which a person may change there.
"""

import os

from napari.settings import get_settings
from napari.utils.notifications import show_info

from napari_mmssl.viewer.preferences import PLUGIN
from napari_mmssl.volumes.image_files import DICOM_SUFFIXES, SUFFIXES

#: The last stands for folders, to which napari appends a separator. One in which we find no scan goes to the others.
PATTERNS = (*(f"*{suffix}" for suffix in (*SUFFIXES, *DICOM_SUFFIXES)), f"*{os.sep}")


def open_without_asking() -> None:
    """Let napari open medical images with this plugin at once, however they come in; say so and how to undo it."""
    plugins = get_settings().plugins
    plugins.extension2reader = {**plugins.extension2reader, **dict.fromkeys(PATTERNS, PLUGIN)}
    show_info(
        f"from now on MMSSL opens {', '.join(SUFFIXES)}, DICOM files and folders of scans without a question; "
        "Preferences > Plugins > File extension readers takes it back"
    )
