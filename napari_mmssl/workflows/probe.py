"""Probe a pretrained encoder without training it: what its features tell, beside those of a random encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmssl.cohorts.case import Case, Cohort
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.config import resolve
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.metrics.classification import balanced_accuracy
from napari_mmssl.metrics.overlap import dice
from napari_mmssl.metrics.probes import fit_linear, neighbour_probabilities
from napari_mmssl.randomness import counted_rng
from napari_mmssl.tasks import Task, tasks
from napari_mmssl.tasks.case_task import covering_patch
from napari_mmssl.tasks.segmentation import Segmentation
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.training.weights_cards import channels_of, read_card
from napari_mmssl.workflows.leaks import SeenBefore
from napari_mmssl.workflows.material import Material, gather
from napari_mmssl.workflows.modality_probe import probe_modalities
from napari_mmssl.workflows.running import set_threads

if TYPE_CHECKING:
    import torch

    from napari_mmssl.inference.features import FrozenEncoder
    from napari_mmssl.sampling.batch import PatchBatch

#: Voxels of each class that a case gives a voxel probe.
_VOXELS = 200
#: Enough of them that a weak penalty does, without searching.
_VOXEL_PENALTY = 1e-3
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ProbeSettings:
    """What is probed.

    Parameters
    ----------
    task
        ``classification`` (of whole cases), ``segmentation`` (of voxels) or ``modality`` (in which a place was seen).
    target
        Column of the clinical table, as in a classification; ``survival_class`` for survival.
    regions
        Label coding, as in a segmentation.
    seed, label_fraction
        As in a fine-tuning: the same people are held out.
    neighbours
        How many vote in the nearest-neighbour probe.
    device
        As in a fine-tuning.
    """

    task: str = "classification"
    target: str = "auto"
    regions: str = "auto"
    seed: int = 0
    label_fraction: float = 1.0
    neighbours: int = 5
    device: str = "auto"


@dataclass(frozen=True)
class _Probing:
    """What every probe of one call shares."""

    settings: ProbeSettings
    train: list[PreparedCase]
    test: list[PreparedCase]
    clinical: dict[str, Any]
    modalities: tuple[str, ...]
    patch: tuple[int, int, int]
    device: "torch.device"


def probe(
    cohort: Path, weights: Path, settings: ProbeSettings, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Return how well frozen features tell classes or voxels of people who were held out.

    Every probe is fitted to the training people of the split that the seed gives and measured on its test people;
    its twin on the features of an encoder of random weights says what the architecture alone is worth.

    Parameters
    ----------
    cohort
        Folder with the cases.
    weights
        A pretraining's run folder or a weights folder.
    settings
        What is probed.
    progress
        Called with the number of cases prepared and their total.

    Returns
    -------
    Plain values: ``probes`` (name, then ``pretrained`` or ``random``, then metric), ``n_train``, ``n_test``, ``notes``.

    Raises
    ------
    CheckpointError
        If ``weights`` holds no pretrained encoder.
    ConfigError
        If nothing can be learned from the people, or nobody is held out.
    """
    card = read_card(weights)
    if card.get("kind") != "pretrain":
        raise CheckpointError(f"'{weights}' holds a {card.get('kind')}, and a pretrained encoder is wanted")
    probing, task, notes = _prepared(cohort, weights, settings, progress)
    from napari_mmssl.inference.features import frozen_encoder
    from napari_mmssl.training.weights_files import read_weights

    found: dict[str, dict[str, Any]] = {}
    for name, tensors in (("pretrained", read_weights(weights, "encoder")), ("random", None)):
        encoder = frozen_encoder(card["encoder"], channels_of(card), tensors, probing.device, settings.seed)
        for probe_name, metrics in _told(encoder, probing, task).items():
            found.setdefault(probe_name, {})[name] = metrics
    return {
        "task": settings.task,
        "probes": found,
        "n_train": len(probing.train),
        "n_test": len(probing.test),
        "notes": notes,
    }


def _told(encoder: "FrozenEncoder", probing: _Probing, task: Task[Any] | None) -> dict[str, Any]:
    if task is None:
        how = probing.settings
        people = (probing.train, probing.test, probing.modalities)
        return probe_modalities(
            encoder, *people, probing.patch, probing.device, neighbours=how.neighbours, seed=how.seed
        )
    return _of_voxels(encoder, probing, task) if isinstance(task, Segmentation) else _of_cases(encoder, probing, task)


