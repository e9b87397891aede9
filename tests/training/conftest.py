"""A tiny cohort to train on, and a cache and a number of threads that no other test or training has a say in."""

import pytest
from small_cohorts import write_small_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_small_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")
