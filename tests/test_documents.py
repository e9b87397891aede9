"""The documents speak of what exists."""

import re
from pathlib import Path
from typing import get_args

import pytest

from napari_mmssl.config import Settings
from napari_mmssl.training import run_folder
from napari_mmssl.training import settings as training_settings
from napari_mmssl.training.synthesis_settings import GateSettings, SynthesisLossSettings, SynthesisSettings
from napari_mmssl.workflows.comparison.settings import CompareSettings
from napari_mmssl.workflows.configure import read_recipe, recipe_names

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
RUN_FOLDER = (ROOT / "docs" / "reference" / "run-folder.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(\s*(?!http)([^)#]+)\)", text):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_of_the_package_that_are_named_exist(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"`((?:napari_mmssl|benchmarks|scripts|tests|docs)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), target


def test_what_the_page_of_components_names_exists():
    page = (ROOT / "docs" / "reference" / "components.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) > 40
    for row in rows:
        folder = ROOT / "tests"
        for named in re.findall(r"`([\w/.-]+)`", row):
            target = ROOT / named if named.startswith("tests/") else folder / named
            if named.startswith("test"):
                assert target.exists(), f"{named}: {row}"
                folder = target.parent
            elif "/" in named:
                assert (ROOT / "napari_mmssl" / named).exists(), f"{named}: {row}"


def test_the_page_of_recipes_has_a_row_for_each_with_all_its_objectives():
    page = (ROOT / "docs" / "concepts" / "recipes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` (\|.*)$", page, re.MULTILINE))
    assert sorted(rows) == recipe_names()
    for name, row in rows.items():
        theirs = read_recipe(name)[0]["objectives"]
        same = re.search(r"as above|those of `(\w+)`", row)
        if not same:
            assert set(theirs) <= set(re.findall(r"`(\w+)`", row)), name


def told(value: object) -> str:
    """Return a default as the page of settings writes it."""
    if value is None:
        return "unset"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize(
    ("section", "prefix", "settings"),
    [
        ("Every training", "", training_settings.RunSettings),
        ("Every training", "data.", training_settings.DataSettings),
        ("Every training", "optimisation.", training_settings.OptimisationSettings),
        ("Every training", "encoder.", training_settings.EncoderSettings),
        ("mmssl pretrain", "objectives.NAME.", training_settings.ScheduleSettings),
        ("mmssl finetune", "", training_settings.FinetuneSettings),
        ("mmssl finetune", "templates.", training_settings.TemplateSettings),
        ("mmssl synthesize train", "", SynthesisSettings),
        ("mmssl synthesize train", "loss.", SynthesisLossSettings),
        ("mmssl synthesize train", "gate.", GateSettings),
        ("mmssl compare", "", CompareSettings),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_page_of_settings_has_every_key_with_its_default(section, prefix, settings):
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| `([\w.]+)` \| (.*?) \|", page.split(f"## {section}\n")[1].split("\n## ")[0], re.MULTILINE)
    )
    shared = {"kind", "task"} | set(training_settings.EncoderRunSettings.model_fields)
    skipped = {"kind"} if settings in (training_settings.RunSettings, CompareSettings) else shared
    for key, field in settings.model_fields.items():
        is_table = isinstance(field.annotation, type) and issubclass(field.annotation, Settings)
        if key not in skipped and not is_table:
            default = "needed" if field.is_required() else told(field.default)
            assert rows.get(f"{prefix}{key}") == default, key


def test_the_run_folder_page_names_every_state_and_order():
    rows = re.findall(r"^\| `(\w+)` \|", RUN_FOLDER, re.MULTILINE)
    assert set(get_args(run_folder.State)) <= set(rows)
    (orders,) = re.findall(r'\{"order": ([^}]+)\}', RUN_FOLDER)
    assert set(re.findall(r'"(\w+)"', orders)) == set(get_args(run_folder.Order))


def test_the_run_folder_page_has_the_right_version_and_number_of_pictures():
    assert f"`v` in each event are {run_folder.FORMAT}." in " ".join(RUN_FOLDER.split())
    assert f"last {run_folder.KEPT_PICTURES} are kept" in " ".join(RUN_FOLDER.split())


def test_a_status_has_only_keys_that_the_page_explains(tmp_path):
    run = run_folder.RunFolder.create(tmp_path / "run", "pretrain", {"seed": 0})
    explained = {key for row in re.findall(r"^\| (`.+?`) \|", RUN_FOLDER, re.MULTILINE) for key in row.split(", ")}
    assert {f"`{key}`" for key in run.status()} <= explained


def test_every_kind_of_event_in_the_code_is_on_the_page():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "napari_mmssl").rglob("*.py"))
    kinds = set(re.findall(r"(?:run|self)\._?emit\(\s*\"(\w+)\"", code))
    assert {"step", "ended", "picture"} <= kinds
    events = RUN_FOLDER.split("## events.jsonl")[1].split("\n## ")[0]
    assert kinds == set(re.findall(r"^\| `(\w+)`", events, re.MULTILINE))
