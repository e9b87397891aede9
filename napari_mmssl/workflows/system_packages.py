"""The operating system's packages that a window needs; the one list for ``mmssl doctor`` and the set-up script."""

#: Debian and Ubuntu: what Qt and OpenGL need beside a Qt binding from PyPI, rendering in software;
#: found by starting from a bare Debian 12. Newer releases add "t64" to some names and still take these.
OPENGL = (
    "libdbus-1-3",
    "libegl1",
    "libfontconfig1",
    "libgl1",
    "libgl1-mesa-dri",
    "libglib2.0-0",
    "libopengl0",
    "libxcb-cursor0",
    "libxcb-icccm4",
    "libxcb-image0",
    "libxcb-keysyms1",
    "libxcb-randr0",
    "libxcb-render-util0",
    "libxcb-shape0",
    "libxcb-xinerama0",
    "libxkbcommon-x11-0",
)
#: Debian and Ubuntu: a display where there is none. ``xvfb-run`` needs ``xauth`` and only recommends it.
VIRTUAL_DISPLAY = ("xauth", "xvfb")
