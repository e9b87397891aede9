"""Weights that are handed on: what is on the card, what is not, and that they answer as before."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from clinical_cohorts import write_clinical_cohort
from safetensors.torch import load_file, save_file
from small_cohorts import write_small_cohort
from trained_networks import write_network

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import CheckpointError
from napari_mmssl.inference.portable import write_portable
from napari_mmssl.inference.prediction import load_predictor
from napari_mmssl.networks.encoders import encoders
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.weights_archives import unpacked
from napari_mmssl.training.weights_cards import read_card, write_card
from napari_mmssl.volumes.image_files import read_label_map
from napari_mmssl.workflows.export import export
from napari_mmssl.workflows.leaks import SeenBefore, seen_people
from napari_mmssl.workflows.predict import predict

CPU = torch.device("cpu")
SHORT = ["--patch", "16", "--steps", "2", "--batch-size", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A cohort, a pretraining on it and a fine-tuning from that."""
    base = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(base / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = str(write_small_cohort(base / "cohort"))
        small = ["--recipe", "mae", "--out", str(base / "pretrained")]
        assert main(["pretrain", cohort, *SHORT, *small]) == 0
        tuned = ["--validate-every", "1", "--weights", str(base / "pretrained"), "--out", str(base / "tuned")]
        assert main(["finetune", cohort, *SHORT, *tuned]) == 0
    return base


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def test_an_exported_file_predicts_as_the_run_does(place, tmp_path, capsys):
    file = tmp_path / "tuned.zip"
    assert main(["export", str(place / "tuned"), "--out", str(file)]) == 0

    for weights, out in ((place / "tuned", tmp_path / "one"), (file, tmp_path / "two")):
        predict(place / "cohort", weights, out, case_ids=["sub-01"], device="cpu")

    one, two = (read_label_map(tmp_path / name / "sub-01.nii.gz").array for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


def test_who_was_held_out_is_not_asked_of_an_exported_file(place, tmp_path, capsys):
    file = tmp_path / "tuned.zip"
    assert main(["export", str(place / "tuned"), "--out", str(file)]) == 0
    asked = ["predict", str(place / "cohort"), "--weights", str(file), "--cases", "test"]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 2
    assert "do not say who was held out" in capsys.readouterr().err


def test_the_card_says_data_metrics_pretraining_and_licence(place, tmp_path):
    out = tmp_path / "exported"
    assert main(["export", str(place / "tuned"), "--out", str(out), "--licence", "CC-BY-4.0"]) == 0

    run, card = RunFolder(place / "tuned"), read_card(out)
    told = card["export"]
    assert told["data"]["fingerprint"] == run.provenance()["data"]["fingerprint"]
    assert told["data"]["train_cases"] == len(run.provenance()["used"]["train"])
    assert told["pretraining"]["recipe"] == "mae"
    assert told["licence"] == "CC-BY-4.0"
    looks = {event["step"]: event["metrics"] for event in run.events()[0] if event["kind"] == "validation"}
    assert looks[told["metrics"]["step"]]["dice"] == max(look["dice"] for look in list(looks.values())[1:])
    assert told["metrics"]["dice"] == looks[told["metrics"]["step"]]["dice"]
    assert set(told["files"]) == {"encoder.safetensors", "network.safetensors", "people.json"}
    words = (out / "README.md").read_text()
    for needed in ("z-score over the body", "flair, t1", "CC-BY-4.0", told["data"]["fingerprint"], "Research use only"):
        assert needed in words


def test_no_name_of_a_person_host_or_folder_goes_along(place, tmp_path):
    main(["export", str(place / "tuned"), "--out", str(tmp_path / "out")])

    told = "".join((tmp_path / "out" / name).read_text() for name in ("card.json", "README.md", "people.json"))
    assert "sub-0" not in told
    assert str(place) not in told
    assert RunFolder(place / "tuned").provenance()["host"] not in told
    assert not (tmp_path / "out" / "run.json").exists()


@pytest.mark.parametrize("again", [False, True])
def test_exported_weights_know_the_people_they_were_learned_from_again(place, tmp_path, again):
    file = tmp_path / "tuned.zip"
    export(place / "tuned", file)
    if again:
        file = export(file, tmp_path / "unpacked")
    cohort = find_cohort(place / "cohort")
    from_run, from_file = (SeenBefore(cohort, [weights]) for weights in (place / "tuned", file))

    for case in cohort.cases:
        known, told = from_run.record(case), from_file.record(case)
        assert (told["trained_on"], set(told["seen_in"])) == (known["trained_on"], set(known["seen_in"]))
        assert all(reason.startswith("'person ") and "show the same" in reason for reason in told["because"])
    assert any(from_file.record(case)["trained_on"] for case in cohort.cases)


def test_people_can_be_left_out(place, tmp_path):
    out = tmp_path / "out"
    assert main(["export", str(place / "tuned"), "--out", str(out), "--no-people"]) == 0

    assert not (out / "people.json").exists()
    assert "image hashes" not in (out / "README.md").read_text()
    assert seen_people(out) == []


def test_the_encoder_of_a_fine_tuned_network_stands_alone_too(place, tmp_path):
    main(["export", str(place / "tuned"), "--out", str(tmp_path / "out")])

    network, encoder = (load_file(tmp_path / "out" / f"{name}.safetensors") for name in ("network", "encoder"))
    assert {f"encoder.{key}" for key in encoder} == {key for key in network if key.startswith("encoder.")}
    assert all(torch.equal(network[f"encoder.{key}"], tensor) for key, tensor in encoder.items())


def test_an_exported_pretraining_can_be_fine_tuned(place, tmp_path):
    file, run = tmp_path / "encoder.zip", tmp_path / "run"
    main(["export", str(place / "pretrained"), "--out", str(file)])

    how = [*SHORT, "--seed", "1", "--weights", str(file)]  # another split, so that people seen before are held out
    assert main(["finetune", str(place / "cohort"), *how, "--out", str(run)]) == 0

    copied = {one["outcome"] for one in RunFolder(run).provenance()["transfer"]}
    assert copied & {"copied", "converted"}, copied
    told = [event["text"] for event in RunFolder(run).events()[0] if event["kind"] == "warning"]
    assert [text for text in told if "learned from 'person " in text], told


def test_what_is_exported_again_keeps_its_card(place, tmp_path):
    main(["export", str(place / "tuned"), "--out", str(tmp_path / "one.zip")])
    main(["export", str(tmp_path / "one.zip"), "--out", str(tmp_path / "two")])

    one, two = (read_card(tmp_path / name)["export"] for name in ("one.zip", "two"))
    assert one == two


# -- the portable predictor --------------------------------------------------------------------

_ALONE = """
import sys, torch
assert not any(name.startswith(("napari", "monai")) for name in sys.modules)
given = torch.load(sys.argv[2], weights_only=True)
predictor = torch.export.load(sys.argv[1]).module()
with torch.no_grad():
    answer = predictor(*given)
torch.save(answer, sys.argv[3])
assert not any(name.startswith(("napari", "monai")) for name in sys.modules)
"""


def test_the_portable_predictor_answers_alike_in_a_process_without_this_package(place, tmp_path):
    assert main(["export", str(place / "tuned"), "--out", str(tmp_path / "out"), "--portable"]) == 0
    predictor = load_predictor(place / "tuned", CPU)
    volumes, present = torch.randn(3, 2, *predictor.patch), torch.tensor([[1, 1], [1, 0], [0, 1]]).bool()
    volumes *= present[:, :, None, None, None]
    torch.save([volumes, present], tmp_path / "given.pt")

    files = [str(tmp_path / name) for name in ("out/predictor.pt2", "given.pt", "answer.pt")]
    place_without_us = {"cwd": tmp_path, "env": {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}}
    subprocess.run([sys.executable, "-c", _ALONE, *files], check=True, timeout=120, **place_without_us)

    with torch.no_grad():
        expected = predictor.network(volumes, present).softmax(dim=1)
    answer = torch.load(tmp_path / "answer.pt", weights_only=True)
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=0)
    assert (answer[0] - answer[1]).abs().max() > 1e-3
    assert "torch.export.load" in (tmp_path / "out" / "README.md").read_text()


#: Following a network takes a minute for some: two kinds stand for the others in CI.
FOLLOWED = {("swin", "gated"), ("residual_unet", "adapter")}
KINDS = [
    pytest.param(*kind, marks=() if kind in FOLLOWED else pytest.mark.slow)
    for kind in itertools.product((one.name for one in encoders.entries()), ("replicate", "adapter", "mean", "gated"))
]


@pytest.mark.parametrize(("encoder", "fusion"), KINDS)
def test_every_kind_of_network_can_be_made_portable(tmp_path, encoder, fusion):
    from napari_mmssl.networks.fusion import build_fused
    from napari_mmssl.networks.segmentation import SegmentationNetwork

    card = read_card(write_network(tmp_path / "weights", patch=(16, 16, 16), fusion=fusion))
    card["encoder"]["name"] = encoder
    write_card(tmp_path / "weights", card)
    network = SegmentationNetwork(build_fused(encoder, "tiny", 2, 0, fusion), 2)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "weights/network.safetensors")

    told = write_portable(tmp_path / "weights", tmp_path / "predictor.pt2")

    assert told["difference"] <= 1e-5
    # Following a network must leave nothing behind that spoils it.
    network.eval()(torch.randn(1, 2, 16, 16, 16), torch.ones(1, 2).bool()).sum().backward()


