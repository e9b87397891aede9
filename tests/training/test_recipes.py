"""Schedules, recipes of several objectives, and what they learn; on real but tiny pretrainings."""

import json

import pytest
import torch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.errors import ConfigError
from napari_mmssl.objectives import objectives
from napari_mmssl.training.pretraining import join_needs, resolve_objectives
from napari_mmssl.training.settings import ScheduleSettings
from napari_mmssl.workflows.configure import pretrain_settings, read_recipe, recipe_names
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.preview import preview
from napari_mmssl.workflows.resume import resume

BRAINMVP = {
    "cross_modal_reconstruction": {},
    "template_distillation": {"template": [12, 12, 12]},
    "modality_contrast": {"start": 0.5},
}


pytestmark = pytest.mark.usefixtures("own_cache")


def settings(cohort, tables, **more):
    """As in a ``--config`` file with objectives of its own."""
    flags = {
        "cohort": str(cohort),
        "data": {"patch": [16, 16, 16]},
        "optimisation": {"steps": 6, "batch_size": 2},
        "validate_every": 3,
        "checkpoint_every": 2,
    }
    made = pretrain_settings(flags=flags | more)
    return made.model_copy(update={"objectives": tables})


def losses(run):
    return {event["step"]: event["losses"] for event in run.events()[0] if event["kind"] == "step"}


@pytest.mark.parametrize(
    ("schedule", "progress", "weight"),
    [
        ({}, 0.0, 1.0),
        ({"weight": 3.0}, 1.0, 3.0),
        ({"weight": 3.0, "start": 0.5}, 0.49, 0.0),
        ({"weight": 3.0, "start": 0.5}, 0.5, 3.0),
        ({"weight": 3.0, "start": 0.5, "ramp": 0.2}, 0.5, 0.0),
        ({"weight": 3.0, "start": 0.5, "ramp": 0.2}, 0.6, 1.5),
        ({"weight": 3.0, "start": 0.5, "ramp": 0.2}, 0.9, 3.0),
    ],
)
def test_weights_follow_the_schedule(schedule, progress, weight):
    assert ScheduleSettings(**schedule).weight_at(progress) == pytest.approx(weight)


def test_contrast_takes_no_part_before_its_start_and_is_watched_all_along(cohort, tmp_path):
    run = pretrain(settings(cohort, BRAINMVP), tmp_path / "run")

    took_part = {step for step, terms in losses(run).items() if "modality_contrast.pairs" in terms}
    assert took_part == {4, 5, 6}
    validations = [event["metrics"] for event in run.events()[0] if event["kind"] == "validation"]
    assert all("loss.modality_contrast.pairs" in metrics for metrics in validations)
    for metrics in validations:
        assert metrics["loss.total"] == pytest.approx(
            sum(value for name, value in metrics.items() if name.startswith("loss.") and name != "loss.total")
        )


def test_the_best_checkpoint_is_that_of_the_lowest_total_loss_where_there_is_no_puzzle(cohort, tmp_path):
    run = pretrain(settings(cohort, BRAINMVP), tmp_path / "run")

    totals = [event["metrics"]["loss.total"] for event in run.events()[0] if event["kind"] == "validation"]
    from safetensors import safe_open

    with safe_open(str(run.path / "checkpoints" / "best.safetensors"), framework="pt") as file:
        assert json.loads(file.metadata()["mmssl"])["best"] == pytest.approx(min(totals[1:]))


def test_every_objective_of_a_run_can_be_looked_at(cohort, tmp_path):
    run = pretrain(settings(cohort, BRAINMVP), tmp_path / "run")

    pictures = preview(run.path, cohort, "sub-02", tmp_path / "pictures")

    shown = {picture.name: {item.name for item in picture.items} for picture in pictures}
    assert shown.keys() == BRAINMVP.keys()
    assert {"target", "masked", "filled", "reconstruction", "error"} <= shown["cross_modal_reconstruction"]
    assert {"template flair", "template t1"} <= shown["template_distillation"]
    assert "similarity" in shown["modality_contrast"]


def test_what_is_learned_beats_copying_the_other_modality_and_knowing_nothing(cohort, tmp_path):
    how = settings(
        cohort,
        {"cross_modal_reconstruction": {"block": [4, 4, 4], "region": "hidden"}},
        optimisation={"steps": 120, "batch_size": 4, "learning_rate": 3e-3},
        validate_every=120,
    )

    run = pretrain(how, tmp_path / "run")

    before, after = (event["metrics"] for event in run.events()[0] if event["kind"] == "validation")
    # Intensities are z-scores over a body, so the untrained network's error is near that of always saying 0.
    assert after["cross_modal_error"] < 0.7 * before["cross_modal_error"]
    assert after["cross_modal_gain"] > 0.5


