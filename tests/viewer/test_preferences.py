"""The page under Preferences, and what follows from it."""

import importlib

import pytest
from napari.settings import get_plugin_settings
from npe2 import PluginManifest

import napari_mmssl
from napari_mmssl.viewer import preferences
from napari_mmssl.viewer.places import data_folder
from napari_mmssl.viewer.preferences import PLUGIN, preference
from napari_mmssl.viewer.session import session_of


@pytest.fixture
def manifest():
    return PluginManifest.from_distribution(PLUGIN)


@pytest.fixture
def page():
    """The settings of the page, put back as they were."""
    settings = get_plugin_settings(PLUGIN)
    before = settings.model_dump()
    yield settings
    for section in ("viewing", "computing"):
        for key, value in before[section].items():
            setattr(getattr(settings, section), key, value)


def test_what_is_set_on_the_page_holds(page, monkeypatch, tmp_path, viewer):
    monkeypatch.delenv("MMSSL_HOME")
    page.computing.data_folder = str(tmp_path / "elsewhere")
    page.viewing.convention = "neurological"

    assert data_folder() == tmp_path / "elsewhere"
    assert session_of(viewer).convention == "neurological"


def test_the_variable_goes_before_the_page(page, tmp_path):
    page.computing.data_folder = str(tmp_path / "elsewhere")

    assert data_folder() == tmp_path / "mmssl_home"


def test_without_such_a_page_the_usual_value_holds(monkeypatch):
    assert preference("viewing", "nothing", 7) == 7
    monkeypatch.setattr(preferences, "PLUGIN", "no-such-plugin")
    assert preference("viewing", "convention", "usual") == "usual"


def test_every_command_of_the_manifest_leads_somewhere(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_widgets_and_commands_are_found_in_the_palette_by_one_word(manifest):
    titles = {command.id: command.title for command in manifest.contributions.commands}
    shown = {widget.command for widget in manifest.contributions.widgets}

    assert {titles[command].partition(":")[0] for command in shown} == {"MMSSL"}
    assert napari_mmssl.__name__ in manifest.contributions.commands[0].python_name
