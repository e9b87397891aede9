"""For how much of its time a training waits for batches."""

import time

import pytest

from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.training.loop import _Clock
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_wait_for_all_batches_but_the_first_counts(monkeypatch):
    now = 100.0
    monkeypatch.setattr("napari_mmssl.training.loop.time.monotonic", lambda: now)

    def batches():
        nonlocal now
        for wait_s in (50, 1, 1):
            now += wait_s
            yield None

    clock = _Clock(0, 3)
    for step, _ in enumerate(clock.waiting_for(batches()), start=1):
        now += 6
        clock.tick(step)

    assert clock.told() == {"step_s": 23.3333, "feed_wait": 0.1}


def test_slow_scans_show_in_the_status(cohort, tmp_path, monkeypatch):
    flags = {
        "cohort": str(cohort),
        "recipe": "mae",
        "data": {"patch": [16, 16, 16]},
        "optimisation": {"steps": 4, "batch_size": 2},
    }
    quick = pretrain(pretrain_settings(flags=flags), tmp_path / "quick").status()
    made = PatchSampler.__getitem__

    def slowly(self, step):
        time.sleep(0.5)
        return made(self, step)

    monkeypatch.setattr(PatchSampler, "__getitem__", slowly)
    slow = pretrain(pretrain_settings(flags=flags), tmp_path / "slow").status()

    assert 0 <= quick["feed_wait"] < slow["feed_wait"] < 1
