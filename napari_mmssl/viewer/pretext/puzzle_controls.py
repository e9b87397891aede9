"""The lower half of the Pretext widget: the puzzle on screen, tile by tile, and its permutation, live."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QSlider

from napari_mmssl.ops.permutations import as_matrix
from napari_mmssl.ops.sinkhorn import soft_permutation
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY
from napari_mmssl.viewer.layers.stage import Stage
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.pretext.matrix_view import MatrixView
from napari_mmssl.viewer.pretext.puzzle_view import IMAGES, MODALITY_ROLES, ROLE, WRONG_ROLE, PuzzleView, palette_words

#: The temperature slider is logarithmic: from 0.03 to 3 in a hundred steps.
_COLDEST, _HOTTEST, _TEMPERATURE_STEPS = 0.03, 3.0, 100
_MOST_ROUNDS = 100
_TITLES = ("true permutation", "inferred (soft)")


class PuzzleControls:
    """Shows one puzzle in the viewer of ``panel``; :meth:`clear` leaves the viewer as it was."""

    def __init__(self, panel: Panel) -> None:
        self._panel, self._viewer = panel, panel.viewer
        self._stage = Stage(panel.viewer, ROLE)
        #: The puzzle on screen, if there is one.
        self.puzzle: PuzzleView | None = None
        self._draw()
        panel.listen(self._viewer.cursor.events.position, self._say_tile)
        panel.listen(self._viewer.events.theme, self.matrices.follow_theme)
        self._enable()

    @property
    def shows_puzzle(self) -> bool:
        """Whether a puzzle is on screen."""
        return self.puzzle is not None

    def show_puzzle(self, puzzle: PuzzleView) -> None:
        """Show ``puzzle`` in four cells: source, mixed, shuffled, solved; other layers of ours are hidden."""
        self.clear()
        self.puzzle = puzzle
        layers = self._stage.show(puzzle.layers(), (2, 2), stride=2)
        # Outlines leave the picture to be seen.
        layers[-1].contour = 1
        self._viewer.layers.selection.active = layers[-2]
        self._solved.setRange(0, len(puzzle.perm))
        self._solved.setValue(len(puzzle.perm))
        details = puzzle.picture.details
        self._temperature.setValue(_slider_of(float(details.get("temperature", 0.5))))
        self._rounds.setValue(int(details.get("rounds") or 20))
        self._palette.setText(palette_words(details))
        self.matrices.set_titles(_TITLES)
        self.matrices.show_matrix(0, as_matrix(puzzle.perm))
        self._show_soft()
        self._colour_by_modality(self._coloured.isChecked())
        self._enable()

    def show_matrices(self, matrices: Sequence[tuple[str, np.ndarray]]) -> None:
        """Show matrices of something that is no puzzle, such as how alike views are, each on its own scale."""
        self.clear()
        self.back.show()
        self.matrices.setVisible(bool(matrices))
        names = [name.replace("_", " ") for name, _ in matrices[:2]]
        self.matrices.set_titles((*names, *("",) * (2 - len(names)))[:2])
        for which in (0, 1):
            found = matrices[which][1] if which < len(matrices) else None
            levels = (0.0, 1.0) if found is None else (float(found.min()), float(found.max()))
            self.matrices.show_matrix(which, found, levels)

    def clear(self) -> None:
        """Take the puzzle away and show again what was hidden for it."""
        self.puzzle = None
        self._stage.clear()
        for which in (0, 1):
            self.matrices.show_matrix(which, None)
        self._enable()

    def step(self, by: int) -> None:
        """Move the slider from shuffled to solved by one tile."""
        self._solved.setValue(self._solved.value() + by)

    # -- drawing ------------------------------------------------------------------------------

    def _draw(self) -> None:
        panel = self._panel
        self._solved = self._slider("solved", "From shuffled to solved, one tile after the other (keys , and .)")
        self._solved.valueChanged.connect(self._put_together)
        self._coloured = panel.part(
            QCheckBox("colour tiles by modality"), "coloured", "Lay the modalities over the tiles"
        )
        self._coloured.toggled.connect(self._colour_by_modality)
        self._palette = panel.part(QLabel(), "palette")
        self._palette.setWordWrap(True)
        self._tile = panel.text("tile")
        self.matrices = MatrixView(panel.viewer, _TITLES)
        self._temperature = self._slider("temperature", "Of the Sinkhorn operator; to the left: harder decisions")
        self._temperature.setRange(0, _TEMPERATURE_STEPS)
        self._rounds = self._slider("rounds", "Row and column normalisations; low temperatures need more")
        self._rounds.setRange(1, _MOST_ROUNDS)
        self._numbers = panel.part(QLabel(), "sinkhorn_numbers")
        self._numbers.setWordWrap(True)
        for slider in (self._temperature, self._rounds):
            slider.valueChanged.connect(self._show_soft)
        self.back = panel.button("Back to the case", "back", "Take away what is shown in the case's place", self.clear)
        self._solving = panel.form()
        self._solving.addRow("shuffled → solved", self._solved)
        panel.column.addWidget(self._coloured)
        panel.column.addWidget(self._palette)
        panel.column.addWidget(self.matrices, 1)
        self._sinkhorn = panel.form()
        self._sinkhorn.addRow("temperature", self._temperature)
        self._sinkhorn.addRow("rounds", self._rounds)
        panel.column.addWidget(self._numbers)
        panel.column.addWidget(self.back)

    def _slider(self, name: str, tip: str) -> QSlider:
        slider: QSlider = self._panel.part(QSlider(Qt.Orientation.Horizontal), name, tip)
        return slider

    def _enable(self) -> None:
        """Offer what can be done; what belongs to a puzzle is there while one is on screen."""
        shown = self.puzzle is not None
        for widget in (self._coloured, self._palette, self.matrices, self._numbers, self.back):
            widget.setVisible(shown)
        self._solving.setRowVisible(self._solved, shown)
        scored = shown and self.puzzle is not None and "scores" in self.puzzle.items
        for slider in (self._temperature, self._rounds):
            self._sinkhorn.setRowVisible(slider, scored)

    # -- following ----------------------------------------------------------------------------

    def _put_together(self, n_tiles: int) -> None:
        layer = self._stage.view.of_role(f"{ROLE}solved")
        if self.puzzle is None or layer is None:
            return
        layer.data = self.puzzle.darkened(self.puzzle.put_together(n_tiles))
        wrong = self._stage.view.of_role(WRONG_ROLE)
        if wrong is not None:
            # They mark the finished answer.
            wrong.visible = n_tiles == len(self.puzzle.perm)

    def _colour_by_modality(self, on: bool) -> None:
        for role in MODALITY_ROLES:
            layer = self._stage.view.of_role(role)
            # The source shows one modality throughout.
            if layer is not None and not role.startswith(f"{ROLE}source"):
                layer.visible = on

    def _show_soft(self, _value: int = 0) -> None:
        scores = None if self.puzzle is None else self.puzzle.items.get("scores")
        temperature = _COLDEST * (_HOTTEST / _COLDEST) ** (self._temperature.value() / _TEMPERATURE_STEPS)
        if scores is None:
            self.matrices.show_matrix(1, None)
            self._numbers.setText(
                "" if self.puzzle is None else "choose a run and solve the case to see what it infers"
            )
            return
        soft = soft_permutation(scores.array.astype(np.float64), temperature, self._rounds.value())
        self.matrices.show_matrix(1, soft)
        error = float(np.abs(soft.sum(axis=1) - 1).max())
        self._numbers.setText(
            f"temperature {temperature:.2g}, {self._rounds.value()} rounds: rows sum to 1 within {error:.1g}"
        )

    def _say_tile(self, event: Any = None) -> None:
        if self.puzzle is None or self._viewer.dims.ndim != 3 or not self._panel.isVisible():
            return
        role = self._role_under_mouse()
        words = self.puzzle.tile_at(role, self._viewer.cursor.position, self._solved.value()) if role else None
        self._tile.setText(words or "")

    def _role_under_mouse(self) -> str | None:
        """Return the role of the image in the cell of the grid that the mouse is over."""
        cell = self._viewer.cursor.viewbox
        if cell is None:
            return None
        found = self._viewer.canvas.grid.contents_at(cell, self._viewer.layers)
        origins = [self._viewer.layers[n].metadata.get(METADATA_KEY) for n in found]
        roles = [origin.role for origin in origins if origin is not None and origin.role]
        return next((role for role in roles if role.removeprefix(ROLE) in IMAGES), None)


def _slider_of(temperature: float) -> int:
    share = np.log(temperature / _COLDEST) / np.log(_HOTTEST / _COLDEST)
    return int(np.clip(round(share * _TEMPERATURE_STEPS), 0, _TEMPERATURE_STEPS))
