"""Show something else for a while, in the cells of napari's grid, and then the case again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer

from napari_mmssl.viewer.layers.case_view import CaseView, name_in_cell
from napari_mmssl.viewer.layers.layer_data import LayerTuple

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Stage:
    """Layers whose roles begin with ``role`` take the place of our other layers; :meth:`clear` brings those back."""

    def __init__(self, viewer: "ViewerModel", role: str) -> None:
        self._viewer, self._role = viewer, role
        self.view = CaseView(viewer)
        self._hidden: list[Layer] = []
        self._point: tuple[float, ...] = ()
        self._active: Layer | None = None
        self._taken = False
        self._margins: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def show(
        self, layer_tuples: Sequence[LayerTuple], shape: tuple[int, int], stride: int = 1, *, through: bool = False
    ) -> list[Layer]:
        """Show layers in a grid of ``shape`` (rows, columns), ``stride`` of them in each cell; return them.

        Our other layers are hidden; layers of other people are left alone. With ``through``, points and lines of all
        slices are seen from each.
        """
        self.clear()
        self._taken, self._point = True, self._viewer.dims.point
        self._active = self._viewer.layers.selection.active
        self._margins = (self._viewer.dims.margin_left, self._viewer.dims.margin_right)
        for layer, _ in self.view.ours():
            if layer.visible:
                layer.visible = False
                self._hidden.append(layer)
        layers = [self.view.add(layer_tuple) for layer_tuple in layer_tuples]
        self.view.arrange(layers)
        for layer in layers[::stride]:
            name_in_cell(layer)
        self._set_grid(shape, stride, enabled=True)
        if layers:
            _fit(self._viewer, layers)
            self._viewer.dims.set_point(range(3), layers[0].extent.world.mean(axis=0))
            if through:
                low, high = layers[0].extent.world
                deep = tuple(float(edge) for edge in high - low)
                self._viewer.dims.margin_left = self._viewer.dims.margin_right = deep
        return layers

    def clear(self) -> None:
        """Take the layers away and show again, where it was, what was hidden for them."""
        if not self._taken:
            return
        self._taken = False
        roles = [origin.role for _, origin in self.view.ours()]
        self.view.remove_roles([role for role in roles if role and role.startswith(self._role)])
        for layer in self._hidden:
            layer.visible = True
        self._hidden.clear()
        if self._active in self._viewer.layers:
            self._viewer.layers.selection.active = self._active
        self._active = None
        self._viewer.dims.margin_left, self._viewer.dims.margin_right = self._margins
        self._set_grid((-1, -1), 1, enabled=False)
        self._viewer.reset_view()
        if len(self._point) == self._viewer.dims.ndim:
            self._viewer.dims.set_point(range(len(self._point)), self._point)

    def _set_grid(self, shape: tuple[int, int], stride: int, *, enabled: bool) -> None:
        grid = self._viewer.canvas.grid
        grid.shape, grid.stride, grid.enabled = shape, stride, enabled


def _fit(viewer: "ViewerModel", layers: Sequence[Layer]) -> None:
    """Let ``layers`` fill the view, however far the others reach."""
    try:
        viewer.reset_view(layers=layers)
    except TypeError:
        # napari 0.9.0 fits all layers or none.
        viewer.reset_view()
        shown = list(viewer.dims.displayed)
        low, high = viewer.layers.extent.world[:, shown]
        ours = [layer.extent.world[:, shown] for layer in layers]
        first, last = np.min([one[0] for one in ours], axis=0), np.max([one[1] for one in ours], axis=0)
        viewer.scene.camera.zoom *= float(np.min((high - low) / (last - first)))
        viewer.scene.camera.center = tuple((first + last) / 2)