def _prepared(
    cohort: Path, weights: Path, settings: ProbeSettings, progress: Progress
) -> tuple[_Probing, Task[Any] | None, list[str]]:
    """Return the people to fit to and to measure on, the task fitted to the former, and sentences on both."""
    kind: type[Task[Any]] | None = None if settings.task == "modality" else tasks.get(settings.task)
    if settings.task not in ("classification", "segmentation", "modality"):
        raise ConfigError(f"a {settings.task} cannot be probed; probe a classification of --target survival_class")
    with_label = settings.task == "segmentation"
    asked = {"convention": settings.regions} if with_label else {"target": settings.target}
    how = None if kind is None else resolve(kind.settings_class, asked)

    def lacks(case: Case) -> str | None:
        return None if kind is None else kind.lacks(how, case)

    data = DataSettings(spacing_mm=tuple(read_card(weights)["spacing_mm"]))
    material = gather(
        cohort,
        data,
        settings.seed,
        labelled=with_label,
        fraction=settings.label_fraction,
        lacks=lacks,
    )
    held_out = _held_out(material, lacks)
    from napari_mmssl.training.device import choose_device

    set_threads()
    device = choose_device(settings.device)
    train = material.prepare(material.train, with_label=with_label, progress=progress)
    test = material.prepare(held_out, with_label=with_label, progress=progress)
    clinical = {case.id: case.clinical for case in (*material.train, *held_out)}
    patch = covering_patch([*train, *test])
    probing = _Probing(settings, train, test, clinical, material.modalities, patch, device)
    leak = _leak(weights, material.cohort, held_out)
    if kind is None:
        return probing, None, [_chance(material.modalities), *leak]
    values = {case.id: set(np.unique(case.label).tolist()) for case in [*train, *test] if case.label is not None}
    facts, reason = kind.fit(how, material.cohort, material.train, values)
    return probing, kind(how, facts), [reason, *leak]


def _chance(modalities: Sequence[str]) -> str:
    if len(modalities) < 2:
        raise ConfigError("which modality is shown can only be asked of a cohort with two or more of them")
    return f"of {len(modalities)} modalities ({', '.join(modalities)}) chance is {1 / len(modalities):.3f}"


def _held_out(material: Material, lacks: Callable[[Case], str | None]) -> list[Case]:
    cases = [case for case in material.cohort.cases if case.subject in material.split.test and lacks(case) is None]
    if not cases:
        raise ConfigError("nobody is held out, so there is nobody to measure on; a larger cohort is wanted")
    return cases


def _leak(weights: Path, cohort: Cohort, held_out: Sequence[Case]) -> list[str]:
    before = SeenBefore(cohort, [weights])
    met = [case.id for case in held_out if before.matches(case)]
    return [f"{len(met)} of the people held out were seen in pretraining, without labels"] if met else []


def _of_cases(encoder: "FrozenEncoder", probing: _Probing, task: Any) -> dict[str, Any]:
    from napari_mmssl.inference.features import case_features

    def features(cases: Sequence[PreparedCase]) -> np.ndarray:
        found = [case_features(encoder, one, probing.modalities, probing.patch, probing.device) for one in cases]
        return np.stack(found).reshape(len(cases), -1)

    known, asked = features(probing.train), features(probing.test)
    # A modality that a person lacks says nothing: it is given what the people who are learned from have on average.
    with np.errstate(invalid="ignore"):
        usual = np.array([np.nanmean(column) if np.isfinite(column).any() else 0.0 for column in known.T])
    known, asked = (np.where(np.isnan(part), usual, part) for part in (known, asked))
    truth = np.array([task.classes.index(task.truth(probing.clinical[one.id])["class"]) for one in probing.train])
    n = len(task.classes)
    answers = {
        "linear": fit_linear(known, truth, n).probabilities(asked),
        "neighbours": neighbour_probabilities(known, truth, asked, n, probing.settings.neighbours),
    }
    rows = [probing.clinical[one.id] for one in probing.test]

    def told(probabilities: np.ndarray) -> dict[str, Any]:
        said = [{"probabilities": dict(zip(task.classes, row.tolist(), strict=True))} for row in probabilities]
        metrics: dict[str, Any] = task.metrics(said, rows)
        return metrics

    return {name: told(probabilities) for name, probabilities in answers.items()}


