"""Survival and classification through the command line, on people whose scans tell both."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from clinical_cohorts import write_clinical_cohort
from safetensors.torch import load_file

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.inference.case_prediction import case_numbers, load_case_predictor
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.training.weights_files import read_weights
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.workflows.export import export

SMALL = ["--steps", "3", "--batch-size", "2", "--validate-every", "3"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A cohort with both tasks fine-tuned for a few steps."""
    base = tmp_path_factory.mktemp("clinical")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(base / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = write_clinical_cohort(base / "cohort", 12)
        for task in ("survival", "classification"):
            assert main(["finetune", str(cohort), "--task", task, "--out", str(base / task), *SMALL]) == 0
            arguments = [str(cohort), "--weights", str(base / task), "--out", str(base / f"{task}_said")]
            assert main(["predict", *arguments]) == 0
        yield base


@pytest.fixture(autouse=True)
def own_cache(path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def said(path, task):
    return json.loads((path / f"{task}_said" / "predictions.json").read_text())["cases"]


def test_survival_is_told_with_intervals_that_lie_in_each_other(path):
    for case in said(path, "survival").values():
        values = case["values"]
        (low80, high80), (low50, high50) = values["interval_80_days"], values["interval_50_days"]
        assert 0 <= low80 < low50 < values["days"] < high50 < high80
        alive = values["curve"]["alive"]
        assert alive[0] == 1
        assert alive == sorted(alive, reverse=True)


def test_probabilities_add_up_and_the_class_is_the_most_probable(path):
    for case in said(path, "classification").values():
        probabilities = case["values"]["probabilities"]
        assert sum(probabilities.values()) == pytest.approx(1)
        assert case["values"]["class"] == max(probabilities, key=probabilities.get)
        assert set(probabilities) == {"HGG", "LGG"}


def test_age_counts_where_it_is_known(path, tmp_path):
    older = tmp_path / "cohort"
    shutil.copytree(path / "cohort", older)
    table = (older / "survival_info.csv").read_text()
    (older / "survival_info.csv").write_text(table.replace(",60,", ",85,"))
    arguments = [str(older), "--weights", str(path / "survival"), "--out", str(tmp_path / "said")]
    assert main(["predict", *arguments]) == 0
    now = json.loads((tmp_path / "said" / "predictions.json").read_text())["cases"]
    for name, case in said(path, "survival").items():
        known = int(name[-3:]) % 3 != 0
        assert (now[name]["values"]["days"] != case["values"]["days"]) == known


def test_the_table_holds_a_row_for_each_case(path):
    with (path / "survival_said" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = said(path, "survival")
    assert [row["case"] for row in rows] == list(values)
    assert float(rows[0]["days"]) == pytest.approx(values[rows[0]["case"]]["values"]["days"])


def test_held_out_people_are_measured_apart(path, capsys):
    assert main(["evaluate", str(path / "survival_said"), str(path / "cohort"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    split = RunFolder(path / "survival").provenance()["split"]
    assert {case for case, one in found["cases"].items() if not one["trained_on"]} == set(split["test"])
    assert found["n"] == len(split["test"])
    assert 0 <= found["metrics_trained_on"]["c_index"] <= 1
    assert main(["evaluate", str(path / "survival_said"), str(path / "cohort")]) == 0
    assert "c_index" in capsys.readouterr().out


def test_classes_come_with_their_calibration(path, capsys):
    assert main(["evaluate", str(path / "classification_said"), str(path / "cohort"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["reliability"]["count"]) == found["n"]
    assert set(found["metrics"]) == {"auc", "balanced_accuracy", "f1", "accuracy", "brier", "calibration_error"}


def test_the_card_says_what_was_fitted_to_those_who_were_learned_from(path):
    card = read_card(path / "classification")
    assert (card["task"], card["target"], card["classes"]) == ("classification", "grade", ["HGG", "LGG"])
    edges = read_card(path / "survival")["edges_days"]
    assert edges[0] == 0
    assert edges == sorted(set(edges))
    assert card["patch"] == [16, 16, 16]


def refused(capsys, *arguments):
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert message.count("\n") == 0
    return message


def test_a_column_that_is_nowhere_is_named(path, tmp_path, capsys):
    arguments = ["--task", "classification", "--target", "hair", "--out", tmp_path / "run"]
    assert "has a value of 'hair'" in refused(capsys, "finetune", path / "cohort", *arguments)
    assert not (tmp_path / "run").exists()


def test_a_measurement_is_no_class(path, tmp_path, capsys):
    arguments = ["--task", "classification", "--target", "survival_observed", "--label-fraction", "0.1"]
    message = refused(capsys, "finetune", path / "cohort", *arguments, "--out", tmp_path / "run")
    assert "1 distinct values" in message


def test_regression_learns_from_observed_deaths_alone_and_gives_days(path, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = ["--task", "survival", "--set", "task.head=regression", "--out", str(run), *SMALL]
    assert main(["finetune", str(path / "cohort"), *arguments]) == 0
    used = RunFolder(run).provenance()["used"]
    assert not {case[-3:] for case in (*used["train"], *used["validation"])} & {"005", "010"}
    assert main(["predict", str(path / "cohort"), "--weights", str(run), "--out", str(tmp_path / "said")]) == 0
    entry = json.loads((tmp_path / "said" / "predictions.json").read_text())["cases"]["BraTS20_Training_001"]
    assert set(entry["values"]) == {"days"}


def test_values_and_label_maps_are_not_taken_for_each_other(path, tmp_path, capsys):
    from napari_mmssl.errors import CheckpointError
    from napari_mmssl.inference.prediction import load_predictor
    from napari_mmssl.training.device import choose_device

    with pytest.raises(CheckpointError, match="draws no label maps"):
        load_predictor(path / "survival", choose_device("cpu"))


def test_the_same_settings_give_the_same_weights(path, tmp_path):
    again = tmp_path / "again"
    assert main(["finetune", "--config", str(path / "survival" / "run.toml"), "--out", str(again)]) == 0
    file = "weights/network.safetensors"
    assert (again / file).read_bytes() == (path / "survival" / file).read_bytes()


def test_volumes_are_those_of_the_segmentation_which_stays_as_it_is(tmp_path, capsys):
    """That survival is told well from volumes is proved in ``tests/training/test_case_learning.py``."""
    cohort = write_clinical_cohort(tmp_path / "cohort", 12, drawn=True)
    assert main(["finetune", str(cohort), "--out", str(tmp_path / "drawn"), "--weights", "none", *SMALL]) == 0
    told = ["--task", "survival", "--weights", str(tmp_path / "drawn"), "--set", "task.image=volumes", *SMALL]
    assert main(["finetune", str(cohort), "--out", str(tmp_path / "told"), *told]) == 0
    assert {one["outcome"] for one in RunFolder(tmp_path / "told").provenance()["transfer"]} == {"loaded"}
    drawn, learned = (read_weights(tmp_path / name, "network") for name in ("drawn", "told"))
    for name, tensor in drawn.items():
        assert torch.equal(learned[f"segmentation.{name}"], tensor)
    assert learned["line.weight"].abs().max() > 0
    assert learned["mean"].min() > 0
    encoder = load_file(export(tmp_path / "told", tmp_path / "exported") / "encoder.safetensors")
    for name, tensor in encoder.items():
        assert torch.equal(drawn[f"encoder.{name}"], tensor)
    assert len(encoder) == sum(name.startswith("encoder.") for name in drawn)
    assert main(["predict", str(cohort), "--weights", str(tmp_path / "told"), "--out", str(tmp_path / "said")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "said"), str(cohort), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == len(RunFolder(tmp_path / "drawn").provenance()["split"]["test"])


def test_volumes_are_read_from_a_segmentation_alone(path, tmp_path, capsys):
    volumes = ("--task", "survival", "--set", "task.image=volumes", "--out", tmp_path / "run")
    assert "--weights" in refused(capsys, "finetune", path / "cohort", *volumes, "--weights", "none")
    wrong = refused(capsys, "finetune", path / "cohort", *volumes, "--weights", path / "classification")
    assert "holds a classification" in wrong
    assert not (tmp_path / "run").exists()


def test_a_body_larger_than_all_that_were_learned_from_is_seen_whole(path):
    predictor = load_case_predictor(path / "survival", torch.device("cpu"))
    small = prepare_case(find_cohort(path / "cohort").cases[0], predictor.spacing_mm, with_label=False)
    shape = tuple(edge + 16 for edge in predictor.patch)
    body, geometry = np.ones(shape, bool), Geometry(shape, small.geometry.affine)
    volumes = np.random.default_rng(0).standard_normal((len(small.modalities), *shape)).astype(np.float32)
    other = volumes.copy()
    other[:, 0] += 3

    def days(volumes):
        case = replace(small, volumes=volumes, foreground=body, geometry=geometry)
        how = (predictor.network, predictor.task, case, {}, predictor.modalities, predictor.patch, predictor.device)
        return predictor.task.values(case_numbers(*how))["days"]

    assert days(volumes) != days(other)


def test_people_whose_class_stands_in_another_column_are_left_out(path, tmp_path, capsys):
    """Of class and grade the first that anybody has is learned; a person may have the other one alone."""
    cohort = shutil.copytree(path / "cohort", tmp_path / "cohort")
    names = sorted(folder.name for folder in cohort.iterdir() if folder.is_dir())
    rows = [f"{name},{'ab'[n % 2]}" for n, name in enumerate(names) if n % 3]
    (cohort / "classes.csv").write_text("\n".join(["case_id,class", *rows]) + "\n")

    arguments = [str(cohort), "--task", "classification", "--out", str(tmp_path / "run"), *SMALL]
    assert main(["finetune", *arguments]) == 0
    assert "classes of 'class': a (" in capsys.readouterr().err
    assert main(["predict", str(cohort), "--weights", str(tmp_path / "run"), "--out", str(tmp_path / "said")]) == 0
    assert main(["evaluate", str(tmp_path / "said"), str(cohort), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["cases"]) == len(rows)
    assert sum("lacks a value of 'class'" in note for note in told["notes"]) == len(names) - len(rows)
