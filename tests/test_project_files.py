"""The files around the package agree with each other and with it."""

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_mmssl
from napari_mmssl.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REFUSE = str(ROOT / "scripts" / "refuse_scans.py")
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


@pytest.mark.parametrize("file", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_files_for_the_public_parse_and_run_what_exists(file):
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in content.get("jobs", {}).values():
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)) <= targets


def test_nothing_in_the_repository_is_a_scan():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [name for name in listed.stdout.split("\0") if name] or ["README.md"]
    said = subprocess.run([sys.executable, REFUSE, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_scans_are_refused_by_name_and_by_content(tmp_path):
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "scan.nii.gz")
    (tmp_path / "report.bin").write_bytes((tmp_path / "scan.nii.gz").read_bytes())
    (tmp_path / "slice").write_bytes(bytes(128) + b"DICM" + bytes(8))
    (tmp_path / "words.md").write_text("no scan")

    said = subprocess.run([sys.executable, REFUSE, *tmp_path.iterdir()], capture_output=True, text=True, check=False)

    assert said.returncode == 1
    refused = {Path(line.split(": ")[0]).name for line in said.stdout.splitlines()}
    assert refused == {"scan.nii.gz", "report.bin", "slice"}