def _of_voxels(encoder: "FrozenEncoder", probing: _Probing, task: Segmentation) -> dict[str, Any]:
    from napari_mmssl.inference.features import linear_map

    classes = len(task.convention.classes) + 1
    seen = [_sample(encoder, probing, task, case, number) for number, case in enumerate(probing.train)]
    known, truth = np.concatenate([one.features for one in seen]), np.concatenate([one.truth for one in seen])
    fitted = fit_linear(known, truth, classes, penalty=_VOXEL_PENALTY)
    # The standardisation is linear too and goes into the weights.
    weights = fitted.weights / fitted.spread[:, None]
    bias = fitted.bias - fitted.mean @ weights
    scores: dict[str, list[float]] = {one.name: [] for one in task.convention.classes}
    asked: list[np.ndarray] = []
    answers: dict[str, list[np.ndarray]] = {"linear": [], "neighbours": []}
    for number, case in enumerate(probing.test, start=len(probing.train)):
        one = _sample(encoder, probing, task, case, number)
        logits = linear_map(one.pyramid, weights, bias, probing.patch)
        said = np.where(one.inside, logits.argmax(dim=0).cpu().numpy(), 0)
        for index, label in enumerate(task.convention.classes, start=1):
            scores[label.name].append(dice(said == index, one.label == index))
        asked.append(one.truth)
        near = neighbour_probabilities(known, truth, one.features, classes, probing.settings.neighbours)
        answers["linear"].append(fitted.probabilities(one.features).argmax(axis=1))
        answers["neighbours"].append(near.argmax(axis=1))
    balanced = {
        name: balanced_accuracy(np.concatenate(asked), np.concatenate(values)) for name, values in answers.items()
    }
    means = {name: float(np.nanmean(values)) if np.isfinite(values).any() else None for name, values in scores.items()}
    defined = [mean for mean in means.values() if mean is not None]
    mean_dice = float(np.mean(defined)) if defined else None
    return {
        "linear": {"dice": mean_dice, "classes": means, "balanced_accuracy": balanced["linear"]},
        "neighbours": {"balanced_accuracy": balanced["neighbours"]},
    }


@dataclass(frozen=True, eq=False)
class _Sample:
    """A case as a voxel probe sees it, and some of its voxels: as many of each class where there are enough."""

    label: np.ndarray
    inside: np.ndarray
    pyramid: list["torch.Tensor"]
    features: np.ndarray
    truth: np.ndarray


def _sample(
    encoder: "FrozenEncoder", probing: _Probing, task: Segmentation, case: PreparedCase, number: int
) -> _Sample:
    from napari_mmssl.inference.case_prediction import whole_case
    from napari_mmssl.inference.features import features_at

    batch = whole_case(case, probing.modalities, probing.patch, task.convention).to(probing.device)
    label, inside = _label(batch), batch.foreground[0].cpu().numpy()
    pyramid = encoder.together(batch)
    chosen = _some_voxels(label, inside, probing.settings.seed, number)
    return _Sample(label, inside, pyramid, features_at(pyramid, chosen, probing.patch), label[tuple(chosen.T)])


def _label(batch: "PatchBatch") -> np.ndarray:
    if batch.label is None:
        raise ValueError("a voxel probe is fitted to labelled cases only")
    found: np.ndarray = batch.label[0].cpu().numpy()
    return found


def _some_voxels(classes: np.ndarray, inside: np.ndarray, seed: int, case: int) -> np.ndarray:
    """Return up to so many voxels of each class inside the body ``(n, 3)``, drawn by seed and place in the list."""
    rng = counted_rng(seed, case, purpose="voxel probe")
    chosen = []
    for index in np.unique(classes[inside]):
        found = np.argwhere((classes == index) & inside)
        chosen.append(found[rng.permutation(len(found))[:_VOXELS]])
    return np.concatenate(chosen)