def test_encoders_and_networks_that_give_values_can_be_made_portable_too(place, tmp_path):
    cohort = write_clinical_cohort(tmp_path / "cohort", 8)
    words = [
        "--task",
        "survival",
        "--steps",
        "1",
        "--batch-size",
        "4",
        "--device",
        "cpu",
        "--set",
        "task.whole_body=false",
    ]
    assert main(["finetune", str(cohort), *words, "--patch", "16", "--out", str(tmp_path / "run")]) == 0

    numbers = write_portable(tmp_path / "run", tmp_path / "values.pt2")
    features = write_portable(place / "pretrained", tmp_path / "encoder.pt2")

    assert list(numbers["inputs"]) == ["volumes", "present", "covariates", "body"]
    assert max(numbers["difference"], features["difference"]) <= 1e-5
    levels = torch.export.load(tmp_path / "encoder.pt2").module()(torch.randn(2, 1, 16, 16, 16))
    assert len(levels) == len(features["outputs"])


# -- files from elsewhere ----------------------------------------------------------------------


def made_file(tmp_path, change):
    """Return an exported file whose folder ``change`` was let loose on."""
    write_network(tmp_path / "weights")
    main(["export", str(tmp_path / "weights"), "--out", str(tmp_path / "out")])
    change(tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((tmp_path / "out").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "out"))
    return tmp_path / "made.zip"


