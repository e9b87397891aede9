"""Whether windows can be opened here."""

import os
import shutil
import sys

from napari_mmssl.errors import RunFailed


def has_display() -> bool:
    """Whether there is a screen to open a window on."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def virtual_display() -> list[str]:
    """Return the words to put before a command so that its windows open on a virtual display.

    Raises
    ------
    RunFailed
        If there is none to be had.
    """
    if shutil.which("xvfb-run") is None:
        raise RunFailed("there is no display, and no xvfb-run for a virtual one; install it: apt-get install xvfb")
    return ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24 +extension GLX"]