def test_weights_scale_the_terms(cohort, tmp_path):
    light = pretrain(settings(cohort, {"masked_reconstruction": {}}), tmp_path / "light")
    heavy = pretrain(settings(cohort, {"masked_reconstruction": {"weight": 3.0}}), tmp_path / "heavy")

    name = "masked_reconstruction.error"
    assert losses(heavy)[1][name] == pytest.approx(3 * losses(light)[1][name], rel=1e-5)


def test_templates_and_a_late_start_are_restored_bit_for_bit(cohort, tmp_path):
    unbroken = pretrain(settings(cohort, BRAINMVP), tmp_path / "unbroken")
    for steps in (2, 4):
        path = tmp_path / f"paused{steps}"

        def pause(event, path=path, steps=steps):
            from napari_mmssl.training.run_folder import RunFolder

            if event["kind"] == "step" and event["step"] == steps:
                RunFolder(path).request("pause")

        run = pretrain(settings(cohort, BRAINMVP), path, listener=pause)
        assert run.status()["state"] == "paused"
        resume(path)

        for file in sorted((unbroken.path / "weights").glob("*.safetensors")):
            one, other = load_file(file), load_file(path / "weights" / file.name)
            assert one.keys() == other.keys()
            assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())
    assert load_file(unbroken.path / "weights" / "objective.template_distillation.safetensors")[
        "templates.parameter"
    ].any()


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"puzzle": {"grid": [2, 2, 2]}, "cross_modal_reconstruction": {}}, "puzzle and cross_modal_reconstruction"),
        ({"cross_modal_triplet": {}, "auto_encoding": {}}, "cross_modal_triplet"),
        ({"puzzle": {"grid": [2, 2, 2], "mode": "single"}, "masked_reconstruction": {}}, None),
    ],
)
def test_where_nobody_has_two_modalities_the_run_says_what_that_takes_away(tables, told, tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort", modalities=("t2",))
    run = pretrain(settings(cohort, tables), tmp_path / "run")
    warnings = [event["text"] for event in run.events()[0] if event["kind"] == "warning"]
    assert [f"so what {told} would" in text for text in warnings] == ([True] if told else [])


def test_a_batch_of_one_has_nobody_to_contrast_with(cohort, tmp_path):
    how = settings(cohort, BRAINMVP, optimisation={"steps": 2, "batch_size": 1})

    with pytest.raises(ConfigError, match=r"optimisation\.batch_size to 2"):
        pretrain(how, tmp_path / "run")


def test_a_recipe_in_which_nothing_starts_is_refused():
    with pytest.raises(ConfigError, match="first step"):
        resolve_objectives({"modality_contrast": {"start": 0.5}})
    with pytest.raises(ConfigError, match="first step"):
        resolve_objectives({"puzzle": {"weight": 0}})


@pytest.mark.parametrize(("key", "value"), [("weight", -1), ("start", 1.0), ("ramp", 2)])
def test_a_schedule_that_cannot_be_is_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"objectives\.puzzle\.{key}"):
        resolve_objectives({"puzzle": {key: value}})


@pytest.mark.parametrize("key", ["weight", "start", "ramp"])
def test_schedules_can_be_set_from_outside_and_typing_errors_are_told(cohort, key):
    made = pretrain_settings(flags={"cohort": str(cohort)}, assignments=[f"objectives.puzzle.{key}=0.5"])
    assert made.objectives["puzzle"][key] == 0.5
    with pytest.raises(ConfigError, match=f"did you mean 'objectives.puzzle.{key}'"):
        pretrain_settings(flags={"cohort": str(cohort)}, assignments=[f"objectives.puzzle.{key}s=0.5"])


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_names_objectives_that_exist_and_fit_together(name):
    table, about = read_recipe(name)

    resolved = resolve_objectives(table["objectives"])
    join_needs({key: objectives.get(key).needs(chosen) for key, (_, chosen) in resolved.items()})
    assert about["summary"]
    assert about["source"]


@pytest.mark.parametrize(
    ("name", "share", "weights", "temperature", "until"),
    [("brainmvp2025", 0.875, (1, 1, 1), 0.1, 0.0), ("brainmvp2025_released", 0.8, (1, 10, 1), 1.0, 0.2)],
)
def test_the_presets_hold_the_values_of_paper_and_release(name, share, weights, temperature, until):
    table, _ = read_recipe(name)
    resolved = resolve_objectives(table["objectives"])
    cross, template, contrast = (
        resolved[key] for key in ("cross_modal_reconstruction", "template_distillation", "modality_contrast")
    )

    assert (cross[0].weight, template[0].weight, contrast[0].weight) == weights
    assert cross[1].hidden_share == template[1].hidden_share == share
    assert cross[1].block == template[1].block == (8, 8, 8)
    assert contrast[0].start == pytest.approx(2 / 3, abs=1e-3)
    assert contrast[1].temperature == temperature
    assert cross[1].template_until == until
