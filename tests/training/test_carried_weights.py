"""What a pretraining on all modalities at once leaves to fine-tuning: stem by modality, and the decoder."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from patch_batches import make_batch
from safetensors.torch import load_file

from napari_mmssl.cli.main import main
from napari_mmssl.errors import ConfigError
from napari_mmssl.inference.features import frozen_encoder
from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.fusion import network_input
from napari_mmssl.networks.transfer import transfer_decoder, transfer_encoder
from napari_mmssl.objectives import Needs
from napari_mmssl.training.pretraining import join_needs
from napari_mmssl.training.weights_cards import read_card
from napari_mmssl.training.weights_files import read_pretrained
from napari_mmssl.workflows.configure import finetune_settings
from napari_mmssl.workflows.finetune import finetune

pytestmark = pytest.mark.usefixtures("own_cache")
CPU = torch.device("cpu")
SMALL = ["--steps", "2", "--batch-size", "2", "--patch", "16", "--validate-every", "2"]


@pytest.fixture(scope="module")
def pretrained(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(tmp_path_factory.getbasetemp() / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        assert main(["pretrain", str(cohort), "--out", str(out), "--recipe", "m3ae2023", *SMALL]) == 0
    return out


def tuned(cohort, weights, out, **more):
    flags = {
        "cohort": str(cohort),
        "weights": str(weights),
        "data": {"patch": [16, 16, 16]},
        "optimisation": {"steps": 1, "batch_size": 2, "learning_rate": 1e-9},
        "task": {"name": "segmentation"},
    }
    return finetune(finetune_settings(flags=flags | more), out)


def test_the_decoder_is_carried_over_but_for_its_last_convolution(cohort, pretrained, tmp_path):
    run = tuned(cohort, pretrained, tmp_path / "run")

    report = {one["name"]: one["outcome"] for one in run.provenance()["transfer"]}
    assert {name for name, outcome in report.items() if outcome == "skipped"} == {
        "decoder.output.weight",
        "decoder.output.bias",
    }
    before = load_file(str(pretrained / "weights" / "decoder.safetensors"))
    after = load_file(str(tmp_path / "run" / "weights" / "network.safetensors"))
    torch.testing.assert_close(
        after["decoder.steps.0.shrink.weight"], before["steps.0.shrink.weight"], atol=1e-6, rtol=0
    )


def test_a_new_decoder_can_be_asked_for(cohort, pretrained, tmp_path):
    run = tuned(cohort, pretrained, tmp_path / "run", decoder="new", seed=3)

    assert not any(one["name"].startswith("decoder.") for one in run.provenance()["transfer"])
    before = load_file(str(pretrained / "weights" / "decoder.safetensors"))
    after = load_file(str(tmp_path / "run" / "weights" / "network.safetensors"))
    assert (after["decoder.steps.0.shrink.weight"] - before["steps.0.shrink.weight"]).abs().max() > 0.01


def test_the_card_says_that_the_stem_has_a_channel_for_each_modality(pretrained):
    card = read_card(pretrained)
    assert card["in_channels"] == len(card["modalities"]) > 1
    found = read_pretrained(pretrained)
    assert found.channels == tuple(card["modalities"])
    assert found.decoder


def test_such_an_encoder_cannot_see_modalities_one_at_a_time(cohort, pretrained, tmp_path):
    with pytest.raises(ConfigError, match=r"at once.*replicate or reinitialise"):
        tuned(cohort, pretrained, tmp_path / "run", fusion="mean")


def test_objectives_of_one_and_of_all_modalities_do_not_mix():
    with pytest.raises(ConfigError, match=r"'b' feeds the encoder all.*'a' one"):
        join_needs({"a": Needs(), "b": Needs(channels="all")})


def activations(encoder, volumes, there):
    return encoder.eval()(network_input(volumes, there))[0]


@pytest.mark.parametrize("wanted", [("t2", "t1"), ("t1", "flair", "t2")])
def test_a_stem_gives_each_modality_its_own_channel_again(wanted):
    """The network of fewer, or otherwise ordered, modalities sees what the first one sees with the rest absent."""
    given = ("flair", "t1", "t2")
    torch.manual_seed(0)
    first, second = build_encoder("residual_unet", "tiny", 3), build_encoder("residual_unet", "tiny", len(wanted))
    transfer_encoder(second, first.state_dict(), given, wanted)
    volumes = {name: torch.randn(1, 1, 16, 16, 16) for name in wanted}
    absent = torch.zeros(1, 1, 16, 16, 16)

    all_there = torch.ones(1, len(wanted), dtype=torch.bool)
    some_there = torch.tensor([[name in wanted for name in given]])
    torch.testing.assert_close(
        activations(second, torch.cat([volumes[name] for name in wanted], dim=1), all_there),
        activations(first, torch.cat([volumes.get(name, absent) for name in given], dim=1), some_there),
        atol=1e-5,
        rtol=1e-4,
    )


def test_a_modality_never_met_begins_with_the_mean_of_the_others():
    torch.manual_seed(0)
    first, second = build_encoder("residual_unet", "tiny", 2), build_encoder("residual_unet", "tiny", 2)
    reports = transfer_encoder(second, first.state_dict(), ("flair", "t1"), ("t1", "pet"))

    assert "their mean for pet" in next(one.reason for one in reports if one.outcome == "converted")
    torch.testing.assert_close(second.stem.weight[:, 0], first.stem.weight[:, 1])
    torch.testing.assert_close(second.stem.weight[:, 1], first.stem.weight.mean(dim=1))


def test_a_decoder_of_another_size_is_not_taken():
    torch.manual_seed(0)
    small, tiny = (UNetDecoder(build_encoder("residual_unet", size, 1), 2) for size in ("small", "tiny"))
    before = {name: one.clone() for name, one in tiny.state_dict().items()}
    reports = transfer_decoder(tiny, small.state_dict())

    assert {one.outcome for one in reports if one.name.endswith("shrink.weight")} == {"skipped"}
    for one in reports:
        if one.outcome == "skipped":
            assert torch.equal(tiny.state_dict()[one.name], before[one.name])


def test_a_frozen_encoder_looks_at_modalities_alone_and_together():
    torch.manual_seed(0)
    frozen = frozen_encoder({"name": "residual_unet", "size": "tiny", "thick_slices": 0}, ("t1", "flair"), None, CPU)
    batch = replace(make_batch((16, 16, 16), samples=1), vocabulary=("adc", "flair", "t1"))
    _, flair, t1 = batch.volumes[0]
    empty = torch.zeros_like(t1)

    with torch.no_grad():
        alone, together = frozen.alone(batch)[0], frozen.together(batch)[0]
        wanted = frozen.encoder(2 * torch.stack([torch.stack([empty, flair]), torch.stack([t1, empty])]))[0]
        both = frozen.encoder(torch.stack([t1, flair])[None])[0]

    assert frozen.known(batch) == [1, 2]
    torch.testing.assert_close(alone, wanted)
    torch.testing.assert_close(together, both)


def test_a_case_of_unknown_modalities_is_left_out_of_a_map_and_refused_by_the_encoder(cohort, pretrained, tmp_path):
    other = tmp_path / "cohort"
    shutil.copytree(cohort, other)
    case = sorted(path for path in other.iterdir() if path.is_dir())[0]
    (case / "t1.nii.gz").rename(case / "adc.nii.gz")
    (case / "flair.nii.gz").unlink()

    assert main(["embed", str(other), "--weights", str(pretrained), "--out", str(tmp_path / "map.json")]) == 0

    mapped = {one["case"] for one in json.loads((tmp_path / "map.json").read_text())["cases"]}
    assert mapped == {path.name for path in other.iterdir() if path.is_dir()} - {case.name}
    frozen = frozen_encoder({"name": "residual_unet", "size": "tiny", "thick_slices": 0}, ("pet", "ct"), None, CPU)
    with pytest.raises(ConfigError, match=r"'c0' has none of the modalities .*pet, ct"):
        frozen.alone(make_batch((16, 16, 16), samples=1))
