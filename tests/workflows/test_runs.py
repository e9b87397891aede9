import json
import subprocess
import sys

import pytest

from napari_mmssl.cli.main import main
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


def test_resuming_a_run_that_is_done_says_so(tmp_path, capsys):
    make_run(tmp_path / "run")

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
