"""A process killed without warning at a random moment goes on bit for bit."""

import os
import random
import signal
import time

import pytest
import torch
from forked_processes import Processes
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.training.run_folder import RunFolder

STEPS = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Processes(tmp_path_factory.mktemp("kill"))
    write_small_cohort(place.base / "cohort")
    place.run_to_the_end("pretrain", *arguments(place.base, place.base / "unbroken"))
    return place


def arguments(base, out):
    flags = ["--steps", STEPS, "--checkpoint-every", 3, "--validate-every", 8, "--batch-size", 2, "--patch", 16]
    puzzle = ["--set", "objectives.puzzle.grid=[2,2,2]", "--set", "objectives.puzzle.jitter=1"]
    return [base / "cohort", "--out", out, *flags, *puzzle]


def kill_and_go_on(place, seed):
    path = place.base / f"killed-{seed}"
    process = place.start("pretrain", *arguments(place.base, path))
    moment = random.Random(seed)
    wait_for_step(path, moment.randint(1, STEPS - 6))
    time.sleep(moment.uniform(0, 0.05))
    os.kill(process.pid, signal.SIGKILL)
    process.join(timeout=20)
    run = RunFolder.open(path)
    assert not run.is_alive()
    place.run_to_the_end("runs", "resume", path)
    assert run.status()["state"] == "done"
    assert [e["step"] for e in run.events()[0] if e["kind"] == "step"] == list(range(1, STEPS + 1))
    for file in sorted((place.base / "unbroken" / "weights").glob("*.safetensors")):
        whole, resumed = load_file(file), load_file(path / "weights" / file.name)
        assert whole.keys() == resumed.keys()
        assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def wait_for_step(path, number):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        steps = [e["step"] for e in RunFolder(path).events()[0] if e["kind"] == "step"]
        if steps and steps[-1] >= number:
            return
        time.sleep(0.01)
    raise AssertionError(f"the run never made step {number}")


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_at_a_random_moment(place, seed):
    kill_and_go_on(place, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 21))
def test_kill_at_many_moments(place, seed):
    kill_and_go_on(place, seed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_was_learned_and_ends_with_130(place, tmp_path, number):
    process = place.start("pretrain", *arguments(place.base, tmp_path / "run"))
    wait_for_step(tmp_path / "run", 1)

    os.kill(process.pid, number)
    process.join(timeout=60)

    status, said = RunFolder(tmp_path / "run").status(), place.said()
    if status["state"] == "done":
        pytest.skip("the run was over before the signal came")
    assert process.exitcode == 130
    assert status["state"] == "stopped"
    assert "kept" in said
    assert "Traceback" not in said
    assert (tmp_path / "run" / "weights" / "encoder.safetensors").is_file()
