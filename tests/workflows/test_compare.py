"""A comparison: paired in everything but the start, gone on with, and told with its tables."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from clinical_cohorts import write_clinical_cohort
from small_cohorts import write_small_cohort

from napari_mmssl.atomic import write_json
from napari_mmssl.cli.compare import settings_of
from napari_mmssl.cli.main import build_parser, main
from napari_mmssl.cohorts.phantoms import phantoms
from napari_mmssl.errors import ConfigError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.comparison.report import command_of
from napari_mmssl.workflows.comparison.settings import compare_settings, study_key, study_table
from napari_mmssl.workflows.comparison.tables import Comparison

EVIDENCE = Path(__file__).parents[2] / "docs/evidence/cells"
ARMS = "scratch,mae"
SMALL = [
    "--recipes", ARMS, "--label-fractions", "0.5,1", "--seeds", "2", "--regions", "lesion", "--patch", "16",
    "--pretrain-steps", "2", "--finetune-steps", "2", "--set", "finetune_patch=[16,16,16]",
    "--set", "pretrain_batch=2", "--set", "finetune_batch=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A comparison of two arms, two shares of the labels and two draws, on six people."""
    base = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(base / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        write_small_cohort(base / "cohort")
        assert main(["compare", str(base / "cohort"), "--out", str(base / "out"), *SMALL]) == 0
        yield base


def cells_of(study):
    return {path.stem: json.loads(path.read_text()) for path in (study / "out/cells").glob("*/*_f*_d*.json")}


def test_every_cell_is_there_once(study):
    assert set(cells_of(study)) == {f"{arm}_f{f}_d{d}" for arm in ("scratch", "mae") for f in (0.5, 1) for d in (0, 1)}


def test_arms_of_a_draw_hold_out_the_same_people_and_draws_do_not(study):
    cells = cells_of(study)
    held_out = {name: set(cell["persons"]) for name, cell in cells.items()}
    assert held_out["scratch_f0.5_d0"] == held_out["mae_f1_d0"]
    assert held_out["scratch_f0.5_d0"] != held_out["scratch_f0.5_d1"]


def test_nobody_held_out_was_pretrained_or_learned_from(study):
    runs = study / "out/runs"
    for draw in (0, 1):
        pretrained = RunFolder(runs / f"pretrain_mae_d{draw}").provenance()
        tuned = RunFolder(runs / f"finetune_mae_f1_d{draw}").provenance()
        assert set(pretrained["used"]["train"]).isdisjoint(tuned["split"]["test"])
        assert tuned["parents"][0]["path"].endswith(f"pretrain_mae_d{draw}")


def test_cells_name_nobody_and_cover_every_subset(study):
    cell = cells_of(study)["mae_f1_d1"]
    assert "sub-0" not in json.dumps(cell)
    assert (cell["labelled"], cell["unlabelled"]) == (3, 3)
    for person in cell["persons"].values():
        assert set(person["dice"]) == {"flair+t1", "flair", "t1"}


def test_summary_holds_the_paired_difference_of_the_table(study):
    rows = list(csv.DictReader((study / "out/table.csv").open()))
    full = [row for row in rows if row["modalities"] == "flair+t1" and row["label_fraction"] == "1.0"]
    values = {(row["arm"], row["draw"], row["person"]): float(row["value"]) for row in full if "dice" in row["measure"]}
    by_draw = [
        np.mean([values["mae", d, p] - v for (arm, draw, p), v in values.items() if (arm, draw) == ("scratch", d)])
        for d in ("0", "1")
    ]
    table = json.loads((study / "out/summary.json").read_text())["tables"]["dice"]
    (row,) = [row for row in table if (row["arm"], row["label_fraction"]) == ("mae", 1.0)]
    assert row["difference"]["mean"] == pytest.approx(np.mean(by_draw), abs=2e-5)
    assert row["difference"]["draws"] == 2


def test_what_a_missing_modality_costs_is_the_difference_of_two_tables(study):
    tables = json.loads((study / "out/summary.json").read_text())["tables"]

    for whole, fewer, lost in zip(tables["dice"], tables["dice_one_missing"], tables["dice_loss"], strict=True):
        assert whole["arm"] == fewer["arm"] == lost["arm"]
        assert lost["mean"] == pytest.approx(whole["mean"] - fewer["mean"], abs=1e-9)
    assert "Dice lost when one modality is missing (less is better)" in (study / "out/report.md").read_text()


def test_frozen_features_are_probed_beside_an_encoder_of_random_weights(study):
    cells = cells_of(study)
    assert cells["scratch_f1_d0"]["probes"] == {}
    for told in cells["mae_f1_d0"]["probes"].values():
        assert 0 <= told["pretrained"] <= 1
        assert 0 <= told["random"] <= 1
    row = json.loads((study / "out/summary.json").read_text())["probes"][0]
    values = [cells[f"mae_f0.5_d{draw}"]["probes"][row["probe"]] for draw in (0, 1)]
    assert row["pretrained"] == pytest.approx(np.mean([value["pretrained"] for value in values]), abs=1e-5)
    assert row["difference"]["mean"] == pytest.approx(row["pretrained"] - row["random"], abs=2e-5)


def test_a_cell_measured_before_there_were_probes_gets_them(study, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    (path,) = (study / "out/cells").glob("*/mae_f1_d0.json")
    before = path.read_text()
    write_json(path, {name: value for name, value in json.loads(before).items() if name != "probes"})
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out"), *SMALL]) == 0
    assert path.read_text() == before


def test_the_command_in_the_report_is_the_study_s(study):
    """Parsed again it gives equal settings: nothing that was set is missing from it."""
    told = json.loads((study / "out/summary.json").read_text())
    settings = compare_settings({**told["settings"], "cohort": study / "cohort"})
    words = shlex.split(command_of(Comparison(settings, told["study"], {})))
    again = settings_of(build_parser().parse_args(words[1:]))
    assert again.model_dump(exclude={"cohort"}) == settings.model_dump(exclude={"cohort"})


def test_one_pretraining_on_other_people_serves_all_draws(study, tmp_path, monkeypatch, capsys):
    """Their labels are not asked for; one of them who is in the cohort as well is told."""
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    others = write_small_cohort(tmp_path / "others", cases=8)
    for label in others.glob("*/seg.nii.gz"):
        label.unlink()
    for number in range(1, 7):
        shutil.rmtree(others / f"sub-{number:02d}")
    shutil.copytree(study / "cohort/sub-03", others / "sub-once-more")
    words = [str(study / "cohort"), "--pretrain-cohort", str(others), *SMALL, "--label-fractions", "0.5"]
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 0
    assert "'sub-03' may be the same person as 'sub-once-more'" in capsys.readouterr().err
    cells = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("out/cells/*/*_f*_d*.json")}
    assert {name: cell["unlabelled"] for name, cell in cells.items() if "mae" in name} == {
        "mae_f0.5_d0": 2,
        "mae_f0.5_d1": 2,
    }
    for draw in (0, 1):
        (parent,) = RunFolder(tmp_path / f"out/runs/finetune_mae_f0.5_d{draw}").provenance()["parents"]
        assert parent["path"].endswith("runs/pretrain_mae")
    (home,) = (tmp_path / "out/cells").iterdir()
    assert home.name not in {path.name for path in (study / "out/cells").iterdir()}
    report = (tmp_path / "out/report.md").read_text()
    assert "2 pretrained on" in report
    assert "Each recipe was pretrained once" in report
    assert "--pretrain-cohort others" in report


def test_one_person_under_two_names_is_told(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    copied = shutil.copytree(study / "cohort", tmp_path / "cohort")
    first = sorted(path for path in copied.iterdir() if path.is_dir())[0]
    shutil.copytree(first, copied / "sub-99")
    one = [*SMALL, "--recipes", "scratch,scratch_no_dropout", "--label-fractions", "1", "--seeds", "1"]
    assert main(["compare", str(copied), "--out", str(tmp_path / "out"), *one]) == 0
    assert "same person" in " ".join(json.loads((tmp_path / "out/summary.json").read_text())["notes"])
    assert "same person" in (tmp_path / "out/report.html").read_text()
    assert "same person" in capsys.readouterr().err


def test_the_report_says_what_it_does_not_show(study):
    report = (study / "out/report.html").read_text()
    assert "No difference shown" in report
    assert "mmssl compare" in report
    assert "<svg" in report
    text = (study / "out/report.md").read_text()
    table = json.loads((study / "out/summary.json").read_text())["tables"]["dice"]
    assert all(f"| {row['label_fraction']:.0%} | {row['arm']} | 2 | {row['mean']:.3f} |" in text for row in table)


def test_given_again_nothing_is_measured_twice(study, monkeypatch, capsys):
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    before = {path: path.stat().st_mtime_ns for path in (study / "out/cells").glob("*/*_f*_d*.json")}
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out"), *SMALL]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "difference to scratch" in capsys.readouterr().out


def test_another_budget_is_another_study_beside_the_first(study, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    one = [*SMALL, "--label-fractions", "1", "--seeds", "1", "--finetune-steps", "1"]
    cells = ["--cells", str(study / "out/cells")]
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out2"), *one, *cells]) == 0
    assert len(list((study / "out/cells").iterdir())) == 2
    assert len(cells_of(study)) == 8  # the same names, and the first study's are as they were


def test_a_study_that_is_not_done_yet_is_tabulated_without_training(study, monkeypatch, capsys):
    monkeypatch.setenv("MMSSL_HOME", str(study / "home"))
    more = [*SMALL, "--seeds", "3", "--report-only", "--cells", str(study / "out/cells")]
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out3"), *more]) == 0
    assert "of 2" in capsys.readouterr().out  # two of three draws are measured
    assert not (study / "out3/runs").exists()
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out5"), *more, "--first-seed", "1"]) == 0
    alone = json.loads((study / "out5/summary.json").read_text())
    assert {draw for row in alone["tables"]["dice"] for draw in row["draws"]} == {"1"}
    nothing = [*SMALL, "--pretrain-steps", "77", "--report-only"]
    assert main(["compare", str(study / "cohort"), "--out", str(study / "out4"), *nothing]) == 2
    assert "no cell" in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(study, capsys):
    run = study / "out/runs/pretrain_mae_d0"
    assert main(["compare", str(study / "cohort"), "--out", str(run), *SMALL]) == 2
    assert "not a comparison" in capsys.readouterr().err


def test_survival_is_compared_by_the_concordance_of_a_draw(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    cohort = write_clinical_cohort(tmp_path / "cohort", 16)
    few = ["--recipes", ARMS, "--label-fractions", "1", "--seeds", "2", "--pretrain-steps", "2", "--patch", "16"]
    few += ["--finetune-steps", "2", "--set", "finetune_batch=2", "--subsets", "one_missing"]
    assert main(["compare", str(cohort), "--task", "survival", "--out", str(tmp_path / "out"), *few]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["study"]["task"] == "survival"
    table = {row["arm"]: row for row in summary["tables"]["c_index"]}
    by_draw = [table["mae"]["draws"][draw] - table["scratch"]["draws"][draw] for draw in ("0", "1")]
    assert table["mae"]["difference"]["mean"] == pytest.approx(np.mean(by_draw), abs=2e-5)
    assert set(summary["subsets"]["1"]["scratch"]) == {"flair+t1", "flair", "t1"}
    assert "C-index" in (tmp_path / "out/report.html").read_text()


def test_a_classification_is_compared_by_its_auc_and_probed_by_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
    cohort = write_clinical_cohort(tmp_path / "cohort", 24)
    few = ["--recipes", ARMS, "--label-fractions", "1", "--seeds", "1", "--pretrain-steps", "2", "--patch", "16"]
    few += ["--finetune-steps", "2", "--set", "finetune_batch=2", "--subsets", "none", "--target", "grade"]
    assert main(["compare", str(cohort), "--task", "classification", "--out", str(tmp_path / "out"), *few]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert all(0 <= row["mean"] <= 1 for row in summary["tables"]["auc"])
    assert {row["probe"] for row in summary["probes"]} == {"linear auc", "neighbours auc"}


def test_a_segmentation_keeps_the_key_it_had_before_there_were_tasks():
    """Cells of protocol 1 in docs/evidence must be found again."""
    note = json.loads((EVIDENCE / "ed718a9f/study.json").read_text())
    again = compare_settings({"cohort": "x", "patch": [32, 32, 32], "task": "segmentation"})
    assert study_key(study_table(again, note["cohort"])) == "ed718a9f"


def test_nobody_is_pretrained_on_who_is_measured_on(study, tmp_path, capsys):
    words = [str(study / "cohort"), "--pretrain-cohort", str(study / "out/../cohort"), *SMALL]
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 2
    assert "leave --pretrain-cohort out" in capsys.readouterr().err


@pytest.mark.parametrize("study", sorted(EVIDENCE.glob("*/study.json")), ids=lambda path: path.parent.name)
def test_the_people_of_the_evidence_can_be_made_again(study):
    table = json.loads(study.read_text())
    for people in (table["cohort"], table.get("pretrain_cohort", {})):
        if "phantom" in people:
            assert phantoms.get(people["phantom"]["generator"]).version == people["phantom"]["version"]
    assert study_key(table) == study.parent.name


@pytest.mark.parametrize("arms", [["scratch"], ["scratch", "scratch"], ["scratch", "brainmvp"], []])
def test_arms_that_cannot_be_compared_are_refused(arms):
    with pytest.raises(ConfigError):
        compare_settings({"cohort": "x", "arms": arms})