def test_a_file_that_was_packed_by_hand_is_taken_and_unpacked_once(tmp_path):
    file = made_file(tmp_path, lambda folder: None)

    folder = unpacked(file)

    assert load_predictor(file, CPU).patch == (24, 24, 24)
    (tmp_path / "copy").mkdir()
    assert unpacked(Path(shutil.copy(file, tmp_path / "copy"))) == folder


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "run.py").write_text("print()"), "does not belong"),
        (lambda folder: (folder / "card.json").unlink(), r"no card\.json"),
        (lambda folder: (folder / "extra.safetensors").write_bytes(b"1"), "not what its card says"),
        (lambda folder: (folder / "network.safetensors").write_bytes(b"1"), "not what its card says"),
        (lambda folder: (folder / "network.safetensors").unlink(), "not what its card says"),
        (lambda folder: (folder / "card.json").write_text("[]"), "does not say what it holds"),
        (lambda folder: (folder / "zeros.md").write_bytes(bytes(50_000_000)), "times its size"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_in_a_sentence(tmp_path, change, told):
    file = made_file(tmp_path, change)

    with pytest.raises(CheckpointError, match=told):
        unpacked(file)

    assert main(["predict", str(tmp_path), "--weights", str(file), "--out", str(tmp_path / "p")]) == 2


def test_a_member_that_points_out_of_the_folder_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("../escaped.json", "{}")
        archive.writestr("card.json", json.dumps({"format": 1}))

    with pytest.raises(CheckpointError, match="does not belong"):
        unpacked(tmp_path / "made.zip")


def test_a_file_cut_short_and_a_file_of_something_else_are_refused(tmp_path):
    whole = made_file(tmp_path, lambda folder: None).read_bytes()
    (tmp_path / "short.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "scan.nii.gz").write_bytes(b"no zip")

    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        member = archive.getinfo("card.json")
    bent = bytearray(whole)
    bent[member.header_offset + 30 + len(member.filename)] = 0x07  # a kind of block that there is not
    (tmp_path / "bent.zip").write_bytes(bent)

    for name in ("short.zip", "scan.nii.gz", "bent.zip"):
        with pytest.raises(CheckpointError, match="not a file of exported weights, or damaged"):
            unpacked(tmp_path / name)


def test_the_folder_one_is_in_can_be_written_to_if_it_is_empty(tmp_path, monkeypatch):
    weights = write_network(tmp_path / "weights")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")

    assert main(["export", str(weights), "--out", "."]) == 0

    assert (tmp_path / "out" / "card.json").is_file()


def test_a_taken_place_is_refused_and_nothing_half_made_stays(tmp_path, capsys):
    write_network(tmp_path / "weights")
    (tmp_path / "there.zip").write_text("mine")

    assert main(["export", str(tmp_path / "weights"), "--out", str(tmp_path / "there.zip")]) == 2
    assert main(["export", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]) == 2

    assert "there already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.zip", "weights"]
