"""What ``mmssl demo`` leaves behind where something goes wrong on the way; ``make demo`` runs all of it."""

import json
import sys
import time

import psutil
import pytest

from napari_mmssl.errors import RunFailed
from napari_mmssl.workflows.demo import DemoSize, demo, run_for


def test_a_command_over_its_time_ends_with_all_that_it_started(tmp_path):
    endless = "subprocess.Popen([sys.executable, '-c', 'while True: pass'])"
    wrapper = f"import subprocess, sys, time; print({endless}.pid, flush=True); time.sleep(60)"
    began = time.monotonic()

    assert run_for([sys.executable, "-c", wrapper], tmp_path / "log", 3) is None

    assert time.monotonic() - began < 30
    child = int((tmp_path / "log").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_command_in_time_gives_its_code_and_what_it_said(tmp_path):
    assert run_for([sys.executable, "-c", "print('said'); raise SystemExit(3)"], tmp_path / "log", 60) == 3
    assert (tmp_path / "log").read_text() == "said\n"


@pytest.mark.slow
def test_without_a_window_the_report_is_there_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    size = DemoSize(cases=5, pretrain_steps=1, finetune_steps=1, label_fraction=1.0)
    with pytest.raises(RunFailed, match="no xvfb-run"):
        demo(tmp_path / "demo", window=False, size=size)
    assert json.loads((tmp_path / "demo/summary.json").read_text())["n_test"] >= 1
    assert "Segmentation" in (tmp_path / "demo/report.html").read_text()
