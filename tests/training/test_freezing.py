"""Partial fine-tuning: what is frozen keeps its bits, what is not learns."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from small_cohorts import write_small_cohort

from napari_mmssl.cohorts.splits import take_fraction
from napari_mmssl.networks.encoders import build_encoder, encoders
from napari_mmssl.training.freezing import frozen_parameters
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings
from napari_mmssl.workflows.finetune import finetune
from napari_mmssl.workflows.pretrain import pretrain

SMALL = {"data": {"patch": [16, 16, 16]}, "optimisation": {"steps": 2, "batch_size": 2}, "validate_every": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("freezing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(folder / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        cohort = write_small_cohort(folder / "cohort", 5)
        pretrain(pretrain_settings(flags={"cohort": str(cohort), "recipe": "mae", **SMALL}), folder / "pre")
        yield folder


def tuned(base, out, **flags):
    settings = finetune_settings(
        flags={"cohort": str(base / "cohort"), "weights": str(base / "pre"), "freeze": "none", **SMALL, **flags}
    )
    return load_file(finetune(settings, out).path / "weights" / "network.safetensors")


@pytest.mark.parametrize("freeze", ["stem", "half", "encoder"])
def test_frozen_weights_are_those_of_the_pretraining_bit_for_bit(base, tmp_path, freeze):
    before = load_file(base / "pre" / "weights" / "encoder.safetensors")
    after = tuned(base, tmp_path / "run", freeze=freeze, fusion="mean")
    kept = {name for name, tensor in before.items() if torch.equal(after[f"encoder.single.{name}"], tensor)}
    if freeze == "encoder":
        assert kept == set(before)
    else:
        assert {"_stem.weight", "_stem.bias"} <= kept
        assert kept < set(before)
    assert any(name.startswith("decoder.") for name in after)


def test_a_thawed_encoder_learns(base, tmp_path):
    before = load_file(base / "pre" / "weights" / "encoder.safetensors")
    after = tuned(base, tmp_path / "run", freeze="encoder", freeze_share=0.5, fusion="mean")
    assert not any(torch.equal(after[f"encoder.single.{name}"], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("name", [entry.name for entry in encoders.entries()])
def test_half_of_every_encoder_is_more_than_its_stem_and_less_than_all(name):
    encoder = build_encoder(name, "tiny", 1)
    half = frozen_parameters(encoder, "half")
    assert any(parameter is encoder.stem.weight for parameter in half)
    assert 2 < len(half) < len(list(encoder.parameters()))


def test_smaller_shares_of_the_labels_are_parts_of_larger_ones():
    people = [f"person {number}" for number in range(37)]
    for seed in range(5):
        taken = [set(take_fraction(people, share, seed)) for share in (0.05, 0.1, 0.2, 0.5, 1.0)]
        assert all(small < large for small, large in pairwise(taken))
