"""Jobs as processes of their own, and the words they leave."""

import os
import tempfile
import time

import pytest

from napari_mmssl.workflows import launch

_WEEK = 7 * 24 * 3600


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_failed_job_is_known_by_its_last_words(logs):
    job = launch.start(["inspect", str(logs / "nowhere")], polite=False)
    assert job.process.wait() == 2
    assert "nowhere" in job.failure()
    assert job.log.parent == logs


def test_logs_of_a_week_ago_are_forgotten_and_others_kept(logs):
    for name, age in (("mmssl-old.log", _WEEK + 60), ("mmssl-new.log", _WEEK - 60), ("notes.log", 9 * _WEEK)):
        (logs / name).write_text("case 'sub-01' ...")
        os.utime(logs / name, times=(time.time() - age,) * 2)
    job = launch.start(["--version"], polite=False)
    job.process.wait()
    assert {log.name for log in logs.glob("*.log")} == {"mmssl-new.log", "notes.log", job.log.name}


def test_a_job_that_outlived_its_log_tells_its_code(logs):
    job = launch.start(["no-such-command"], polite=False)
    job.process.wait()
    job.log.unlink()
    assert job.failure() == "the process ended with code 2"
