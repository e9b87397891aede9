"""The files around the package agree with each other and with it."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_mmssl
from napari_mmssl.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize(
    "line",
    [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["docs"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["dependency-groups"]["dist"],
    ],
)
def test_every_requirement_is_pinned_within_its_bounds(line):
    requirement = Requirement(line)
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_torch_is_pinned_without_a_local_part():
    assert pins()["torch"] == "2.13.0"


def test_one_version_everywhere():
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation is not None
    assert citation[1] == PROJECT["project"]["version"] == napari_mmssl.__version__


def test_no_setting_of_setup_cfg_stands_in_pyproject():
    sections = configparser.ConfigParser()
    sections.read(ROOT / "setup.cfg")
    assert not set(sections.sections()) & {
        "metadata",
        "options",
        *PROJECT["tool"],
        *(f"tool:{t}" for t in PROJECT["tool"]),
    }


@pytest.mark.parametrize("script", [*(ROOT / "scripts").glob("*.sh"), ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_scripts_are_executable_and_parse(script):
    assert script.stat().st_mode & 0o100
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_readme_names_only_what_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for line in re.findall(r"`?make ((?:[a-z-]+ ?)+)", README) for word in line.split()}
    assert {"demo", "test", "bench"} <= named & targets
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets
    assert set(re.findall(r"mmssl ([a-z]+)", README)) <= set(COMMANDS)


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
