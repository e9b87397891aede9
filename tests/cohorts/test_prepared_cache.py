import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_cohorts import write_small_cohort

from napari_mmssl.cohorts.cache_budget import make_room
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import cache_folder, prepare_cohort
from napari_mmssl.errors import ConfigError, WriteError
from napari_mmssl.sampling.sampler import PatchSampler

SPACING = (2.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return find_cohort(write_small_cohort(tmp_path_factory.mktemp("cohort"), cases=4)).cases


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def entries():
    return sorted(path for path in (cache_folder() / "prepared").iterdir())


def batches(cases):
    sampler = PatchSampler(prepare_cohort(cases, SPACING), ("flair", "t1"), (8, 8, 8), 2, 6, seed=1)
    return [sampler[step].volumes for step in range(6)]


def test_batches_are_the_same_whatever_the_cache_holds(cases):
    fresh = batches(cases)
    from_cache = batches(cases)
    shutil.rmtree(entries()[0])
    one_missing = batches(cases)

    for other in (from_cache, one_missing):
        assert all(torch.equal(a, b) for a, b in zip(fresh, other, strict=True))


def test_what_was_used_longest_ago_goes_when_the_budget_is_spent(cases, monkeypatch):
    prepare_cohort(cases[:3], SPACING)
    ages = {path: 1000 + number for number, path in enumerate(entries())}
    for path, age in ages.items():
        os.utime(path / "case.json", (age, age))
    prepare_cohort([cases[0]], SPACING)  # used again, so no longer old
    size = sum(file.stat().st_size for file in entries()[0].iterdir())
    monkeypatch.setenv("MMSSL_CACHE_GB", str(2.5 * size / 1e9))

    prepare_cohort([cases[3]], SPACING)

    kept = set(entries())
    assert len(kept) == 2
    by_age = sorted(ages, key=lambda path: (path / "case.json").stat().st_mtime if path in kept else 0)
    assert by_age[-1] in kept
    prepare_cohort([cases[0]], SPACING)
    assert set(entries()) == kept


def test_a_cohort_larger_than_the_budget_is_prepared_all_the_same(cases, monkeypatch):
    monkeypatch.setenv("MMSSL_CACHE_GB", "0.0000001")

    prepared = prepare_cohort(cases, SPACING)

    assert len(entries()) == 4
    assert all(np.isfinite(case.volumes).all() for case in prepared)


def test_what_is_mapped_stays_readable_after_it_went(cases):
    (prepared,) = prepare_cohort(cases[:1], SPACING)
    before = np.array(prepared.volumes)

    make_room(cache_folder() / "prepared", 0, in_use=())

    assert entries() == []
    np.testing.assert_array_equal(prepared.volumes, before)


def test_a_case_goes_to_another_process_as_the_files_it_is_mapped_from(cases):
    """Else each loader process that is not forked would hold the whole cohort."""
    (prepared,) = prepare_cohort(cases[:1], SPACING)

    sent = pickle.dumps(prepared)
    found = pickle.loads(sent)

    assert len(sent) < 4096 < prepared.volumes.nbytes
    assert isinstance(found.volumes, np.memmap)
    for name in ("volumes", "foreground", "label"):
        np.testing.assert_array_equal(getattr(found, name), getattr(prepared, name))


def test_a_case_goes_to_another_process_whole_if_its_files_went_or_it_shows_but_a_part(cases):
    (prepared,) = prepare_cohort(cases[:1], SPACING)
    part = replace(prepared, modalities=prepared.modalities[1:], volumes=prepared.volumes[1:])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).volumes, prepared.volumes[1:])
    before = np.array(prepared.volumes)

    make_room(cache_folder() / "prepared", 0, in_use=())

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(prepared)).volumes, before)


def test_what_a_killed_process_left_half_made_is_cleared(cases):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    half = cache_folder() / "prepared" / f".{dead.stdout.strip()}-0123"
    at_work = cache_folder() / "prepared" / f".{os.getppid()}-4567"
    for folder in (half, at_work):
        folder.mkdir(parents=True)
        (folder / "volumes.npy").write_bytes(b"half")

    prepare_cohort(cases[:1], SPACING)

    assert not half.exists()
    assert at_work.exists()


def test_processes_that_prepare_at_once_share_the_cache(cases, tmp_path):
    code = (
        "import sys; from pathlib import Path; from napari_mmssl.cohorts.find import find_cohort;"
        "from napari_mmssl.cohorts.prepare import prepare_cohort;"
        "print(sum(float(c.volumes.sum()) for c in prepare_cohort(find_cohort(Path(sys.argv[1])).cases, (2., 2., 2.))))"
    )
    cohort = cases[0].modalities["t1"].path.parent.parent
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(cohort)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate()[0] for process in started]

    assert [process.returncode for process in started] == [0, 0]
    assert len(set(said)) == 1
    assert len(entries()) == 4


def test_a_full_disk_is_a_sentence_and_leaves_no_half(cases):
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(WriteError, match="cannot keep prepared cases"):
            prepare_cohort(cases[:1], SPACING)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert entries() == []


def test_a_budget_that_is_no_number_is_refused(cases, monkeypatch):
    monkeypatch.setenv("MMSSL_CACHE_GB", "lots")

    with pytest.raises(ConfigError, match="MMSSL_CACHE_GB"):
        prepare_cohort(cases[:1], SPACING)
