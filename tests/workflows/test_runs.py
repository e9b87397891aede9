import json

from napari_mmssl.cli.main import main
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.runs import describe, find_runs, follow_run


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
