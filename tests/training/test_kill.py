"""A process killed without warning at a random moment goes on bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.training.run_folder import RunFolder

STEPS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("kill")
    write_small_cohort(base / "cohort")
    run_to_the_end(base, "pretrain", *arguments(base, base / "unbroken"))
    return base


def arguments(base, out):
    flags = ["--steps", STEPS, "--checkpoint-every", 3, "--validate-every", 8, "--batch-size", 2, "--patch", 16]
    puzzle = ["--set", "objectives.puzzle.grid=[2,2,2]", "--set", "objectives.puzzle.jitter=1"]
    return [str(word) for word in (base / "cohort", "--out", out, *flags, *puzzle)]


def start(base, *words):
    environment = os.environ | {"MMSSL_HOME": str(base / "home"), "MMSSL_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "napari_mmssl", *words], env=environment, stderr=subprocess.PIPE)


def run_to_the_end(base, *words):
    process = start(base, *words)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said.decode()


def kill_and_go_on(base, seed):
    path = base / f"killed-{seed}"
    process = start(base, "pretrain", *arguments(base, path))
    wait_for_first_step(path)
    time.sleep(random.Random(seed).uniform(0, 1.2))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    run = RunFolder.open(path)
    assert not run.is_alive()
    run_to_the_end(base, "runs", "resume", str(path))
    assert run.status()["state"] == "done"
    assert [e["step"] for e in run.events()[0] if e["kind"] == "step"] == list(range(1, STEPS + 1))
    for file in sorted((base / "unbroken" / "weights").glob("*.safetensors")):
        whole, resumed = load_file(file), load_file(path / "weights" / file.name)
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def wait_for_first_step(path):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if (path / "events.jsonl").is_file() and any(e["kind"] == "step" for e in RunFolder(path).events()[0]):
            return
        time.sleep(0.02)
    raise AssertionError("the run never made a step")


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_at_a_random_moment(place, seed):
    kill_and_go_on(place, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 21))
def test_kill_at_many_moments(place, seed):
    kill_and_go_on(place, seed)


def test_ctrl_c_keeps_what_was_learned_and_ends_with_130(place, tmp_path):
    process = start(place, "pretrain", *arguments(place, tmp_path / "run"))
    wait_for_first_step(tmp_path / "run")

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    status = RunFolder(tmp_path / "run").status()
    if status["state"] == "done":
        pytest.skip("the run was over before the signal came")
    assert process.returncode == 130
    assert status["state"] == "stopped"
    assert "kept" in said.decode()
    assert "Traceback" not in said.decode()
    assert (tmp_path / "run" / "weights" / "encoder.safetensors").is_file()
