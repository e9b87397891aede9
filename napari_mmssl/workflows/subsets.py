"""How good a network is from every subset of its modalities: what a missing scan costs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import known_modalities
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.metrics.overlap import dice
from napari_mmssl.tasks import Task, task_from_card
from napari_mmssl.tasks.conventions import LabelConvention
from napari_mmssl.tasks.segmentation import Segmentation
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.workflows.running import set_threads

if TYPE_CHECKING:
    import torch

    from napari_mmssl.inference.case_prediction import CasePredictor
    from napari_mmssl.inference.prediction import Predictor

#: More modalities than this have more subsets than anybody would wait for.
_MOST_MODALITIES = 8
Progress = Callable[[int, int], None]
Subsets = Literal["none", "one_missing", "all"]
#: Subset, its names joined by ``+``, to metric to value.
Metrics = dict[str, dict[str, float | None]]
P = TypeVar("P", "Predictor", "CasePredictor")


def subsets(names: Sequence[str], which: Subsets = "all") -> Iterator[tuple[str, ...]]:
    """Yield subsets of ``names``, the whole first, then by size: all 2^M - 1, ``one_missing`` at most, or ``none``."""
    smallest = {"none": len(names), "one_missing": max(len(names) - 1, 1), "all": 1}[which]
    for size in range(len(names), smallest - 1, -1):
        yield from combinations(names, size)


def dice_by_region(
    convention: LabelConvention, found: npt.NDArray[np.integer[Any]], truth: npt.NDArray[np.integer[Any]]
) -> dict[str, float]:
    """Return the Dice of every region of ``convention``; both maps hold class indices."""
    pairs = zip(convention.masks(found), convention.masks(truth), strict=True)
    return {name: dice(one, other) for (name, one), (_, other) in pairs}


def evaluate_subsets(
    weights: Path,
    folder: Path,
    *,
    missing: str = "drop",
    device: str = "auto",
    which: Subsets = "all",
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Measure a fine-tuned network on held-out people from every subset of its modalities.

    Only people who have all of them are taken, so that every subset is measured on the same ones.

    Parameters
    ----------
    weights
        A fine-tuning's run folder.
    folder
        The cohort, with label maps or a clinical table.
    missing
        What stands in for the modalities left out: ``drop``, ``zero`` or ``template``.
    device
        As in a prediction.
    which
        Of the subsets: all 2^M - 1, those that lack one modality at most, or none but the whole.
    progress
        Called with the number of predictions done and their total.

    Returns
    -------
    Plain values: ``subsets`` (names joined by ``+``, then metric), and for the metric named by ``metric`` its value
    with ``all`` modalities, its ``mean`` over subsets, the ``worst`` and which that is; ``n`` people.

    Raises
    ------
    CheckpointError
        If ``weights`` holds no fine-tuning in a run folder.
    ConfigError
        If nobody who was held out has all modalities, or there are too many of them.
    """
    card = read_card(weights)
    if card.get("kind") != "finetune" or not RunFolder.is_run(weights_folder(weights).parent):
        raise CheckpointError(f"'{weights}' is no run folder of a fine-tuning, which says who was held out")
    task = task_from_card(card)
    names = tuple(card["modalities"])
    if len(names) > _MOST_MODALITIES:
        raise ConfigError(
            f"{len(names)} modalities have {2 ** len(names) - 1} subsets; {_MOST_MODALITIES} are the most"
        )
    split = RunFolder(weights_folder(weights).parent).provenance()["split"]
    cases = [
        known_modalities(case, names)
        for case in find_cohort(folder).cases
        if case.subject in split["test"]
        and set(names) <= set(case.modalities)
        and task.lacks(task.settings, case) is None
    ]
    if not cases:
        raise ConfigError(f"nobody who was held out has all of {', '.join(names)} and what the answer is compared with")
    set_threads()
    measure = _measure_maps if isinstance(task, Segmentation) else _measure_values
    told = measure(_Question(weights, task, cases, list(subsets(names, which)), missing, device, progress))
    return _summary(task, told, len(cases), missing)


@dataclass(frozen=True)
class _Question:
    """Which network is asked about whom, from which modalities."""

    weights: Path
    task: Task[Any]
    cases: Sequence[Case]
    chosen: Sequence[tuple[str, ...]]
    missing: str
    device: str
    progress: Progress

    def to(self, load: Callable[[Path, "torch.device"], P]) -> P:
        """Return the predictor that ``load`` reads, told what stands in for modalities left out."""
        from napari_mmssl.inference.missing import missing_from
        from napari_mmssl.training.device import choose_device

        return replace(load(self.weights, choose_device(self.device)), missing=missing_from(self.missing, self.weights))

    def each(self) -> Iterator[tuple[Case, str, Case]]:
        """Yield every case with the name of every subset and the case cut down to it; tells the progress."""
        total = len(self.cases) * len(self.chosen)
        for done, (case, names) in enumerate(product(self.cases, self.chosen)):
            self.progress(done, total)
            yield case, "+".join(names), case.only(names)
        self.progress(total, total)


def _measure_maps(question: _Question) -> Metrics:
    from napari_mmssl.inference.prediction import load_predictor

    predictor = question.to(load_predictor)
    convention: LabelConvention = predictor.convention
    truths: dict[str, npt.NDArray[np.uint8]] = {}
    scores: dict[str, dict[str, list[float]]] = {}
    for case, name, cut in question.each():
        if case.id not in truths and case.label is not None:
            truths = {case.id: convention.to_classes(read_label(case.label).array)}
        found = convention.to_classes(predictor.predict(cut).array)
        for region, value in dice_by_region(convention, found, truths[case.id]).items():
            scores.setdefault(name, {}).setdefault(region, []).append(value)
    return {name: _dice_means(by_region) for name, by_region in scores.items()}


def _measure_values(question: _Question) -> Metrics:
    from napari_mmssl.inference.case_prediction import load_case_predictor

    predictor = question.to(load_case_predictor)
    said: dict[str, list[dict[str, Any]]] = {}
    for _, name, cut in question.each():
        said.setdefault(name, []).append(predictor.predict(cut))
    rows = [case.clinical for case in question.cases]
    return {name: predictor.task.metrics(answers, rows) for name, answers in said.items()}


def _dice_means(by_region: Mapping[str, list[float]]) -> dict[str, float | None]:
    means = {name: float(np.nanmean(v)) if np.isfinite(v).any() else None for name, v in by_region.items()}
    defined = [mean for mean in means.values() if mean is not None]
    return {"dice": float(np.mean(defined)) if defined else None} | {f"dice {k}": v for k, v in means.items()}


def _summary(task: Task[Any], told: Metrics, n: int, missing: str) -> dict[str, Any]:
    values = {name: metrics.get(task.headline) for name, metrics in told.items()}
    defined = {name: value for name, value in values.items() if value is not None}
    worst = min(defined, key=lambda name: defined[name], default=None)
    return {
        "task": task.settings.name,
        "missing": missing,
        "subsets": told,
        "metric": task.headline,
        "all": next(iter(values.values())),
        "mean": float(np.mean(list(defined.values()))) if defined else None,
        "worst": None if worst is None else defined[worst],
        "worst_subset": worst,
        "n": n,
    }
