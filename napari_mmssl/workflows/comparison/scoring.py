"""Measure one cell of a comparison: its predictions of held-out people, and probes of its frozen features."""

from typing import Any

from napari_mmssl.cohorts.case import Case, Cohort, ScanFile
from napari_mmssl.cohorts.reading import read_label
from napari_mmssl.errors import ConfigError, RunFailed
from napari_mmssl.metrics.surface_distance import hd95_mm
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.comparison.cells import DiceBySubset, PersonScores, Values, anonymous, or_none
from napari_mmssl.workflows.comparison.settings import CellKey, CompareSettings
from napari_mmssl.workflows.probe import ProbeSettings, probe
from napari_mmssl.workflows.running import Interruption
from napari_mmssl.workflows.subsets import dice_by_region, evaluate_subsets, subsets

#: Of the probes of whole cases and of voxels, what is kept.
_PROBES = {
    "segmentation": (("linear", "dice"), ("linear", "balanced_accuracy"), ("neighbours", "balanced_accuracy")),
    "classification": (("linear", "auc"), ("neighbours", "auc")),
}


def scores_of(
    run: RunFolder, cohort: Cohort, settings: CompareSettings, stop: Interruption
) -> tuple[dict[str, PersonScores], Values, int]:
    """Return how ``run`` does on the people it held out, from each modality subset asked for.

    Returns
    -------
    Scores by person of label maps; metrics by modality subset of values; how many people that are. One of the first
    two is empty.

    Raises
    ------
    RunFailed
        If ``stop`` comes.
    """
    if settings.task == "segmentation":
        persons = _of_maps(run, cohort, settings, stop)
        return persons, {}, len(persons)
    told = evaluate_subsets(
        run.path,
        settings.cohort,
        device=settings.device,
        which=settings.subsets,
        progress=lambda done, total: stop_if_asked(stop),
    )
    values = {
        names: {name: None if value is None else or_none(value) for name, value in metrics.items()}
        for names, metrics in told["subsets"].items()
    }
    return {}, values, told["n"]


def probes_of(settings: CompareSettings, key: CellKey, pretrained: RunFolder) -> dict[str, dict[str, float | None]]:
    """Return what frozen features tell of the people held out, fitted to the labelled people of the cell.

    Of a segmentation their voxels, of a classification their classes, of survival whether it is short or long. Empty
    where nothing can be fitted, such as to few people who are all of one class.
    """
    task = "segmentation" if settings.task == "segmentation" else "classification"
    how = ProbeSettings(
        task=task,
        target="survival_class" if settings.task == "survival" else settings.target,
        regions=settings.regions,
        seed=key.draw,
        label_fraction=key.fraction,
        device=settings.device,
    )
    try:
        found: dict[str, dict[str, dict[str, Any]]] = probe(settings.cohort, pretrained.path, how)["probes"]
    except ConfigError:
        return {}  # The people were learned from without complaint, so it is the probe that cannot be fitted.
    return {
        f"{name} {metric}": {
            encoder: None if told[metric] is None else or_none(told[metric]) for encoder, told in found[name].items()
        }
        for name, metric in _PROBES[task]
    }


def stop_if_asked(stop: Interruption) -> None:
    """Raise :class:`RunFailed` if ``stop`` came."""
    if stop():
        raise RunFailed("the comparison was interrupted; give the same command again to go on")


def _of_maps(run: RunFolder, cohort: Cohort, settings: CompareSettings, stop: Interruption) -> dict[str, PersonScores]:
    from napari_mmssl.inference.prediction import Predictor, load_predictor
    from napari_mmssl.training.device import choose_device

    predictor: Predictor = load_predictor(run.path, choose_device(settings.device))
    convention = predictor.convention

    def of_person(case: Case, label: ScanFile) -> PersonScores:
        reference = read_label(label)
        truth = convention.to_classes(reference.array)
        everything = tuple(sorted(case.modalities))
        by_subset: DiceBySubset = {}
        far: dict[str, float | None] = {}
        for names in subsets(everything, settings.subsets):
            stop_if_asked(stop)
            found = convention.to_classes(predictor.predict(case.only(names)).array)
            scores = dice_by_region(convention, found, truth)
            by_subset["+".join(names)] = {name: or_none(value) for name, value in scores.items()}
            if names == everything:
                pairs = zip(convention.masks(found), convention.masks(truth), strict=True)
                spacing_mm = reference.geometry.spacing_mm
                far = {name: or_none(hd95_mm(one, other, spacing_mm)) for (name, one), (_, other) in pairs}
        return PersonScores("+".join(everything), by_subset, far)

    held_out = run.provenance()["split"]["test"]
    cases = [case.only(predictor.modalities) for case in cohort.cases if case.subject in held_out]
    labelled = [(case, case.label) for case in cases if case.label is not None and case.modalities]
    return {anonymous(case.id): of_person(case, label) for case, label in labelled}
