"""A modality before and after it was aligned, in two cells side by side, over what it was laid on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_mmssl.viewer.layers.layer_data import LayerTuple, image_layer
from napari_mmssl.viewer.layers.placing import contrast_limits
from napari_mmssl.viewer.layers.stage import Stage
from napari_mmssl.volumes.volume import Volume

if TYPE_CHECKING:
    from napari.components import ViewerModel

    # It brings SimpleITK with it, which is loaded on the thread that needs it.
    from napari_mmssl.workflows.align_preview import Fit

ROLE = "fit "
COLOURS, CHECKERBOARD = "two colours", "checkerboard"
#: Green and magenta add up to white, and people who cannot tell red from green tell them apart.
_FIXED, _MOVING = "green", "magenta"
#: Squares along the longest edge.
_SQUARES = 8


def fit_layers(fit: "Fit", how: str) -> list[LayerTuple]:
    """Return the layers of ``fit`` for two cells: pairs in two colours, or one checkerboard in each."""
    if how == CHECKERBOARD:
        return [
            _layer(fit, checkered(fit.fixed, moving), f"{fit.modality}, {when}", when) for when, moving in _moments(fit)
        ]
    windows = {_FIXED: _even_window(fit.fixed.array), _MOVING: _even_window(fit.before.array)}
    layers = []
    for when, moving in _moments(fit):
        # Shown in the cell, and short: a letter of the orientation stands beside it.
        named = f"{fit.modality}, {when}"
        layers.append(_tinted(fit, fit.fixed, named, f"{when} reference", _FIXED, windows))
        data, state, kind = _tinted(fit, moving, f"{fit.modality}, {when} ({_MOVING})", when, _MOVING, windows)
        layers.append((data, state | {"blending": "additive"}, kind))
    return layers


def how_words(fit: "Fit", how: str) -> str:
    """Return what is what in the picture, in a sentence."""
    if how == CHECKERBOARD:
        return f"{fit.onto} and {fit.modality} stand in the squares in turn: edges should go on across them"
    return f"{fit.onto} is {_FIXED} and {fit.modality} {_MOVING}: where both are bright is white"


def checkered(one: Volume, other: Volume) -> Volume:
    """Return a volume that shows ``one`` and ``other``, on one grid, in turn in cubes; each from 0 to 1."""
    edge_mm = max(np.array(one.array.shape) * one.geometry.spacing_mm) / _SQUARES
    steps = [max(1, round(edge_mm / mm)) for mm in one.geometry.spacing_mm]
    z, y, x = np.ogrid[tuple(slice(n) for n in one.array.shape)]
    odd = (z // steps[0] + y // steps[1] + x // steps[2]) % 2 == 1
    return Volume(np.where(odd, _from_0_to_1(other), _from_0_to_1(one)), one.geometry)


class FitView:
    """Shows one fit in the viewer, in place of the case; :meth:`clear` brings that back."""

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer
        self._stage = Stage(viewer, ROLE)
        self._shown: str | None = None

    @property
    def shown(self) -> bool:
        """Whether a fit is shown."""
        return self._shown is not None

    def show(self, fit: "Fit", layers: list[LayerTuple], how: str) -> None:
        """Show ``layers`` of ``fit``, made by :func:`fit_layers`; the place looked at stays within a case."""
        point = self._viewer.dims.point if self._shown == fit.case else None
        self._stage.show(layers, (1, 2), stride=1 if how == CHECKERBOARD else 2)
        if point is not None:
            self._viewer.dims.set_point(range(len(point)), point)
        self._shown = fit.case

    def clear(self) -> None:
        """Take the fit away and show the case again."""
        self._shown = None
        self._stage.clear()


def _moments(fit: "Fit") -> tuple[tuple[str, Volume], tuple[str, Volume]]:
    return ("before", fit.before), ("after", fit.after)


def _layer(fit: "Fit", volume: Volume, name: str, role: str) -> LayerTuple:
    data, state, kind = image_layer(volume, name, case=fit.case, role=f"{ROLE}{role}")
    # The undermost hides the canvas, which is white in the light theme: colours add up on black alone.
    return data, state | {"colormap": "gray", "blending": "opaque"}, kind


def _tinted(
    fit: "Fit", volume: Volume, name: str, role: str, colour: str, windows: Mapping[str, tuple[float, float]]
) -> LayerTuple:
    data, state, kind = _layer(fit, volume, name, role)
    return data, state | {"colormap": colour, "contrast_limits": windows[colour]}, kind


def _even_window(array: np.ndarray) -> tuple[float, float]:
    """Return the window that shows the middle of the body half as bright as can be.

    Percentiles make a modality with a few very bright voxels darker than the other everywhere, and two that fit would
    be of one colour instead of grey.
    """
    low, high = contrast_limits(array)
    body = array[array > low]
    return (low, 2 * float(np.median(body)) - low) if body.size else (low, high)


def _from_0_to_1(volume: Volume) -> np.ndarray:
    low, high = contrast_limits(volume.array)
    scaled = (volume.array.astype(np.float32) - low) / max(high - low, 1e-6)
    return np.asarray(np.clip(scaled, 0, 1))
