"""The table over all subsets of the modalities, and what stands in for a missing one."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from clinical_cohorts import write_clinical_cohort
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.workflows.subsets import subsets

SMALL = ["--steps", "12", "--batch-size", "2", "--patch", "16", "--validate-every", "12"]
TEMPLATES = [f"objectives.{name}.block=[4,4,4]" for name in ("cross_modal_reconstruction", "template_distillation")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subsets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(folder / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = write_small_cohort(folder / "cohort", 5, modalities=("t1", "t2", "flair"))
        more = [part for assignment in TEMPLATES for part in ("--set", assignment)]
        pretrain = ["pretrain", str(cohort), "--recipe", "brainmvp2025", "--out", str(folder / "pre"), *SMALL]
        assert main([*pretrain, *more]) == 0
        tuned = ["finetune", str(cohort), "--weights", str(folder / "pre"), *SMALL]
        assert main([*tuned, "--fusion", "mean", "--out", str(folder / "fine")]) == 0
        yield folder


@pytest.fixture(autouse=True)
def own_cache(base, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(base / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def test_all_subsets_are_there_once_and_the_whole_comes_first():
    found = list(subsets("abcd"))
    assert len(found) == len(set(found)) == 2**4 - 1
    assert found[0] == tuple("abcd")
    assert [len(one) for one in found] == sorted((len(one) for one in found), reverse=True)


@pytest.mark.parametrize("missing", ["drop", "template"])
def test_every_subset_is_measured_and_the_whole_equals_a_prediction(base, capsys, tmp_path, missing):
    capsys.readouterr()
    arguments = ["--subsets", "--missing", missing, "--json"]
    assert main(["evaluate", str(base / "fine"), str(base / "cohort"), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["subsets"]) == 7
    values = [metrics["dice"] for metrics in found["subsets"].values() if metrics["dice"] is not None]
    assert found["worst"] == min(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    predict = ["predict", str(base / "cohort"), "--weights", str(base / "fine"), "--cases", "test"]
    assert main([*predict, "--out", str(tmp_path / "said")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "said"), str(base / "cohort"), "--json"]) == 0
    (whole,) = json.loads(capsys.readouterr().out)["cases"].values()
    assert found["all"] == pytest.approx(whole["classes"]["lesion"]["dice"])


def test_the_policy_for_a_missing_modality_changes_the_answer_and_is_kept(base, tmp_path):
    cohort = tmp_path / "cohort"
    shutil.copytree(base / "cohort" / "sub-01", cohort / "sub-01")
    (cohort / "sub-01" / "t2.nii.gz").unlink()
    maps = {}
    for missing in ("drop", "zero", "template"):
        out = tmp_path / missing
        arguments = ["--weights", str(base / "fine"), "--missing", missing, "--save-probabilities", "--out", str(out)]
        assert main(["predict", str(cohort), *arguments]) == 0
        maps[missing] = np.asarray(nib.load(next(iter(sorted((out / "probabilities").iterdir())))).dataobj)
        assert f'missing = "{missing}"' in (out / "run.toml").read_text()
    assert not np.array_equal(maps["drop"], maps["zero"])
    assert not np.array_equal(maps["zero"], maps["template"])


def test_survival_has_its_table_too(base, tmp_path, capsys):
    cohort = write_clinical_cohort(tmp_path / "clinical", 12)
    run = ["finetune", str(cohort), "--task", "survival", "--out", str(tmp_path / "run")]
    assert main([*run, "--steps", "2", "--batch-size", "2", "--set", "data.test_share=0.5"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), str(cohort), "--subsets"]) == 0
    said = capsys.readouterr().out
    assert "flair+t1" in said
    assert "c_index: all" in said


def test_a_folder_of_label_maps_does_not_say_who_was_held_out(base, tmp_path, capsys):
    assert main(["evaluate", str(base / "pre"), str(base / "cohort"), "--subsets"]) == 2
    assert "no run folder of a fine-tuning" in capsys.readouterr().err
