"""Viewer tests run without a screen where they can, and never touch the settings of the person who runs them."""

import os
import subprocess
import sys
from pathlib import Path

# Before napari or Qt is imported: no settings file, and no platform plugin that wants a display.
os.environ["NAPARI_CONFIG"] = ""
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.volumes.image_files import write_label_map, write_volume
from napari_mmssl.volumes.volume import LabelMap, Volume
from napari_mmssl.workflows.launch import Job

LPS = np.array([[0, 0, -2.0, 20], [0, -2.0, 0, 30], [3.0, 0, 0, -40], [0, 0, 0, 1]])


def pytest_collection_modifyitems(items):
    """Skip tests of a real window where there is no OpenGL to draw it with."""
    if os.environ.get("QT_QPA_PLATFORM") == "offscreen":
        for item in items:
            if item.get_closest_marker("gl"):
                item.add_marker(pytest.mark.skip(reason="a real viewer needs a display; use xvfb-run"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "mmssl_home"))


@pytest.fixture
def viewer(qapp):
    """A viewer without a window."""
    return ViewerModel()


@pytest.fixture
def cohort_folder(tmp_path) -> Path:
    """Three cases of four sequences and a label map, stored LPS; the second lacks t2."""
    rng = np.random.default_rng(0)
    for n, name in enumerate(("anna", "bert", "cleo")):
        folder = tmp_path / "cohort" / name
        folder.mkdir(parents=True)
        shape = (10, 12, 14 + 2 * n)
        geometry = Geometry(shape, LPS)
        body = np.zeros(shape)
        body[1:-1, 2:-2, 2:-2] = 100 + n
        for modality in ("t1", "t1ce", "t2", "flair"):
            if (name, modality) == ("bert", "t2"):
                continue
            noise = rng.normal(0, 5, shape)
            write_volume(folder / f"{modality}.nii.gz", Volume((body + noise * (body > 0)).astype(np.int16), geometry))
        label = np.zeros(shape, np.uint8)
        label[4:6, 5:8, 6:9] = 1
        label[4, 5, 6] = 2
        label[5, 6, 7] = 4
        write_label_map(folder / "seg.nii.gz", LabelMap(label, geometry))
    return tmp_path / "cohort"


@pytest.fixture
def fake_launch(tmp_path):
    """``fake_launch(how)`` makes something to start jobs with: the process is real, what it computes is not.

    Processes that are still there at the end of the test are ended.
    """
    jobs = []

    def make(how):
        def launch(arguments):
            # "runs resume RUN" names the folder last.
            out = arguments[arguments.index("--out") + 1] if "--out" in arguments else arguments[-1]
            case = [arguments[arguments.index("--case") + 1]] if "--case" in arguments else []
            log = tmp_path / f"job{len(jobs)}.log"
            command = [sys.executable, str(Path(__file__).with_name("fake_run.py")), how, out, *case]
            with log.open("wb") as words:
                process = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT)
            jobs.append(Job(process, log))
            return jobs[-1]

        return launch

    yield make
    for job in jobs:
        job.process.kill()
        job.process.wait()
