import numpy as np
import pytest
import torch

from napari_mmssl.inference.calibration import fit_temperature, tempered


def probabilities_and_truth(sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are ``sharpness`` times as sure as they are right, and classes drawn from the right ones."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(3, 20, 20, 20)) * 1.5).float()
    right = logits.softmax(dim=0).numpy()
    drawn = (rng.random((20, 20, 20)) > np.cumsum(right, axis=0)).sum(axis=0)
    return (sharpness * logits).softmax(dim=0).numpy(), drawn.astype(np.uint8)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_it_finds_by_how_much_a_network_is_too_sure(sharpness):
    found, truth = probabilities_and_truth(sharpness)

    fit = fit_temperature([(found, truth, np.ones(truth.shape, bool))])

    assert fit["temperature"] == pytest.approx(sharpness, rel=0.1)
    assert fit["nll_after"] <= fit["nll_before"]


def test_unknown_classes_and_air_say_nothing():
    found, truth = probabilities_and_truth(2.0)
    body = np.zeros(truth.shape, bool)
    body[:, :, :10] = True
    spoilt = np.where(body, truth, 0)
    spoilt[:3][body[:3]] = 254

    assert fit_temperature([(found, spoilt, body)])["temperature"] == pytest.approx(2.0, rel=0.15)


def test_without_a_voxel_there_is_no_temperature():
    found, truth = probabilities_and_truth(1.0)

    assert fit_temperature([]) is None
    assert fit_temperature([(found, truth, np.zeros(truth.shape, bool))]) is None


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_changes_how_sure_but_not_of_what(temperature):
    before = torch.from_numpy(probabilities_and_truth(1.0)[0])

    after = tempered(before, temperature)

    torch.testing.assert_close(after.sum(dim=0), torch.ones(20, 20, 20))
    assert torch.equal(after.argmax(dim=0), before.argmax(dim=0))
    assert bool((after.amax(dim=0) > before.amax(dim=0)).float().mean() > 0.99) == (temperature < 1)
    torch.testing.assert_close(after, (before.log() / temperature).softmax(dim=0), atol=1e-5, rtol=1e-4)
