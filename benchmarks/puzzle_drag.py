"""How long one move of the temperature or rounds slider takes: soft permutation, matrix and words, in a real widget.

    python benchmarks/puzzle_drag.py

Prints JSON, in milliseconds per move; the promise is 50 ms at the 95th percentile with 27 tiles. It needs no
display. What the screen then draws is not in it.
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NAPARI_CONFIG", "")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
_MOVES = 100


def measure(n_along: int) -> dict[str, float]:
    """Return milliseconds for each of many moves of either slider, with ``n_along``³ tiles."""
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QSlider

    from napari_mmssl.pictures import Picture, PictureItem
    from napari_mmssl.viewer.pretext.puzzle_view import PuzzleView, unsolved_puzzle
    from napari_mmssl.viewer.pretext.widget import PretextWidget

    widget = PretextWidget(ViewerModel())
    picture = unsolved_puzzle(_case(n_along), ["t1"], (n_along,) * 3, seed=0, mode="single", jitter=0)
    tiles = n_along**3
    scores = np.random.default_rng(0).normal(size=(tiles, tiles)).astype(np.float32)
    items = (*picture.items, PictureItem("scores", "matrix", scores, None, "made up: only the time is measured"))
    widget.controls.show_puzzle(PuzzleView(Picture("puzzle", 0, "made", items, picture.details)))
    found = {}
    for name in ("temperature", "rounds"):
        slider = widget.findChild(QSlider, name)
        times = []
        for n in range(_MOVES):
            begun = time.perf_counter()
            slider.setValue(slider.minimum() + (n * 37) % (slider.maximum() - slider.minimum() + 1))
            times.append((time.perf_counter() - begun) * 1000)
        found[f"{name}_p50"] = round(statistics.median(times), 2)
        found[f"{name}_p95"] = round(float(np.percentile(times, 95)), 2)
    return found


def _case(n_along: int) -> Any:
    from napari_mmssl.cohorts.case import Case, ScanFile
    from napari_mmssl.cohorts.prepare import prepare_case
    from napari_mmssl.volumes.geometry import Geometry
    from napari_mmssl.volumes.image_files import write_volume
    from napari_mmssl.volumes.volume import Volume

    shape = (8 * n_along,) * 3
    geometry = Geometry(shape, np.eye(4))
    array = np.random.default_rng(0).normal(100, 10, shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t1.nii.gz"
        write_volume(path, Volume(array, geometry))
        return prepare_case(Case("made", "made", {"t1": ScanFile(path, geometry)}), None, with_label=False)


if __name__ == "__main__":
    from qtpy.QtWidgets import QApplication

    application = QApplication([])
    print(json.dumps({f"{n**3} tiles": measure(n) for n in (2, 3, 4, 5)}, indent=1))
