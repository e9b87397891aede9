"""Colours of the viewer's theme, for the plots that Qt style sheets do not reach."""

from typing import Any

from napari.utils.theme import get_theme


def text_colour(viewer: Any) -> str:
    """Return the colour of text in the theme of ``viewer``, as ``#rrggbb``."""
    red, green, blue = get_theme(viewer.theme).text.as_rgb_tuple()[:3]
    return f"#{red:02x}{green:02x}{blue:02x}"


def is_dark(viewer: Any) -> bool:
    """Whether text is light on dark in the theme of ``viewer``."""
    return bool(get_theme(viewer.theme).type == "dark")


def keep_no_background(plot: Any) -> None:
    """Let the pyqtgraph ``plot`` draw its background each time; what Qt keeps of it outlasts a change of theme."""
    plot.setCacheMode(plot.CacheModeFlag.CacheNone)
