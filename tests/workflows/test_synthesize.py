"""From a cohort to generators, from generators to synthetic partners, and who may use those."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_contrasts import write_toy_contrasts

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.case import Case
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.cohorts.prepare import prepare_case
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.metrics.image_similarity import psnr, ssim
from napari_mmssl.sampling.sampler import PatchSampler
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.volumes.image_files import read_header, read_volume
from napari_mmssl.workflows.configure import finetune_settings, synthesis_settings
from napari_mmssl.workflows.evaluate import evaluate
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.partners import make_partners
from napari_mmssl.workflows.predict import predict
from napari_mmssl.workflows.resume import resume
from napari_mmssl.workflows.synthesize import compare_volumes, train_generators

SHAPE = (10, 20, 20)


@pytest.mark.parametrize("flag", ["--encoder=swin", "--devices=2", "--modalities=t1"])
def test_flags_that_generators_do_not_heed_are_refused(flag, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["synthesize", "train", str(tmp_path), "--from", "t1", "--to", "t2", flag])
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return write_toy_contrasts(tmp_path_factory.mktemp("both") / "cohort", cases=4, shape=SHAPE)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    return write_toy_contrasts(tmp_path_factory.mktemp("apart") / "cohort", cases=8, shape=SHAPE, apart=True)


def settings(cohort, method, **more):
    flags = {
        "cohort": str(cohort),
        "source": "t1",
        "target": "t2",
        "method": method,
        "data": {"patch": [8, 16, 16], "test_share": 0.25, "validation_share": 0.25},
        "optimisation": {"steps": 4, "batch_size": 1},
        "history": 2,
        "validate_every": 2,
        "checkpoint_every": 2,
    }
    return synthesis_settings(flags=flags | more)


@pytest.fixture(scope="module")
def cycle_run(apart, tmp_path_factory):
    return train_generators(settings(apart, "cycle"), tmp_path_factory.mktemp("runs") / "cycle").path


def test_as_many_scans_are_prepared_as_are_told_of(cycle_run):
    events = [event for event in RunFolder(cycle_run).events()[0] if event["kind"] == "prepared"]
    assert [event["done"] for event in events] == list(range(1, events[-1]["total"] + 1))


@pytest.fixture(scope="module")
def partners(apart, cycle_run, tmp_path_factory):
    return make_partners(apart, cycle_run, tmp_path_factory.mktemp("partners") / "cohort").path


def pause_after(path, steps):
    def listener(event):
        if event["kind"] == "step" and event["step"] == steps:
            RunFolder(path).request("pause")

    return listener


@pytest.mark.parametrize(("method", "loss"), [("cycle", {"identity": 1.0}), ("paired", {"adversarial": 1.0})])
def test_a_paused_training_goes_on_bit_for_bit_with_optimisers_and_history(both, tmp_path, method, loss):
    how = settings(both, method, loss=loss)
    unbroken = train_generators(how, tmp_path / "unbroken")
    train_generators(how, tmp_path / "paused", listener=pause_after(tmp_path / "paused", 3))
    assert RunFolder(tmp_path / "paused").status()["state"] == "paused"

    resumed = resume(tmp_path / "paused")

    assert resumed.status()["state"] == "done"
    names = sorted(file.name for file in (unbroken.path / "weights").glob("*.safetensors"))
    assert names == [f"generator_{pair}.safetensors" for pair in ("t1_to_t2", "t2_to_t1")[: 2 - (method == "paired")]]
    for folder, files in (("weights", names), ("checkpoints", ["last.safetensors"])):
        for name in files:
            one, other = (load_file(run.path / folder / name) for run in (unbroken, resumed))
            assert one.keys() == other.keys()
            for key, tensor in one.items():
                assert torch.equal(tensor, other[key]), key


def test_discriminators_are_optimised_apart_and_no_term_reaches_the_other_player(both, tmp_path, monkeypatch):
    from napari_mmssl.training.cycle_translation import CycleTranslation

    trainees = []
    original = CycleTranslation.step

    def spy(self, batch):
        trainees.append(self)
        return original(self, batch)

    monkeypatch.setattr(CycleTranslation, "step", spy)
    train_generators(settings(both, "cycle"), tmp_path / "run")
    trainee = trainees[0]
    batch = trainee.batches[0]
    terms = original(trainee, batch).terms
    weights = {name: list(trainee.modules[name].parameters()) for name in trainee.modules}
    for term, value in terms.items():
        for name, parameters in weights.items():
            if not parameters:
                continue
            gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            reached = any(gradient is not None for gradient in gradients)
            assert reached == (
                term.startswith("discriminator") == name.startswith("discriminator")
                and (not term.startswith("discriminator") or term == name)
            ), (term, name)
    assert [len(player.modules) for player in trainee.players()] == [2, 2]


def test_the_two_streams_show_one_modality_each(both):
    from napari_mmssl.synthesis.streams import UnpairedSampler

    cases = [prepare_case(case, None) for case in find_cohort(both).cases]
    samplers = [
        PatchSampler([case], ("t1", "t2"), (8, 8, 8), 2, 3, 0, purpose=purpose)
        for case, purpose in zip(cases, ("one", "other"), strict=False)
    ]
    batch = UnpairedSampler(*samplers)[1]
    assert batch.case == (cases[0].id,) * 2 + (cases[1].id,) * 2
    assert batch.volumes.shape[0] == batch.foreground.shape[0] == len(batch.seed) == 4
    assert not torch.equal(batch.patch_to_world[:2], batch.patch_to_world[2:])


def test_the_card_says_how_and_nothing_of_whom(cycle_run, apart):
    text = (cycle_run / "weights" / "card.json").read_text()
    card = json.loads(text)
    assert card["directions"] == [["t1", "t2"], ["t2", "t1"]]
    assert len(card["references"]["t2"]["quantiles"]) == 100
    assert "sub-" not in text
    assert str(apart) not in text


def test_validation_begins_before_the_first_step_and_pictures_show_there_and_back(cycle_run):
    run = RunFolder(cycle_run)
    steps = [event["step"] for event in run.events()[0] if event["kind"] == "validation"]
    assert steps == [0, 2, 4]
    assert all("cycle_l1" in event["metrics"] for event in run.events()[0] if event["kind"] == "validation")
    shown = json.loads(run.pictures()[-1].read_text())["items"]
    assert [item["name"] for item in shown] == ["t1 (real)", "t2 (synthetic)", "t1 (there and back)"]


def test_each_person_gets_the_partner_that_is_missing_on_the_grid_of_the_real_scan(apart, partners):
    before, after = find_cohort(apart), find_cohort(partners)
    assert [case.id for case in before.cases] == [case.id for case in after.cases]
    for had, has in zip(before.cases, after.cases, strict=True):
        assert set(has.modalities) == {"t1", "t2"}
        (real,) = had.modalities
        made = "t2" if real == "t1" else "t1"
        assert (has.modalities[real].synthetic, has.modalities[made].synthetic) == (False, True)
        assert has.label is None, "nothing downstream may learn from this cohort"
        assert has.modalities[made].geometry.same_grid(had.modalities[real].geometry)
        np.testing.assert_array_equal(
            read_volume(has.modalities[real].path).array, read_volume(had.modalities[real].path).array
        )
        background = read_volume(had.modalities[real].path).array == 0
        array = read_volume(has.modalities[made].path).array
        assert (array[background] == 0).all()
        assert (array[~background] != 0).mean() > 0.97


def test_every_synthetic_file_says_so_with_the_gates_verdict(partners):
    index = json.loads((partners / "synthesis.json").read_text())
    for case in find_cohort(partners).cases:
        for name, scan in case.modalities.items():
            if not scan.synthetic:
                continue
            header, verdict = read_header(scan.path), index["cases"][case.id][name]
            assert header.description.startswith("MMSSL SYNTHETIC")
            assert header.passed_gate == scan.passed_gate == verdict["passed"]
            assert verdict["passed"] == (not verdict["below_gate_because"])
            beside = json.loads(scan.path.with_name(f"{name}.synthetic.json").read_text())
            assert beside["quality"] == verdict["quality"]
            assert str(partners.parent) not in json.dumps(beside)


def test_pretraining_takes_synthetic_volumes_only_where_asked_and_the_gate_holds(partners):
    with pytest.raises(ConfigError, match=r"synthetic.*data\.synthetic=allow"):
        gather(partners, DataSettings(), 0, labelled=False)
    counts = {}
    for use in ("allow", "all"):
        material = gather(partners, DataSettings(synthetic=use), 0, labelled=False)
        cases = [*material.train, *material.validation]
        counts[use] = sum(scan.synthetic for case in cases for scan in case.modalities.values())
        passed = sum(scan.passed_gate for case in cases for scan in case.modalities.values())
        if use == "allow":
            assert counts[use] == passed
    assert counts["all"] == len(cases) > counts["allow"], "after four steps hardly anything passes"


def test_batches_say_which_channels_are_synthetic(partners):
    case = next(case for case in find_cohort(partners).cases if case.modalities["t2"].synthetic)
    prepared = prepare_case(case, None)
    assert prepared.synthetic == ("t2",)
    batch = PatchSampler([prepared], ("flair", "t1", "t2"), (8, 8, 8), 2, 1, 0)[0]
    assert batch.synthetic.tolist() == [[False, False, True]] * 2


def test_nothing_downstream_takes_a_synthetic_volume(partners, both, cycle_run, tmp_path):
    labelled = shutil.copytree(partners, tmp_path / "labelled")
    for case in labelled.glob("sub-*"):
        shutil.copy(both / "sub-01" / "seg.nii.gz", case / "seg.nii.gz")
    with pytest.raises(ConfigError, match=r"is synthetic.*no downstream task"):
        finetune(finetune_settings(flags={"cohort": str(labelled)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="is synthetic"):
        train_generators(settings(partners, "cycle"), tmp_path / "again")
    with pytest.raises(CheckpointError, match="pretrained encoder is wanted"):
        finetune(finetune_settings(flags={"cohort": str(both), "weights": str(cycle_run)}), tmp_path / "run")


def test_where_the_real_scan_is_known_it_is_compared(both, cycle_run, tmp_path):
    out = make_partners(both, cycle_run, tmp_path / "out", case_ids=["sub-01"], also_known=True).path
    verdict = json.loads((out / "synthesis.json").read_text())["cases"]["sub-01"]["t2"]
    assert {"ssim", "psnr_db", "histogram"} <= set(verdict["quality"])
    real, made = both / "sub-01" / "t2.nii.gz", out / "sub-01" / "t2.nii.gz"

    found = compare_volumes(real, made, both / "sub-01" / "seg.nii.gz")

    assert set(found.regions) == {"body", "label 1"}
    body = found.real != 0
    np.testing.assert_allclose(found.error, np.abs(found.synthetic - found.real))
    assert found.regions["body"]["ssim"] == pytest.approx(ssim(found.real, found.synthetic, 6.0, body), abs=0.02)
    assert found.regions["body"]["psnr_db"] == pytest.approx(psnr(found.real, found.synthetic, 6.0, body), abs=0.3)
    with pytest.raises(ConfigError, match="must be a real volume"):
        compare_volumes(made, real)


def test_what_a_case_lacks_is_filled_at_prediction_and_marked(both, cycle_run):
    from napari_mmssl.inference.translation import fill_missing, load_translator

    translator = load_translator(cycle_run, torch.device("cpu"))
    case = find_cohort(both).cases[0]
    only = Case(case.id, case.subject, {"t1": case.modalities["t1"]})
    prepared = prepare_case(only, (3.0, 3.0, 3.0), with_label=False)

    filled, made_from = fill_missing(prepared, only, ("t1", "t2", "flair"), [translator])

    assert (filled.modalities, filled.synthetic, made_from) == (("t1", "t2"), ("t2",), {"t2": "t1"})
    np.testing.assert_array_equal(filled.volumes[0], prepared.volumes[0])
    assert (filled.volumes[1][~prepared.foreground] == 0).all()
    again, none = fill_missing(filled, only, ("t1", "t2"), [translator])
    assert (again.modalities, none) == (("t1", "t2"), {})


def test_methods_ask_for_what_they_need_in_a_sentence(apart, tmp_path):
    with pytest.raises(ConfigError, match="no training subject has both t1 and t2; take --method cycle"):
        train_generators(settings(apart, "paired"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="both are 't1'"):
        synthesis_settings(flags={"cohort": str(apart), "source": "t1", "target": "t1"})
    with pytest.raises(ConfigError, match="add --to NAME"):
        synthesis_settings(flags={"cohort": str(apart), "source": "t1"})


def test_a_file_changes_one_table_and_leaves_what_suits_generators(apart):
    found = settings(apart, "cycle", optimisation={"steps": 7})
    assert (found.optimisation.steps, found.optimisation.batch_size, found.optimisation.weight_decay) == (7, 2, 0.0)


def test_the_command_trains_applies_and_compares(both, tmp_path, capsys):
    run, out = str(tmp_path / "run"), tmp_path / "out"
    flags = [
        "--from",
        "t1",
        "--to",
        "t2",
        "--method",
        "paired",
        "--steps",
        "2",
        "--batch-size",
        "1",
        "--patch",
        "8,16,16",
    ]
    assert main(["synthesize", "train", str(both), *flags, "--out", run]) == 0
    assert main(["synthesize", "apply", str(both), "--weights", run, "--out", str(out), "--also-known"]) == 0
    assert "4 synthetic volumes" in capsys.readouterr().err
    case = "sub-02/t2.nii.gz"
    assert main(["synthesize", "compare", str(both / case), str(out / case), "--json"]) == 0
    assert "ssim" in json.loads(capsys.readouterr().out)["body"]
    assert main(["synthesize", "train", str(both), "--from", "t1", "--to", "ct", "--out", str(tmp_path / "no")]) == 2
    assert "no case has ct" in capsys.readouterr().err


def test_cancelling_discards_what_was_made_and_stopping_keeps_it(apart, cycle_run, tmp_path):
    for order, kept in (("stop", 1), ("cancel", 0)):
        out = tmp_path / order

        def listener(event, out=out, order=order):
            if event["step"] == 1:
                RunFolder(out).request(order)

        run = make_partners(apart, cycle_run, out, listener=listener)
        assert run.status()["state"] == {"stop": "stopped", "cancel": "cancelled"}[order]
        assert len(list(out.glob("sub-*/*.nii.gz"))) == 2 * kept


def test_a_prediction_fills_what_a_case_lacks_and_says_so(both, apart, cycle_run, partners, tmp_path):
    how = {"data": {"patch": [8, 16, 16]}, "optimisation": {"steps": 2, "batch_size": 1}}
    run = finetune(finetune_settings(flags={"cohort": str(both), **how}), tmp_path / "run").path

    with pytest.raises(ConfigError, match="--generators RUN"):
        predict(apart, run, tmp_path / "none", missing="synthesised")
    maps = {}
    for missing, generators in (("drop", []), ("synthesised", [cycle_run])):
        out = tmp_path / missing
        predict(apart, run, out, case_ids=["sub-01"], missing=missing, generators=generators)
        said = json.loads((out / "predictions.json").read_text())["cases"]["sub-01"]
        assert said.get("synthesised") == ({"t1": "t2"} if generators else None)
        assert said["missing"] == {"t1": missing}
        maps[missing] = read_volume(out / "sub-01.nii.gz").array
    assert maps["drop"].shape == maps["synthesised"].shape

    with pytest.raises(ConfigError, match="is synthetic"):
        predict(partners, run, tmp_path / "refused")
    labelled = shutil.copytree(partners, tmp_path / "labelled")
    shutil.copy(both / "sub-01" / "seg.nii.gz", labelled / "sub-01" / "seg.nii.gz")
    with pytest.raises(ConfigError, match="is synthetic"):
        evaluate(tmp_path / "drop", labelled)
