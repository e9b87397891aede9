"""What is told before a training, on a tiny cohort."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_mmssl.cli.main import main
from napari_mmssl.training.fine_tuning import FineTuning
from napari_mmssl.training.preflight import together
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.preflight import preflight

pytestmark = pytest.mark.usefixtures("own_cache")


def settings(cohort, **optimisation):
    flags = {"cohort": str(cohort), "data": {"patch": [16, 16, 16]}, "optimisation": {"batch_size": 4} | optimisation}
    return pretrain_settings(flags=flags, assignments=["objectives.puzzle.grid=[2,2,2]", "objectives.puzzle.jitter=1"])


def test_a_dry_run_tells_time_and_memory_and_makes_no_run(cohort, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--patch", "16", "--steps", "36000", "--set", "objectives.puzzle.grid=[2,2,2]"]

    assert main(["pretrain", str(cohort), *words, "--set", "objectives.puzzle.jitter=1", "--dry-run"]) == 0

    said = capsys.readouterr().out
    step_s, hours = map(float, re.search(r"([\d.e-]+) s a step, ([\d.e-]+) h for 36000", said).groups())
    assert hours == pytest.approx(10 * step_s, rel=0.02)
    assert 0 < step_s < 60
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_answered_with_the_least_change_that_does(cohort, monkeypatch):
    step = Pretraining.step

    def short(self, batch):
        if len(batch) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(Pretraining, "step", short)

    found = preflight(settings(cohort))

    assert not found.fits
    assert found.proposal == ("optimisation.accumulate=4",)
    assert found.step_s > 0


def test_a_proposal_of_nothing_is_made_where_all_fits(cohort):
    found = preflight(settings(cohort))

    assert (found.fits, found.proposal) == (True, ())
    assert 0 <= found.memory_gib < found.free_gib


def test_a_fine_tuning_is_told_of_too_and_answers_programs(cohort, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--weights", "none", "--patch", "16", "--steps", "3600", "--batch-size", "2", "--dry-run", "--json"]

    assert main(["finetune", str(cohort), *words]) == 0

    found = json.loads(capsys.readouterr().out)
    assert main(["finetune", str(cohort), *words]) == 0  # again, in memory that this process holds already
    again = json.loads(capsys.readouterr().out)
    assert again["memory_gib"] > 0
    assert found["fits"] is True
    assert found["total_s"] == pytest.approx(3600 * found["step_s"])
    assert 0 < found["memory_gib"] < found["free_gib"]
    assert not list(tmp_path.iterdir())


def test_a_fine_tuning_that_does_not_fit_gets_a_proposal(cohort, monkeypatch):
    step = FineTuning.step

    def short(self, batch):
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(FineTuning, "step", short)
    flags = {"cohort": str(cohort), "data": {"patch": [16, 16, 16]}, "optimisation": {"batch_size": 4}}

    found = preflight(finetune_settings(flags=flags))

    assert (found.fits, found.proposal) == (False, ("optimisation.accumulate=2",))


def test_people_with_nothing_drawn_do_not_keep_a_fine_tuning_from_being_tried(cohort, tmp_path):
    """As in cohorts of lesions that most people do not have."""
    healthy = shutil.copytree(cohort, tmp_path / "cohort")
    split = gather(healthy, DataSettings(), 0, labelled=True).split
    for subject in split.train[:-1]:
        for file in healthy.glob(f"{subject}/seg.nii.gz"):
            label = nib.load(file)
            nib.save(nib.Nifti1Image(np.zeros(label.shape, np.uint8), label.affine), file)
    flags = {"cohort": str(healthy), "data": {"patch": [16, 16, 16]}, "optimisation": {"batch_size": 1}}

    assert preflight(finetune_settings(flags=flags)).step_s > 0


@pytest.mark.parametrize(("loaders", "step_s"), [(0, 1.5), (1, 1.0), (2, 0.5), (8, 0.5)])
def test_loader_processes_hide_the_loading_as_far_as_they_keep_up(loaders, step_s):
    assert together(1.0, 0.5, loaders) == step_s
