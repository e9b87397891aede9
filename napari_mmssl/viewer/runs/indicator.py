"""napari's sign that something is at work, slowed down.

The sign beside *activity* is an animation of 33 frames a second, and a window with an OpenGL canvas is put together
anew for each of them. Without a graphics card that takes most of the window's time for as long as a training runs.
"""

from qtpy.QtWidgets import QLabel, QMainWindow

#: In percent of the animation's own pace: it still moves, three times in four seconds.
_PACE = 2


def slow_indicator(window: QMainWindow) -> None:
    """Let animations in the status bar of ``window`` move slowly; those that come later are not touched."""
    for label in window.statusBar().findChildren(QLabel):
        movie = label.movie()
        if movie is not None:
            movie.setSpeed(_PACE)
