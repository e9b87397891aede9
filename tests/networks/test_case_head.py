import torch

from napari_mmssl.networks.case_head import CaseNetwork, PeopleNorm
from napari_mmssl.networks.encoders import build_encoder


def people(n=40):
    """Features that are large, and differ between people by little: each by another measure."""
    torch.manual_seed(0)
    return torch.tensor([50.0, -3, 0.4]) + torch.randn(n, 3) * torch.tensor([0.5, 0.01, 0.2])


def test_what_differs_between_people_is_of_one_size_afterwards():
    norm = PeopleNorm(3)
    norm.settle(people())
    standard = norm(people())
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(standard.std(dim=0), torch.ones(3), atol=1e-3, rtol=0)


def test_what_is_equal_in_everybody_is_not_blown_up():
    features = people()
    features[:, 1] = -3 + 1e-7 * torch.randn(len(features))
    norm = PeopleNorm(3)
    norm.settle(features)
    assert norm(features)[:, 1].abs().max() < 1e-3


def test_it_is_a_fixed_map_that_is_saved_with_the_weights():
    norm, loaded = PeopleNorm(3), PeopleNorm(3)
    norm.settle(people())
    loaded.load_state_dict(norm.state_dict())
    one = people()[:1]
    assert torch.equal(loaded(one), norm(one))


@torch.no_grad()
def test_weights_of_the_time_before_it_answer_as_they_did():
    torch.manual_seed(1)
    network = CaseNetwork(build_encoder("residual_unet", "tiny", 1), 0, 2, hidden=8, dropout=0.0).eval()
    pyramid = network.encode(torch.randn(2, 1, 8, 8, 8), torch.ones(2, 1, dtype=torch.bool))
    before = network.numbers(pyramid, torch.zeros(2, 0))
    old = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("people.")}

    network.people.settle(torch.randn(9, 184))
    assert not torch.allclose(network.numbers(pyramid, torch.zeros(2, 0)), before)
    fresh = CaseNetwork(build_encoder("residual_unet", "tiny", 1), 0, 2, hidden=8, dropout=0.0).eval()
    fresh.load_state_dict(old)
    assert torch.equal(fresh.numbers(pyramid, torch.zeros(2, 0)), before)
