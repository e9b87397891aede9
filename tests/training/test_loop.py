"""Orders, faults and resuming, on a real but tiny pretraining."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from napari_mmssl.errors import RunError, RunFailed
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.workflows.configure import pretrain_settings
from napari_mmssl.workflows.pretrain import pretrain
from napari_mmssl.workflows.resume import resume
from napari_mmssl.workflows.running import Interruption

pytestmark = pytest.mark.usefixtures("own_cache")


def settings(cohort, **more):
    flags = {
        "cohort": str(cohort),
        "data": {"patch": [16, 16, 16]},
        "optimisation": {"steps": 6, "batch_size": 2},
        "objectives": {"puzzle": {"grid": [2, 2, 2], "jitter": 1}},
        "validate_every": 3,
        "checkpoint_every": 2,
    }
    return pretrain_settings(flags=flags | more)


def weights(run):
    return {file.name: load_file(file) for file in sorted((run.path / "weights").glob("*.safetensors"))}


def assert_equal_bits(one, other):
    assert one.keys() == other.keys()
    for name, tensors in one.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, other[name][key]), f"{name}: {key}"


def after_steps(run_path, steps, act):
    """Return a listener that calls ``act`` once ``steps`` steps are done."""

    def listener(event):
        if event["kind"] == "step" and event["step"] == steps:
            act(RunFolder(run_path))

    return listener


def test_equal_settings_give_equal_weights_and_another_seed_does_not(cohort, tmp_path):
    one = pretrain(settings(cohort), tmp_path / "one")
    same = pretrain(settings(cohort), tmp_path / "same")
    other = pretrain(settings(cohort, seed=1), tmp_path / "other")

    assert_equal_bits(weights(one), weights(same))
    assert not torch.equal(
        weights(one)["encoder.safetensors"]["_stem.weight"], weights(other)["encoder.safetensors"]["_stem.weight"]
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_a_paused_run_goes_on_bit_for_bit(cohort, tmp_path, steps):
    unbroken = pretrain(settings(cohort), tmp_path / "unbroken")
    path = tmp_path / "paused"
    run = pretrain(settings(cohort), path, listener=after_steps(path, steps, lambda r: r.request("pause")))
    assert (run.status()["state"], run.status()["step"]) == ("paused", steps)

    resume(path)

    assert run.status()["state"] == "done"
    assert_equal_bits(weights(unbroken), weights(run))
    assert [e["step"] for e in run.events()[0] if e["kind"] == "step"] == [1, 2, 3, 4, 5, 6]


def test_a_crash_goes_on_from_the_last_checkpoint_bit_for_bit(cohort, tmp_path):
    unbroken = pretrain(settings(cohort), tmp_path / "unbroken")
    path = tmp_path / "crashed"

    def crash(_run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(settings(cohort), path, listener=after_steps(path, 5, crash))
    # What a killed process leaves behind: a status that still says running.
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"pid": 2**22 + 1, "state": "running"}))

    resume(path)

    assert_equal_bits(weights(unbroken), weights(RunFolder(path)))


def test_loader_processes_change_nothing(cohort, tmp_path):
    alone = pretrain(settings(cohort), tmp_path / "alone")
    helped = settings(cohort)
    helped = helped.model_copy(update={"data": helped.data.model_copy(update={"workers": 2})})

    assert_equal_bits(weights(alone), weights(pretrain(helped, tmp_path / "helped")))


def test_a_paused_run_goes_on_with_another_number_of_loader_processes_bit_for_bit(cohort, tmp_path):
    unbroken = pretrain(settings(cohort), tmp_path / "unbroken")
    path = tmp_path / "paused"
    run = pretrain(settings(cohort), path, listener=after_steps(path, 3, lambda r: r.request("pause")))
    table = (path / "run.toml").read_text()
    assert "[data]\n" in table
    assert "workers" not in table
    (path / "run.toml").write_text(table.replace("[data]\n", "[data]\nworkers = 2\n"))

    resume(path)

    assert_equal_bits(weights(unbroken), weights(run))


@pytest.mark.parametrize(("order", "state"), [("stop", "stopped"), ("pause", "paused"), ("cancel", "cancelled")])
def test_orders_are_answered_at_the_next_step(cohort, tmp_path, order, state):
    path = tmp_path / "run"
    run = pretrain(settings(cohort), path, listener=after_steps(path, 2, lambda r: r.request(order)))

    events, _ = run.events()
    assert run.status()["state"] == state
    assert [e["order"] for e in events if e["kind"] == "answered"] == [order]
    assert events[-1]["kind"] == "ended"
    assert run.pending() == []
    assert (path / "weights" / "encoder.safetensors").exists() == (order == "stop")
    assert (path / "checkpoints" / "last.safetensors").exists() == (order != "cancel")


def test_an_order_given_before_the_first_step_is_kept(cohort, tmp_path):
    def hurry(event):
        if event["kind"] == "prepared" and event["done"] == 1:
            RunFolder(tmp_path / "run").request("stop")

    run = pretrain(settings(cohort), tmp_path / "run", listener=hurry)

    assert (run.status()["state"], run.status()["step"]) == ("stopped", 0)


def test_an_interruption_stops_and_keeps(cohort, tmp_path):
    interruption = Interruption()
    path = tmp_path / "run"

    def interrupt(_run):
        interruption.came = True

    run = pretrain(settings(cohort), path, listener=after_steps(path, 2, interrupt), interruption=interruption)

    assert (run.status()["state"], run.status()["step"]) == ("stopped", 2)
    assert (path / "weights" / "card.json").is_file()


def test_a_loss_that_is_not_finite_fails_in_a_sentence_and_keeps_the_checkpoint(cohort, tmp_path, monkeypatch):
    from napari_mmssl.training.pretraining import Pretraining

    steps = iter(range(100))
    step = Pretraining.step

    def spoilt(self, batch):
        result = step(self, batch)
        if torch.is_grad_enabled() and next(steps) == 4:
            return replace(result, terms={"bad": next(iter(result.terms.values())) * float("nan")})
        return result

    monkeypatch.setattr(Pretraining, "step", spoilt)

    with pytest.raises(RunFailed, match="not finite at step 4"):
        pretrain(settings(cohort), tmp_path / "run")

    status = RunFolder(tmp_path / "run").status()
    assert status["state"] == "failed"
    assert "learning_rate" in status["reason"]
    assert (tmp_path / "run" / "checkpoints" / "last.safetensors").is_file()


def test_gradients_that_are_not_finite_never_reach_a_checkpoint(cohort, tmp_path, monkeypatch):
    from napari_mmssl.training.pretraining import Pretraining

    step = Pretraining.step

    def spoilt(self, batch):
        result = step(self, batch)
        if batch.progress == 0 or not torch.is_grad_enabled():
            return result
        nothing = next(self.encoder.parameters()).sum() * 0
        return replace(result, terms={**result.terms, "root": nothing.abs().sqrt()})  # 0, of infinite slope

    monkeypatch.setattr(Pretraining, "step", spoilt)

    with pytest.raises(RunFailed, match="gradients are not finite"):
        pretrain(settings(cohort, checkpoint_every=1), tmp_path / "run")

    saved = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in saved.values())


def test_a_full_disk_fails_in_a_sentence_and_the_run_goes_on_when_there_is_room(cohort, tmp_path):
    resource = pytest.importorskip("resource", reason="file sizes can be limited on Unix only")
    unbroken = pretrain(settings(cohort), tmp_path / "unbroken")
    pretrain(settings(cohort, seed=9), tmp_path / "prepared")  # what is kept of the cases is written before
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(RunFailed, match=r"cannot write '.*safetensors'"):
            pretrain(settings(cohort), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = RunFolder(tmp_path / "run")
    assert run.status()["state"] == "failed"
    assert not list((tmp_path / "run" / "checkpoints").iterdir())

    resume(run.path)

    assert_equal_bits(weights(unbroken), weights(run))


def test_an_event_cut_short_is_passed_over(tmp_path):
    run = RunFolder.create(tmp_path / "run", "pretrain", {})
    run.emit("step", step=1)
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"v": 1, "kind": "st\n')
    run.emit("step", step=2)

    assert [event["step"] for event in run.events()[0]] == [1, 2]


def test_a_taken_folder_is_refused_and_untouched(cohort, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")

    with pytest.raises(RunError, match="not empty"):
        pretrain(settings(cohort), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_wrong_setting_leaves_no_folder_behind(cohort, tmp_path):
    wrong = settings(cohort, objectives={"puzzle": {"grid": [2, 2, 2], "temperature": -1}})

    with pytest.raises(Exception, match=r"objectives\.puzzle\.temperature"):
        pretrain(wrong, tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_the_resolved_settings_can_be_passed_back(cohort, tmp_path):
    run = pretrain(settings(cohort), tmp_path / "one")

    again = pretrain(pretrain_settings(file=run.path / "run.toml"), tmp_path / "again")

    assert (run.path / "run.toml").read_text() == (again.path / "run.toml").read_text()
    assert_equal_bits(weights(run), weights(again))


def test_test_subjects_are_the_same_whatever_is_trained(cohort, tmp_path):
    run = pretrain(settings(cohort), tmp_path / "run")

    provenance = run.provenance()
    groups = [set(provenance["split"][name]) for name in ("train", "validation", "test")]
    assert [len(group) for group in groups] == [4, 1, 1] or sum(map(len, groups)) == 6
    assert not groups[0] & groups[2]
    assert set(provenance["used"]["train"]) == groups[0]
