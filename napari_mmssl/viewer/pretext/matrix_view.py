"""The true permutation beside the one a network infers, as pictures of matrices."""

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QSizePolicy

from napari_mmssl.viewer.parts.theming import keep_no_background, text_colour


class MatrixView(pg.GraphicsLayoutWidget):
    """Matrices side by side, rows downwards, all on the same scale from 0 to 1."""

    def __init__(self, viewer: Any, titles: tuple[str, ...]) -> None:
        super().__init__()
        self.setObjectName("matrices")
        self.setBackground(None)
        keep_no_background(self)
        self.setMinimumHeight(150)
        self.setMaximumHeight(260)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self._viewer, self._titles = viewer, titles
        self._plots: list[Any] = []
        self._images: list[pg.ImageItem] = []
        for _ in titles:
            plot = self.addPlot(title=" ")
            self._plots.append(plot)
            plot.setAspectLocked(True)
            plot.invertY(True)
            plot.setMouseEnabled(x=False, y=False)
            plot.hideButtons()
            plot.setMenuEnabled(False)
            for side in ("left", "bottom"):
                plot.hideAxis(side)
            image = pg.ImageItem(axisOrder="row-major")
            image.setColorMap(pg.colormap.get("viridis"))
            plot.addItem(image)
            self._images.append(image)
        self.follow_theme()
        self.setToolTip("Row: shuffled tile; column: place; bright: the tile belongs there")

    def show_matrix(self, which: int, matrix: np.ndarray | None, levels: tuple[float, float] = (0.0, 1.0)) -> None:
        """Show ``matrix`` with entries in ``levels`` at position ``which``, or nothing."""
        if matrix is None:
            self._images[which].clear()
            return
        self._images[which].setImage(np.asarray(matrix, dtype=np.float32), autoLevels=False, levels=levels)

    def set_titles(self, titles: tuple[str, ...]) -> None:
        """Call the matrices something else."""
        self._titles = titles
        self.follow_theme()

    def follow_theme(self, event: Any = None) -> None:
        """Write titles in the theme's colour; whoever owns this calls it when the theme changes."""
        for plot, title in zip(self._plots, self._titles, strict=True):
            plot.setTitle(title, color=text_colour(self._viewer), size="9pt")
