import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from napari_mmssl.cli.main import main
from napari_mmssl.errors import MmsslError
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.runs import describe, find_runs, follow_run, grace_s, insist


def make_run(path, state="done"):
    run = RunFolder.create(path, "pretrain", {"kind": "pretrain"})
    run.emit("step", step=1, losses={"total": 1.0}, metrics={})
    run.set_status(state, step=1, total=4)
    return run


def test_runs_below_a_folder_are_listed_with_their_state(tmp_path, capsys):
    make_run(tmp_path / "b" / "one")
    lost = make_run(tmp_path / "a", "running")
    status = json.loads((lost.path / "status.json").read_text())
    (lost.path / "status.json").write_text(json.dumps(status | {"pid": 2**22 + 1}))
    (tmp_path / "c").mkdir()

    assert main(["runs", "list", str(tmp_path), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert [(one["path"], one["state"], one["alive"]) for one in found] == [
        (str(tmp_path / "a"), "lost", False),
        (str(tmp_path / "b" / "one"), "done", False),
    ]


def test_an_unreadable_status_is_listed_as_such(tmp_path):
    run = make_run(tmp_path / "run")
    (run.path / "status.json").write_text("{")

    assert [describe(one)["state"] for one in find_runs(tmp_path)] == ["unreadable"]


def test_attaching_to_an_ended_run_tells_everything_once(tmp_path):
    run = make_run(tmp_path / "run")
    run.emit("ended", state="done", step=1)
    told = []

    assert follow_run(run, told.append) == "done"
    assert [event["kind"] for event in told] == ["step", "ended"]


def test_an_order_to_a_run_that_is_over_is_no_error(tmp_path, capsys):
    make_run(tmp_path / "run")

    assert main(["runs", "stop", str(tmp_path / "run")]) == 0
    assert "not at work (done)" in capsys.readouterr().err
    assert not list((tmp_path / "run" / "control").glob("*.json"))


@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_resuming_a_run_that_has_ended_says_so(tmp_path, capsys, state):
    make_run(tmp_path / "run", state)

    assert main(["runs", "resume", str(tmp_path / "run")]) == 0
    assert "nothing to go on with" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["runs", "show", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_a_run_that_hangs_is_killed_after_its_grace_time(tmp_path):
    hang = "import sys, pathlib, time; from napari_mmssl.training.run_folder import RunFolder\n"
    hang += "RunFolder(pathlib.Path(sys.argv[1])).set_status('running'); print('up', flush=True); time.sleep(600)"
    run = make_run(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", hang, str(run.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        assert run.is_alive()

        assert insist(run, "stop", least_s=0.5) == "killed"

        assert process.wait(5) < 0
    assert describe(run)["state"] == "lost"
    assert [one.order for one in run.pending()] == ["stop"]


def test_the_grace_time_covers_steps_and_pauses(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", "running")
    assert grace_s(run) == 10.0
    run.set_status("running", step_s=7.0)
    assert grace_s(run) == pytest.approx(21.0)
    later = run.events()[0][-1]["time_s"] + 40
    monkeypatch.setattr("napari_mmssl.training.run_folder.time.time", lambda: later)
    run.emit("validation", step=1, metrics={})
    assert grace_s(run) == pytest.approx(80.0)


def test_the_grace_time_leaves_out_the_weekend_before_a_run_was_resumed(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", "paused")
    monday = run.events()[0][-1]["time_s"] + 2 * 86400
    run.set_status("running", resumed_s=monday)
    for later_s in (30, 45):
        monkeypatch.setattr("napari_mmssl.training.run_folder.time.time", lambda now=monday + later_s: now)
        run.emit("validation", step=1, metrics={})
    assert grace_s(run) == pytest.approx(30.0)


# -- folders of newer versions, and folders that are being written -----------------------------


def of_a_newer_version(path):
    """Leave a folder as a later version might: another number, keys that are unknown, keys that are gone."""
    run = make_run(path)
    status = json.loads((path / "status.json").read_text())
    del status["pid"], status["pid_started"], status["heartbeat"]
    (path / "status.json").write_text(json.dumps(status | {"format": 2, "state": "hibernating", "cluster": {"a": 1}}))
    with (path / "events.jsonl").open("a") as file:
        file.write('{"v": 2, "kind": "step", "at": {"step": 2}}\n{"v": 1, "kind": "unheard of"}\n')
    return run


def test_a_run_of_a_newer_version_can_be_looked_at_with_a_sentence(tmp_path, capsys):
    run = of_a_newer_version(tmp_path / "run")

    assert main(["runs", "list", str(tmp_path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["state"], told["step"]) == ("hibernating", 1)
    assert "newer napari-mmssl" in told["reason"]
    for action in ("show", "attach"):
        assert main(["runs", action, str(run.path)]) == 0
        assert capsys.readouterr().err.count("newer napari-mmssl (run format 2, this one knows 1)") == 1
    assert [event["kind"] for event in run.events()[0]] == ["step", "unheard of"]


@pytest.mark.parametrize("action", ["pause", "stop", "cancel", "resume"])
def test_a_run_of_a_newer_version_is_never_written_to(tmp_path, capsys, action):
    run = of_a_newer_version(tmp_path / "run")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    assert main(["runs", action, str(run.path)]) == 2

    assert "update napari-mmssl" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def test_events_are_read_whole_wherever_the_file_ends(tmp_path):
    run = make_run(tmp_path / "run")
    run.emit("warning", text="ä line\nof words", about="case")
    run.emit("ended", state="done", step=1)
    whole, written = run.events()[0], (run.path / "events.jsonl").read_bytes()

    for end in range(len(written) + 1):
        (run.path / "events.jsonl").write_bytes(written[:end])
        first, offset = run.events()
        assert first == whole[: len(first)]
        (run.path / "events.jsonl").write_bytes(written)
        assert first + run.events(offset)[0] == whole


def test_a_share_that_shows_no_events_for_a_moment_is_no_fault(tmp_path):
    run = make_run(tmp_path / "run")
    (run.path / "events.jsonl").rename(tmp_path / "elsewhere")

    assert run.events(12) == ([], 12)


@pytest.mark.parametrize("status", ["", "{", "[]", "{}", '{"state": 3}'])
def test_whatever_stands_in_status_is_listed_and_refused_in_a_sentence(tmp_path, capsys, status):
    run = make_run(tmp_path / "run")
    (run.path / "status.json").write_text(status)

    assert [describe(one)["state"] for one in find_runs(tmp_path)] == ["unreadable"]
    assert main(["runs", "attach", str(run.path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_many_readers_of_a_run_that_is_written_never_see_half_of_anything(tmp_path):
    run = make_run(tmp_path / "run", "running")
    stop, faults, seen = threading.Event(), [], []

    def read():
        offset = 0
        while not stop.is_set():
            try:
                state = run.status()["state"]
                events, offset = run.events(offset)
                seen.extend(event["step"] for event in events)
                if state != "running":
                    faults.append(state)
            except (MmsslError, OSError, ValueError, KeyError) as error:
                faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for step in range(2, 120):
        run.emit("step", step=step, losses={"total": 1.0}, metrics={})
        run.set_status("running", step=step)
    time.sleep(0.1)
    stop.set()
    for reader in readers:
        reader.join()

    assert faults == []
    assert sorted(seen) == sorted([*range(1, 120)] * 4)


@pytest.mark.parametrize("text", ["[]", '"stop"', '{"order": "explode"}', "{", "{}"])
def test_what_is_no_order_is_passed_over(tmp_path, text):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    (run.path / "control" / "0.json").write_text(text)
    wanted = run.request("stop")

    assert [request.id for request in run.pending()] == [wanted]


#: Root may do anything, unless it gives that up.
_AS_OTHERS = ("--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search")


@pytest.mark.skipif(os.name == "nt", reason="folders are closed in another way there")
@pytest.mark.parametrize("words", [["runs", "list"], ["runs", "resume"], ["predict", "x", "--out", "x", "--weights"]])
def test_what_one_may_not_reach_is_one_sentence(tmp_path, words):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    command = [sys.executable, "-m", "napari_mmssl", *words, str(closed)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("nothing is closed to this user")
        command = ["setpriv", *_AS_OTHERS, *command]

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    closed.chmod(0o700)  # or it could not be cleared away

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(closed) in done.stderr
