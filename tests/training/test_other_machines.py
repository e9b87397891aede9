"""A run folder on a disk that several machines share, or that is moved about."""

import errno
import io
import os
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_mmssl.atomic import write_json
from napari_mmssl.cli.main import main
from napari_mmssl.errors import RunError, RunFailed
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.resume import resume
from napari_mmssl.workflows.runs import follow_run, is_silent

pytestmark = pytest.mark.usefixtures("own_cache")


def settings(cohort):
    flags = {"cohort": str(cohort), "recipe": "mae", "data": {"patch": [16, 16, 16]}, "checkpoint_every": 1}
    return pretrain_settings(flags=flags | {"optimisation": {"steps": 4, "batch_size": 2}})


def say(run, **status):
    """Change the status as another machine would see it left."""
    write_json(run.path / "status.json", run.status() | status)


def pausing(path):
    def listener(event):
        if event["kind"] == "step" and event["step"] == 2:
            RunFolder(path).request("pause")

    return listener


def encoder(run):
    return load_file(run.path / "weights" / "encoder.safetensors")


@pytest.fixture
def run(cohort, tmp_path):
    """A run that stands at step 2, and by its status is at work elsewhere; its clock is a year ahead."""
    run = pretrain(settings(cohort), tmp_path / "run", listener=pausing(tmp_path / "run"))
    say(run, state="running", host="elsewhere", updated_s=time.time() + 3e7)
    return run


@pytest.fixture
def impatient(monkeypatch):
    for name in ("_LEAST_SILENCE_S", "_LEAST_GRACE_S"):
        monkeypatch.setattr(f"napari_mmssl.workflows.runs.{name}", 1.0)


@pytest.mark.usefixtures("impatient")
def test_a_run_whose_machine_died_goes_on_here_bit_for_bit(cohort, tmp_path, run, capsys):
    assert main(["runs", "resume", str(run.path)]) == 0

    assert "looking for a sign of life" in capsys.readouterr().err
    assert run.status()["state"] == "done"
    told = [event["text"] for event in run.events()[0] if event["kind"] == "warning"]
    assert any("on elsewhere gave no sign of life" in text for text in told)
    unbroken = encoder(pretrain(settings(cohort), tmp_path / "unbroken"))
    assert all(torch.equal(tensor, unbroken[name]) for name, tensor in encoder(run).items())


@pytest.mark.usefixtures("impatient")
def test_what_this_machine_sees_late_of_a_shared_disk_is_no_sign_of_life(run):
    late = [threading.Timer(0.6, say, (run,), {"heartbeat": 100}), threading.Timer(1.4, run.emit, ("checkpoint",))]
    for one in late:
        one.start()

    assert is_silent(run)

    assert not any(one.is_alive() for one in late), "it did not watch for long enough"


@pytest.mark.usefixtures("impatient")
def test_a_run_that_lives_on_another_machine_is_left_alone(run):
    ended = threading.Event()

    def beat():
        number = 100
        while not ended.wait(0.05):
            number += 1
            say(run, heartbeat=number)

    other_machine = threading.Thread(target=beat)
    other_machine.start()
    try:
        with pytest.raises(RunError, match=r"at work already .* on elsewhere"):
            resume(run.path)
    finally:
        ended.set()
        other_machine.join()
    assert run.status()["step"] == 2


def test_a_run_whose_folder_is_moved_fails_in_a_sentence_and_goes_on_where_it_lies(cohort, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"

    def move(event):
        if event["kind"] == "step" and event["step"] == 3:
            here.rename(there)

    with pytest.raises(RunFailed, match="cannot make the folder"):
        pretrain(settings(cohort), here, listener=move)
    say(RunFolder(there), pid=2**22 + 1)

    resume(there)

    assert RunFolder(there).status()["state"] == "done"
    assert not here.exists()
    unbroken = encoder(pretrain(settings(cohort), tmp_path / "unbroken"))
    assert all(torch.equal(tensor, unbroken[name]) for name, tensor in encoder(RunFolder(there)).items())


def lose(path, monkeypatch):
    """Let everything below ``path`` be as on a share whose server is gone: an sshfs mount without its connection."""

    def lost(real):
        def call(name, *args, **kwargs):
            if str(name).startswith(str(path)):
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), str(name))
            return real(name, *args, **kwargs)

        return call

    for module, names in ((os, ("stat", "scandir", "mkdir", "replace", "unlink")), (io, ("open",))):
        for name in names:
            monkeypatch.setattr(module, name, lost(getattr(module, name)))


def test_a_share_that_is_lost_ends_the_run_in_a_sentence_and_it_goes_on_when_it_is_back(cohort, tmp_path):
    path = tmp_path / "share" / "run"

    with pytest.MonkeyPatch.context() as patch:

        def listener(event):
            if event["kind"] == "checkpoint" and event["step"] == 2:
                lose(path.parent, patch)

        with pytest.raises(RunFailed, match="Transport endpoint is not connected"):
            pretrain(settings(cohort), path, listener=listener)
    say(RunFolder(path), pid=2**22 + 1)

    resume(path)

    assert RunFolder(path).status()["state"] == "done"
    unbroken = encoder(pretrain(settings(cohort), tmp_path / "unbroken"))
    assert all(torch.equal(tensor, unbroken[name]) for name, tensor in encoder(RunFolder(path)).items())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a file that is always full")
def test_a_log_that_cannot_be_closed_hides_no_sentence(cohort, tmp_path):
    # What FUSE does on a share that is gone, a full disk does too: closing fails.
    run = pretrain(settings(cohort), tmp_path / "run", listener=pausing(tmp_path / "run"))
    (run.path / "log.txt").unlink()
    (run.path / "log.txt").symlink_to("/dev/full")

    def move(event):
        if event["kind"] == "step":
            run.path.rename(tmp_path / "there")

    with pytest.raises(RunFailed, match="cannot"):
        resume(run.path, listener=move)


def test_who_only_looks_writes_nothing(run, tmp_path):
    def everything():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [run.path, *run.path.rglob("*")]}

    say(run, state="paused")
    before = everything()

    assert main(["runs", "list", str(tmp_path)]) == 0
    assert main(["runs", "show", str(run.path)]) == 0
    assert follow_run(run, lambda event: None) == "paused"

    assert everything() == before


def test_the_status_keeps_its_length_for_readers_who_remember_that_of_the_one_before(tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    lengths = set()
    for step in (0, 9, 10, 123456):
        run.set_status("running", step=step, reason="a sentence" * (step % 7))
        lengths.add((run.path / "status.json").stat().st_size)
        assert run.status()["step"] == step
    assert len(lengths) == 1


def test_a_status_that_is_replaced_while_it_is_read_over_nfs_is_read_again(run, monkeypatch):
    read, stale = Path.read_text, [1, 1]

    def read_text(path, *args, **kwargs):
        if stale:  # as an NFS client says it; a local disk never does
            stale.pop()
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)

    assert run.status()["step"] == 2
