"""From probabilities on prepared grids to label map, probability and entropy maps in the scanner's own space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.tasks.conventions import LabelConvention
from napari_mmssl.volumes.resample import resample
from napari_mmssl.volumes.volume import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class Drawing:
    """What networks say of a case, on the grid of its files.

    Parameters
    ----------
    label_map
        The most probable class of each voxel, as the convention's label values.
    probabilities
        Of each class but the background, by its name, in [0, 1]; empty if not asked for.
    entropy
        From 0, sure, to 1, all classes alike; ``None`` if not asked for.
    """

    label_map: LabelMap
    probabilities: dict[str, Volume]
    entropy: Volume | None


def draw_classes(
    answers: Sequence[tuple[np.ndarray, PreparedCase]],
    convention: LabelConvention,
    *,
    probabilities: bool = False,
    entropy: bool = False,
) -> Drawing:
    """Return the mean answer on the source grid.

    Probabilities, not labels, are resampled, so that borders fall between voxels where they should.
    Beyond the prepared box there is background.

    Parameters
    ----------
    answers
        Probabilities ``(C, D, H, W)`` of one or several networks, each with the prepared case it saw.
    convention
        Turns classes into label values.
    probabilities, entropy
        Whether to return these too.
    """
    case = answers[0][1]
    turn = case.reorientation
    canonical = turn.apply_to(case.source)
    best = np.full(canonical.shape, -1.0, dtype=np.float32)
    winner = np.zeros(canonical.shape, dtype=np.uint8)
    spread = np.zeros(canonical.shape, dtype=np.float32) if entropy else None
    n_classes = len(answers[0][0])
    maps: dict[str, Volume] = {}
    for index in range(n_classes):
        probability = _mean_of_class(answers, index)
        better = probability > best
        winner[better] = index
        best[better] = probability[better]
        if spread is not None:
            spread -= probability * np.log(np.maximum(probability, np.finfo(np.float32).tiny))
        if probabilities and index > 0:
            maps[convention.classes[index - 1].name] = Volume(_turned_back(probability, case), case.source)
    labels = convention.from_classes(_turned_back(winner, case))
    unsure = None
    if spread is not None:
        unsure = Volume(_turned_back(np.clip(spread / np.log(n_classes), 0, 1), case), case.source)
    return Drawing(LabelMap(labels, case.source, convention.classes), maps, unsure)


def _mean_of_class(answers: Sequence[tuple[np.ndarray, PreparedCase]], index: int) -> np.ndarray:
    total: np.ndarray | None = None
    for found, case in answers:
        canonical = case.reorientation.apply_to(case.source)
        moved = resample(found[index], case.geometry, canonical, outside=1.0 if index == 0 else 0.0)
        total = moved if total is None else total + moved
    assert total is not None
    return total / np.float32(len(answers)) if len(answers) > 1 else total


def _turned_back(array: np.ndarray, case: PreparedCase) -> np.ndarray:
    """Return ``array`` in the axis order of the files."""
    return np.ascontiguousarray(case.reorientation.undo(array))
