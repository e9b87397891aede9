"""Proofs that whole-case tasks learn what is there to be learned, measured on people who were held out."""

import numpy as np
import pytest
from clinical_cohorts import write_clinical_cohort

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.metrics.ranking import concordance
from napari_mmssl.workflows.configure import finetune_settings
from napari_mmssl.workflows.evaluate import read_record
from napari_mmssl.workflows.evaluate_values import evaluate_values
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.predict import predict
from napari_mmssl.workflows.sample import make_sample

pytestmark = pytest.mark.slow


def learned(cohort, out, task, steps, **flags):
    """Fine-tune from scratch and return the metrics on people who were held out."""
    flags = {
        "cohort": str(cohort),
        "task": task,
        "optimisation": {"steps": steps, "learning_rate": 3e-3, "batch_size": 8},
        "validate_every": max(1, steps // 6),
        **flags,
    }
    run = finetune(finetune_settings(flags=flags), out / "run")
    said = predict(cohort, run.path, out / "said", which="test")
    return evaluate_values(read_record(said.path), cohort).metrics(False)


def test_a_class_that_is_plain_to_see_is_learned(tmp_path):
    cohort = write_clinical_cohort(tmp_path / "cohort", 80)
    found = learned(cohort, tmp_path, {"name": "classification", "drop_modality": 0.0}, 150, data={"test_share": 0.3})
    assert found["auc"] > 0.9


def test_survival_that_follows_from_the_scan_is_ranked(tmp_path):
    cohort = write_clinical_cohort(tmp_path / "cohort", 80, noise=0.2)
    found = learned(cohort, tmp_path, {"name": "survival", "drop_modality": 0.0}, 150, data={"test_share": 0.3})
    assert found["c_index"] > 0.75


@pytest.mark.timeout(3000)
def test_survival_of_phantoms_follows_from_the_volume_that_a_segmentation_draws(tmp_path):
    """Of people whom neither training saw: above 0.65 without age, and with age above what age alone ranks right."""
    cohort = make_sample("glioma", tmp_path / "cohort", 120, 3, 5.0)
    split = {"test_share": 0.6, "validation_share": 0.1, "spacing_mm": [8, 8, 8]}
    segmentation = finetune(
        finetune_settings(
            flags={
                "cohort": str(cohort),
                "task": {"name": "segmentation", "convention": "lesion"},
                "optimisation": {"steps": 400, "learning_rate": 3e-3, "batch_size": 2},
                "validate_every": 400,
                "data": {**split, "patch": [24, 24, 24]},
            }
        ),
        tmp_path / "segmentation",
    )
    found = {}
    for age in (False, True):
        task = {"name": "survival", "image": "volumes", "age": age}
        optimisation = {"steps": 50, "learning_rate": 1e-2, "batch_size": 8}
        more = {"weights": str(segmentation.path), "optimisation": optimisation, "validate_every": 50}
        found[age] = learned(cohort, tmp_path / f"age_{age}", task, 50, data=split, **more)["c_index"]
    held_out = set(segmentation.provenance()["split"]["test"])
    people = [case.clinical for case in find_cohort(cohort).cases if case.subject in held_out]
    days, observed, years = (
        np.array([row[key] for row in people]) for key in ("survival_days", "survival_observed", "age_years")
    )
    age_alone = concordance(days, observed, years)

    print(len(people), "people; C without age, age alone, both:", found[False], age_alone, found[True])
    assert found[False] > 0.65
    assert found[True] > age_alone + 0.05
