import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_cohorts import write_small_cohort
from trained_networks import write_network

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.inference.missing import missing_from
from napari_mmssl.inference.prediction import draw, load_predictor, load_predictors
from napari_mmssl.tasks.conventions import BRATS_2018

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return find_cohort(write_small_cohort(tmp_path_factory.mktemp("cohort"), cases=1)).cases[0]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return [write_network(folder / str(seed), seed, convention=BRATS_2018) for seed in range(2)]


def test_the_label_map_is_the_most_probable_class_and_entropy_says_how_sure(case, networks):
    drawing = draw(load_predictors(networks[:1], CPU), case, probabilities=True, entropy=True)

    classes = np.stack([volume.array for volume in drawing.probabilities.values()])
    assert list(drawing.probabilities) == [one.name for one in BRATS_2018.classes]
    background = 1 - classes.sum(axis=0)
    whole = np.concatenate([background[None], classes])
    values = np.array([0, *(one.value for one in BRATS_2018.classes)])
    sure = np.sort(whole, axis=0)[-1] - np.sort(whole, axis=0)[-2] > 1e-4
    np.testing.assert_array_equal(drawing.label_map.array[sure], values[whole.argmax(axis=0)][sure])
    assert len(np.unique(drawing.label_map.array)) > 1
    expected = -(whole * np.log(np.maximum(whole, 1e-12))).sum(axis=0) / np.log(len(whole))
    np.testing.assert_allclose(drawing.entropy.array, expected, atol=1e-3)
    source = case.modalities["t1"].geometry
    assert drawing.entropy.geometry.same_grid(source)
    assert all(volume.geometry.same_grid(source) for volume in drawing.probabilities.values())


def test_an_ensemble_gives_the_mean_of_its_networks(case, networks):
    def classes(paths):
        drawing = draw(load_predictors(paths, CPU), case, probabilities=True)
        return np.stack([volume.array for volume in drawing.probabilities.values()])

    one, other = classes(networks[:1]), classes(networks[1:])

    assert np.abs(one - other).max() > 0.05
    np.testing.assert_allclose(classes(networks), (one + other) / 2, atol=1e-6)


def test_networks_of_an_ensemble_may_know_different_modalities(case, networks, tmp_path):
    single = write_network(tmp_path / "t1", 5, ("t1",), BRATS_2018)

    drawing = draw(load_predictors([networks[0], single], CPU), case)

    assert drawing.label_map.array.shape == case.modalities["t1"].geometry.shape


def test_networks_of_two_codings_do_not_answer_together(networks, tmp_path):
    with pytest.raises(ConfigError, match="only networks of one coding"):
        load_predictors([networks[0], write_network(tmp_path / "lesion")], CPU)


def test_mirrored_a_mirror_image_gets_the_mirrored_answer(case, networks):
    predictor = load_predictor(networks[0], CPU)
    prepared = predictor.prepare(case)
    flipped = replace(prepared, volumes=prepared.volumes[..., ::-1], foreground=prepared.foreground[..., ::-1])

    plain = [predictor.probabilities(one) for one in (prepared, flipped)]
    both = [predictor.probabilities(one, mirrored=True) for one in (prepared, flipped)]

    assert np.abs(plain[0] - plain[1][..., ::-1]).max() > 0.01
    np.testing.assert_allclose(both[0], both[1][..., ::-1], atol=1e-5)
    np.testing.assert_allclose(both[0].sum(axis=0), 1, atol=1e-5)


def test_the_temperature_of_the_card_is_used(case, networks, tmp_path):
    cool = load_predictor(networks[0], CPU)
    warm = load_predictor(
        write_network(tmp_path / "warm", 0, convention=BRATS_2018, calibration={"temperature": 3.0}), CPU
    )
    prepared = cool.prepare(case)
    before, after = cool.probabilities(prepared), warm.probabilities(prepared)

    assert after.max(axis=0).mean() < before.max(axis=0).mean() - 0.02
    np.testing.assert_array_equal(before.argmax(axis=0), after.argmax(axis=0))


@pytest.mark.parametrize("name", ["encoder", "in_channels", "spacing_mm", "patch"])
@pytest.mark.parametrize("value", [None, "x", {}])
def test_a_damaged_card_is_refused_in_a_sentence(tmp_path, name, value):
    weights = write_network(tmp_path / "weights", 0, convention=BRATS_2018)
    card = json.loads((weights / "card.json").read_text())
    (weights / "card.json").write_text(json.dumps(card | {name: value}))

    with pytest.raises(CheckpointError, match=r"the card of .* is damaged"):
        load_predictor(weights, CPU)

    del card[name]
    (weights / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=rf"damaged \(it lacks '{name}'"):
        load_predictor(weights, CPU)


def test_generators_that_would_not_be_asked_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--missing synthesised"):
        missing_from("zero", tmp_path, [tmp_path])
