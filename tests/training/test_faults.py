"""What goes wrong on the way, on a real but tiny pretraining: the rows of docs/reference/faults.md."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from napari_mmssl.errors import ReadError, RunError, RunFailed
from napari_mmssl.training.pretraining import Pretraining
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.resume import resume
from napari_mmssl.workflows.running import Interruption

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def unbroken(cohort, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        return pretrain(settings(cohort), tmp_path_factory.mktemp("unbroken") / "run")


def settings(cohort, **changes):
    flags = {
        "cohort": str(cohort),
        "data": {"patch": [16, 16, 16], "workers": changes.pop("workers", 0)},
        "optimisation": {"steps": 8, "batch_size": 4} | changes,
        "objectives": {"puzzle": {"grid": [2, 2, 2], "jitter": 1}},
        "validate_every": 8,
        "checkpoint_every": 2,
    }
    return pretrain_settings(flags=flags)


def weights(run):
    files = sorted((run.path / "weights").glob("*.safetensors"))
    return {f"{file.stem}/{key}": tensor for file in files for key, tensor in load_file(file).items()}


def assert_equal_bits(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def warnings(run, about):
    return [event for event in run.events()[0] if event["kind"] == "warning" and event.get("about") == about]


def without_memory_for(samples, monkeypatch):
    """Let a step in training raise what CUDA raises, if it is given more than ``samples``."""
    step = Pretraining.step

    def short(self, batch):
        if torch.is_grad_enabled() and len(batch) > samples:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return step(self, batch)

    monkeypatch.setattr(Pretraining, "step", short)


def after_step(number, act):
    def listener(event):
        if event["kind"] == "step" and event["step"] == number:
            act()

    return listener


# -- memory ------------------------------------------------------------------------------------


def test_too_little_memory_halves_the_parts_once_and_goes_on_with_the_whole_gradient(
    cohort, unbroken, tmp_path, monkeypatch
):
    in_parts = pretrain(settings(cohort, accumulate=2), tmp_path / "in-parts")
    without_memory_for(2, monkeypatch)

    run = pretrain(settings(cohort), tmp_path / "short")

    told = warnings(run, "memory")
    assert [(event["step"], event["parts"]) for event in told] == [(0, 2)]
    assert "4 samples" in told[0]["text"]
    assert_equal_bits(in_parts, run)
    whole, parted = (next(e for e in one.events()[0] if e["kind"] == "step") for one in (unbroken, run))
    assert parted["losses"] == pytest.approx(whole["losses"], rel=1e-5)
    assert parted["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-5)


def test_too_little_memory_for_the_smaller_parts_too_is_told_with_what_to_do(cohort, tmp_path, monkeypatch):
    without_memory_for(1, monkeypatch)

    with pytest.raises(RunFailed, match=r"batch of 4 patches of \(16, 16, 16\).*recompute.*--batch-size"):
        pretrain(settings(cohort), tmp_path / "run")

    run = RunFolder(tmp_path / "run")
    assert run.status()["state"] == "failed"
    assert len(warnings(run, "memory")) == 1


def test_activations_computed_anew_give_the_same_weights_bit_for_bit(cohort, unbroken, tmp_path):
    assert_equal_bits(unbroken, pretrain(settings(cohort, recompute=True), tmp_path / "run"))


# -- loader processes --------------------------------------------------------------------------


def kill_loaders():
    for child in psutil.Process().children(recursive=True):
        child.send_signal(signal.SIGKILL)


def test_a_killed_loader_is_replaced_and_changes_nothing(cohort, unbroken, tmp_path, monkeypatch):
    # Any loader but ours leaves torch's handler of dead children behind, which raises wherever the program stands.
    # torch sets it once a process, which another test may have been the occasion of.
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    assert list(DataLoader(range(2), batch_size=None, num_workers=1)) == [0, 1]
    assert signal.getsignal(signal.SIGCHLD).__module__.startswith("torch.")

    run = pretrain(settings(cohort, workers=1), tmp_path / "run", listener=after_step(2, kill_loaders))

    assert [e["step"] for e in run.events()[0] if e["kind"] == "step"] == list(range(1, 9))
    assert len(warnings(run, "loader")) == 1
    assert_equal_bits(unbroken, run)
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_a_loader_that_is_killed_again_ends_the_run_in_a_sentence(cohort, unbroken, tmp_path):
    def listener(event):
        if event["kind"] == "step":
            kill_loaders()

    with pytest.raises(RunFailed, match=r"killed twice.*--workers below 1"):
        pretrain(settings(cohort, workers=1), tmp_path / "run", listener=listener)

    resume(tmp_path / "run")
    assert_equal_bits(unbroken, RunFolder(tmp_path / "run"))


# -- cases that cannot be read -----------------------------------------------------------------


def spoil(cohort, case):
    """Leave the header whole and spoil the packed voxels, as a disk does."""
    file = cohort / case / "t1.nii.gz"
    packed = bytearray(file.read_bytes())
    middle = len(packed) // 2
    packed[middle : middle + 200] = bytes(200)
    file.write_bytes(packed)


def test_one_unreadable_case_is_left_out_and_told_of(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort")
    used = pretrain(settings(cohort, steps=1), tmp_path / "before").provenance()["used"]["train"]
    spoil(cohort, used[0])

    run = pretrain(settings(cohort, steps=1), tmp_path / "run")

    (told,) = warnings(run, "case")
    assert told["case"] == used[0]
    assert "left out" in told["text"]
    assert run.provenance()["used"]["train"] == used[1:]
    assert used[0] in run.provenance()["split"]["train"]


def test_a_file_whose_header_is_damaged_is_told_of_and_its_case_goes_on_without_it(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort")
    used = pretrain(settings(cohort, steps=1), tmp_path / "before").provenance()["used"]["train"]
    (cohort / used[0] / "t1.nii.gz").write_bytes(b"no header at all" * 30)

    run = pretrain(settings(cohort, steps=1), tmp_path / "run")

    (told,) = warnings(run, "case")
    assert told["case"] == used[0]
    assert "t1 is left out" in told["text"]


def test_many_unreadable_cases_end_the_start_in_a_sentence(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort")
    for case in ("sub-01", "sub-02", "sub-03", "sub-04", "sub-05"):
        spoil(cohort, case)

    with pytest.raises(ReadError, match=r"2 of . cases cannot be read.*mmssl inspect"):
        pretrain(settings(cohort), tmp_path / "run")

    assert not (tmp_path / "run").exists()


# -- kills -------------------------------------------------------------------------------------

_KILLED_IN_A_CHECKPOINT = """
import os, signal, sys
from pathlib import Path
from napari_mmssl.training import weights_files
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
replace, seen = os.replace, []
def half(source, target):
    if str(target).endswith("last.safetensors"):
        seen.append(target)
        if len(seen) == 2:
            whole = Path(source).read_bytes()
            Path(source).write_bytes(whole[: len(whole) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = half
pretrain(pretrain_settings(file=Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_kill_while_a_checkpoint_is_written_leaves_the_one_before(cohort, unbroken, tmp_path):
    path = tmp_path / "run"
    words = [sys.executable, "-c", _KILLED_IN_A_CHECKPOINT, str(unbroken.path / "run.toml"), str(path)]
    killed = subprocess.run(words, capture_output=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert list((path / "checkpoints").glob(".*")), "nothing was half written"
    assert RunFolder(path).is_alive() is False

    steps = []
    resume(path, listener=lambda event: steps.append(event["step"]) if event["kind"] == "step" else None)

    assert steps == [3, 4, 5, 6, 7, 8]
    assert not list((path / "checkpoints").glob(".*"))
    assert_equal_bits(unbroken, RunFolder(path))


def test_kill_between_a_checkpoint_and_its_event_goes_on_bit_for_bit(cohort, unbroken, tmp_path, monkeypatch):
    emit = RunFolder.emit

    def killed(self, kind, **fields):
        if kind == "checkpoint" and fields["step"] == 4:
            raise KeyboardInterrupt
        emit(self, kind, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "emit", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(settings(cohort), tmp_path / "run")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    (tmp_path / "run" / "status.json").write_text(json.dumps(status | {"pid": 2**22 + 1, "state": "running"}))

    resume(tmp_path / "run")

    run = RunFolder(tmp_path / "run")
    assert [e["step"] for e in run.events()[0] if e["kind"] == "step"] == list(range(1, 9))
    assert_equal_bits(unbroken, run)


# -- clocks, orders, two at once ---------------------------------------------------------------


def test_a_clock_that_jumps_neither_kills_a_run_nor_turns_orders_round(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    first = run.status()
    # What a process finds that starts after the clock was set: psutil reckons from the wall clock.
    monkeypatch.setattr("psutil._pslinux.BOOT_TIME", psutil.boot_time() - 7200, raising=False)
    assert run.is_alive()

    now = time.time_ns()
    run.request("pause")
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    monkeypatch.setattr(time, "time", lambda: now / 1e9 - 3600)
    run.request("stop")

    run.set_status("running")
    assert run.status()["heartbeat"] > first["heartbeat"]
    assert [one.order for one in run.pending()] == ["pause", "stop"]


def test_of_two_orders_at_once_the_later_counts_and_both_are_answered(cohort, tmp_path):
    path = tmp_path / "run"

    def order():
        RunFolder(path).request("pause")
        RunFolder(path).request("stop")

    run = pretrain(settings(cohort), path, listener=after_step(2, order))

    answered = [event for event in run.events()[0] if event["kind"] == "answered"]
    assert [(event["order"], event.get("superseded", False)) for event in answered] == [
        ("pause", True),
        ("stop", False),
    ]
    assert run.status()["state"] == "stopped"


@pytest.mark.parametrize(
    ("order", "state"), [("pause", "paused"), ("stop", "stopped"), ("cancel", "cancelled"), (None, "stopped")]
)
def test_an_order_while_cases_are_prepared_ends_the_run_before_the_first_step(cohort, unbroken, tmp_path, order, state):
    path, interruption = tmp_path / "run", Interruption()

    def listener(event):
        if event["kind"] == "prepared" and event["done"] == 2:
            if order is None:
                interruption.came = True
            else:
                RunFolder(path).request("stop")
                RunFolder(path).request(order)

    run = pretrain(settings(cohort), path, listener=listener, interruption=interruption)

    events = run.events()[0]
    assert [event["kind"] for event in events if event["kind"] not in ("answered", "warning")] == [
        "prepared",
        "prepared",
        "ended",
    ]
    assert [event.get("superseded", False) for event in events if event["kind"] == "answered"] == (
        [] if order is None else [True, False]
    )
    assert not run.pending()
    assert run.status()["state"] == state
    if order == "pause":
        assert_equal_bits(resume(path), unbroken)


def test_a_run_that_another_process_holds_is_not_gone_on_with(unbroken, tmp_path):
    pytest.importorskip("fcntl", reason="POSIX locks")
    path = tmp_path / "run"
    RunFolder.create(path, "pretrain", {}).set_status("paused")
    hold = "import sys, pathlib; from napari_mmssl.training.run_folder import RunFolder\n"
    hold += "with RunFolder(pathlib.Path(sys.argv[1])).held(): print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process"), RunFolder(path).held():
            pass
        other.kill()
    with RunFolder(path).held():
        pass
