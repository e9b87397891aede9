"""What every task promises, and that what was written before there were several is still read."""

import json

import pytest
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.config import as_table, read_toml, write_toml
from napari_mmssl.errors import ConfigError
from napari_mmssl.tasks import tasks
from napari_mmssl.training.settings import FinetuneSettings
from napari_mmssl.workflows.catalogue import read_catalogue
from napari_mmssl.workflows.configure import finetune_settings

SMALL = ["--steps", "2", "--patch", "16", "--validate-every", "2"]


@pytest.mark.parametrize("entry", tasks.entries(), ids=lambda entry: entry.name)
def test_settings_of_each_task_go_through_toml_unchanged(entry, tmp_path):
    settings = finetune_settings(flags={"cohort": "somewhere", "task": {"name": entry.name, "drop_modality": 0.25}})
    write_toml(tmp_path / "run.toml", as_table(settings))
    again = FinetuneSettings(**read_toml(tmp_path / "run.toml"))
    assert again == settings
    assert type(again.task) is entry.value.settings_class
    assert again.task.drop_modality == 0.25


@pytest.mark.parametrize("entry", tasks.entries(), ids=lambda entry: entry.name)
def test_the_name_of_a_task_is_that_of_its_settings(entry):
    assert entry.value.settings_class().name == entry.name
    assert entry.name in [one["name"] for one in read_catalogue()["tasks"]]


def test_a_mistyped_setting_of_a_task_names_its_neighbour():
    with pytest.raises(ConfigError, match=r"task\.intervalls'; did you mean 'task\.intervals'"):
        finetune_settings(flags={"cohort": "x", "task": {"name": "survival", "intervalls": 3}})
    with pytest.raises(ConfigError, match="unknown task 'survivl'; did you mean 'survival'"):
        finetune_settings(flags={"cohort": "x", "task": {"name": "survivl"}})
    with pytest.raises(ConfigError, match=r"setting 'task\.intervals'.*got 1"):
        finetune_settings(flags={"cohort": "x"}, assignments=["task.name=survival", "task.intervals=1"])


def test_a_table_without_a_name_is_a_segmentation_as_it_was_before_there_were_others():
    settings = FinetuneSettings(**{"cohort": "x", "task": {"convention": "lesion"}})
    assert (settings.task.name, settings.task.convention) == ("segmentation", "lesion")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    base = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(base / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        write_small_cohort(base / "cohort", 4)
        assert main(["finetune", str(base / "cohort"), "--out", str(base / "run"), *SMALL]) == 0
        yield base


def test_weights_with_the_card_of_the_first_version_predict_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(run / "home"))
    old = tmp_path / "old"
    old.mkdir()
    for file in (run / "run" / "weights").iterdir():
        (old / file.name).write_bytes(file.read_bytes())
    card = json.loads((old / "card.json").read_text())
    for key in ("task_settings", "fusion", "freeze", "whole"):
        card.pop(key)
    (old / "card.json").write_text(json.dumps(card))
    for name, weights in (("new", run / "run"), ("old", old)):
        arguments = [str(run / "cohort"), "--weights", str(weights), "--out", str(tmp_path / f"{name}_maps")]
        assert main(["predict", *arguments, "--case", "sub-01"]) == 0
    maps = [(tmp_path / f"{name}_maps" / "sub-01.nii.gz").read_bytes() for name in ("new", "old")]
    assert maps[0] == maps[1]


def test_a_run_toml_of_the_first_version_trains_the_same_task(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(run / "home"))
    table = read_toml(run / "run" / "run.toml")
    for key in ("fusion", "freeze", "freeze_share", "templates"):
        table.pop(key)
    known_then = ("name", "convention", "regions", "label_share", "drop_modality")
    table["task"] = {key: value for key, value in table["task"].items() if key in known_then}
    write_toml(tmp_path / "old.toml", table)
    assert main(["finetune", "--config", str(tmp_path / "old.toml"), "--out", str(tmp_path / "again")]) == 0
    file = "weights/network.safetensors"
    assert (tmp_path / "again" / file).read_bytes() == (run / "run" / file).read_bytes()
