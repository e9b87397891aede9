"""What a person set under Preferences > MMSSL, where napari has such a page; the usual values elsewhere.

The page is drawn by napari (0.9 and later) from ``configurations`` in ``napari.yaml``.
"""

from typing import Any

PLUGIN = "napari-mmssl"


def preference(section: str, key: str, usual: Any) -> Any:
    """Return the setting ``key`` of ``section`` in ``napari.yaml``, or ``usual`` where it cannot be had."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return usual
    try:
        return getattr(getattr(get_plugin_settings(PLUGIN), section), key)
    except (KeyError, AttributeError):
        # Imported without being installed as a plugin, or a page of another version.
        return usual
