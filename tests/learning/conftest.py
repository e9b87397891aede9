"""A cohort to learn from, and trainings on it that several proofs look at.

The anatomies are phantoms, or, with ``MMSSL_PROOF_COHORT=/path/to/cohort``, whatever lies there; or ``rendered``, the
label maps of twelve people in made-up contrasts, which only developers have: those tests are skipped elsewhere.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rendered_people import render_people

from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_files import read_weights
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.sample import make_sample

PHANTOMS = 16
LABEL_MAPS = "labelmaps_synthseg_2mm"


@dataclass
class Trained:
    """A finished pretraining with its people."""

    run: RunFolder
    trainee: Pretraining
    train: list[PreparedCase]
    validation: list[PreparedCase]

    def curve(self, metric: str) -> list[float]:
        """Return the metric of every look at unseen people, the first before any step."""
        seen = [event["metrics"] for event in self.run.events()[0] if event["kind"] == "validation"]
        return [float(metrics[metric]) for metrics in seen]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More threads round differently, and after hundreds of steps a proof near its bound falls on either side of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def cohort_of(tmp_path_factory, request) -> Callable[[str], Path]:
    """Return a function from an anatomy, ``phantom`` or ``rendered``, to a cohort of it, made once."""
    made: dict[str, Path] = {}

    def find(anatomy: str) -> Path:
        anatomy = os.environ.get("MMSSL_PROOF_COHORT", anatomy) if anatomy == "phantom" else anatomy
        if anatomy not in made:
            folder = tmp_path_factory.mktemp("proof") / "cohort"
            if anatomy == "phantom":
                made[anatomy] = make_sample("glioma", folder, PHANTOMS, 0, 3.0)
            elif anatomy == "rendered":
                made[anatomy] = render_people(request.getfixturevalue("shared_data") / LABEL_MAPS, folder)
            else:
                made[anatomy] = Path(anatomy)
        return made[anatomy]

    return find


@pytest.fixture(scope="session")
def train_on(cohort_of, tmp_path_factory):
    """Return a function that pretrains with a recipe and settings on top of it, each combination once."""
    done: dict[str, Trained] = {}

    def train(recipe: str, *assignments: str, steps: int, anatomy: str = "phantom") -> Trained:
        key = " ".join([anatomy, recipe, str(steps), *assignments])
        if key not in done:
            flags: dict[str, Any] = {
                "cohort": str(cohort_of(anatomy)),
                "recipe": recipe,
                "data": {"spacing_mm": [4, 4, 4], "validation_share": 0.3, "test_share": 0.0},
                "optimisation": {"steps": steps, "batch_size": 4, "learning_rate": 2e-3},
                "validate_every": max(1, steps // 8),
                "checkpoint_every": steps,
                "device": "cpu",
            }
            settings = pretrain_settings(flags=flags, assignments=list(assignments))
            run = pretrain(settings, tmp_path_factory.mktemp("run") / "run")
            done[key] = load(settings, run)
        return done[key]

    return train


def load(settings: Any, run: RunFolder) -> Trained:
    """Return the networks of a run as they were at its end."""
    material = gather(settings.cohort, settings.data, settings.seed, labelled=False)
    settings = material.settle(settings)
    groups = [
        material.prepare(cases, with_label=False, progress=lambda _done, _total: None)
        for cases in (material.train, material.validation)
    ]
    trainee = Pretraining(settings, groups[0], groups[1], torch.device("cpu"))
    for name, module in trainee.modules.items():
        module.load_state_dict(read_weights(run.path, name))
        module.eval()
    return Trained(run, trainee, groups[0], groups[1])
