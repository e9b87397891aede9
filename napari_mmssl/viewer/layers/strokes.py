"""Strokes that are taken back, told like strokes that are made."""

from collections.abc import Callable

from napari.layers import Labels


def tell_undone(layer: Labels) -> None:
    """Let ``layer`` emit ``paint`` when a stroke is undone or redone too; napari does so only when one is made."""
    for name in ("undo", "redo"):
        setattr(layer, name, _telling(layer, getattr(layer, name)))


def _telling(layer: Labels, change: Callable[[], None]) -> Callable[[], None]:
    def changed() -> None:
        change()
        layer.events.paint(value=[])

    return changed
