"""How many cores and threads a process takes: what it may, not what the machine has."""

import os
import subprocess
import sys

import pytest

from napari_mmssl.errors import ConfigError
from napari_mmssl.processors import thread_count, usable_cores


@pytest.fixture
def unset(monkeypatch):
    monkeypatch.delenv("MMSSL_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not bind processes to cores")
def test_a_bound_process_computes_in_as_many_threads_as_it_is_bound_to(unset):
    words = """import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import torch
from napari_mmssl.workflows.running import set_threads
torch.set_num_threads(3)
set_threads()
print(torch.get_num_threads())"""
    told = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1"]


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_a_container_of_cgroup_2(tmp_path, limit, cores):
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert usable_cores(tmp_path) == (cores or usable_cores(tmp_path / "none"))


@pytest.mark.parametrize(("limit", "cores"), [("-1", None), ("80000", 1)])
def test_a_container_of_cgroup_1(tmp_path, limit, cores):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(limit + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == (cores or usable_cores(tmp_path / "none"))


def test_a_file_that_nobody_understands_limits_nothing(tmp_path):
    (tmp_path / "cpu.max").write_text("later\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "none")


def test_threads_are_those_asked_for(unset, monkeypatch):
    assert thread_count() == usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert thread_count() == 3
    monkeypatch.setenv("MMSSL_THREADS", "5")
    assert thread_count() == 5


@pytest.mark.parametrize("said", ["many", "0", "-1", "1.5"])
def test_no_number_of_threads_is_said_in_a_sentence(unset, monkeypatch, said):
    monkeypatch.setenv("MMSSL_THREADS", said)
    with pytest.raises(ConfigError, match="MMSSL_THREADS"):
        thread_count()
