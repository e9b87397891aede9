"""Probes of frozen features through the command line."""

import json

import numpy as np
import pytest
import torch
from clinical_cohorts import write_clinical_cohort
from small_cohorts import write_small_cohort

from napari_mmssl.cli.main import main
from napari_mmssl.cohorts.prepare import PreparedCase
from napari_mmssl.inference.features import FrozenEncoder, features_at, linear_map
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.volumes.geometry import Geometry
from napari_mmssl.workflows.modality_probe import probe_modalities

SMALL = ["--recipe", "mae", "--steps", "2", "--batch-size", "2", "--patch", "16", "--validate-every", "2"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMSSL_HOME", str(folder / "home"))
        patch.setenv("MMSSL_THREADS", "1")
        for name, write, cases in (("clinical", write_clinical_cohort, 36), ("small", write_small_cohort, 5)):
            cohort = write(folder / name, cases)
            assert main(["pretrain", str(cohort), "--out", str(folder / f"{name}_pre"), *SMALL]) == 0
        yield folder


@pytest.fixture(autouse=True)
def own_cache(base, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(base / "home"))
    monkeypatch.setenv("MMSSL_THREADS", "1")


def probed(capsys, base, name, *arguments):
    capsys.readouterr()
    assert main(["probe", str(base / name), "--weights", str(base / f"{name}_pre"), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_grade_is_read_off_features_of_people_who_were_held_out(base, capsys, tmp_path):
    found = probed(capsys, base, "clinical", "--target", "grade", "--out", str(tmp_path / "probe.json"))
    split = RunFolder(base / "clinical_pre").provenance()["split"]
    assert found["n_test"] == len(split["test"])
    assert found["n_train"] == len(split["train"])
    assert set(found["probes"]) == {"linear", "neighbours"}
    # A bright ball is plain to see, even to random features; nine people are too few for a narrow limit.
    assert all(metrics["auc"] > 0.6 for encoders in found["probes"].values() for metrics in encoders.values())
    assert max(metrics["auc"] for encoders in found["probes"].values() for metrics in encoders.values()) > 0.9
    assert json.loads((tmp_path / "probe.json").read_text()) == found
    assert probed(capsys, base, "clinical", "--target", "grade") == found


def test_short_and_long_survival_are_classes_too(base, capsys):
    found = probed(capsys, base, "clinical", "--target", "survival_class", "--label-fraction", "0.9")
    assert "classes of 'survival_class'" in found["notes"][0]
    assert set(found["probes"]["linear"]["pretrained"]) >= {"auc", "balanced_accuracy"}


def test_voxels_of_a_bright_ball_are_read_off_features(base, capsys):
    found = probed(capsys, base, "small", "--task", "segmentation")
    for metrics in found["probes"]["linear"].values():
        assert metrics["dice"] > 0.5
    for encoders in found["probes"].values():
        assert all(0.75 < metrics["balanced_accuracy"] <= 1 for metrics in encoders.values())  # chance is 0.5
    assert main(["probe", str(base / "small"), "--weights", str(base / "small_pre"), "--task", "segmentation"]) == 0
    assert "random" in capsys.readouterr().out


def test_in_which_modality_a_place_was_seen_is_read_off_features(base, capsys):
    found = probed(capsys, base, "clinical", "--task", "modality")
    assert "chance is 0.500" in found["notes"][0]
    assert found == probed(capsys, base, "clinical", "--task", "modality")
    # Outside of the ball both modalities are the same grey with noise, z-scored over bodies of unlike spread.
    for encoders in found["probes"].values():
        assert all(0.6 < metrics["balanced_accuracy"] <= 1 for metrics in encoders.values())


def test_features_of_one_look_give_modalities_away_no_more_than_chance(rng):
    """Two modalities that show the same cannot be told apart."""
    shape = (16, 16, 16)
    cases = []
    for number in range(6):
        volume = rng.normal(size=shape).astype(np.float32)
        geometry = Geometry(shape, np.eye(4))
        body = np.ones(shape, bool)
        name = f"case {number}"
        volumes = np.stack([volume, volume])
        cases.append(PreparedCase(name, name, ("t1", "t2"), volumes, body, None, geometry, geometry))
    encoder = FrozenEncoder(build_encoder("residual_unet", "tiny", 1))

    found = probe_modalities(
        encoder, cases[:4], cases[4:], ("t1", "t2"), shape, torch.device("cpu"), neighbours=5, seed=0
    )

    assert found["linear"]["balanced_accuracy"] == pytest.approx(0.5)


def test_a_linear_map_before_interpolating_equals_one_after_it(rng):
    shape = (9, 8, 7)
    pyramid = [torch.randn(1, 3, *shape), torch.randn(1, 5, 5, 4, 4)]
    weights, bias = rng.normal(size=(8, 2)), rng.normal(size=2)
    voxels = np.argwhere(np.ones(shape, bool))
    wanted = features_at(pyramid, voxels, shape) @ weights + bias
    found = linear_map(pyramid, weights, bias, shape).numpy().reshape(2, -1).T
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_fine_tuning_has_no_encoder_to_probe(base, tmp_path, capsys):
    assert main(["finetune", str(base / "small"), "--out", str(tmp_path / "run"), *SMALL[2:]]) == 0
    capsys.readouterr()
    assert main(["probe", str(base / "small"), "--weights", str(tmp_path / "run")]) == 2
    assert "a pretrained encoder is wanted" in capsys.readouterr().err
