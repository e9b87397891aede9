import pytest
import torch

from napari_mmssl.networks.case_head import CaseNetwork, pooled
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.fusion import build_fused, encode, pretrained_part
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.networks.transfer import transfer_encoder

FUSED = ("mean", "gated")
ALL = ("replicate", "reinitialise", "adapter", *FUSED)


def volumes(modalities=3, seed=0):
    return torch.randn(2, modalities, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=FUSED)
def fused(request):
    torch.manual_seed(0)
    encoder = build_fused("residual_unet", "tiny", 3, 0, request.param).eval()
    for gate in getattr(encoder, "gates", ()):
        torch.nn.init.normal_(gate.weight)
    for identity in encoder.identity:
        torch.nn.init.normal_(identity)
    return encoder


@torch.no_grad()
def test_an_absent_modality_leaves_no_trace(fused):
    present = torch.tensor([[True, False, True], [True, True, True]])
    one, other = volumes(), volumes()
    other[0, 1] += 100
    for a, b in zip(encode(fused, one, present), encode(fused, other, present), strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_the_mean_does_not_care_for_the_order_of_modalities():
    encoder = build_fused("residual_unet", "tiny", 3, 0, "mean").eval()
    images, present = volumes(), torch.tensor([[True, True, False], [True, True, True]])
    order = [2, 0, 1]
    there, here = encode(encoder, images, present), encode(encoder, images[:, order], present[:, order])
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_gates_know_which_modality_they_look_at():
    torch.manual_seed(0)
    fused = build_fused("residual_unet", "tiny", 3, 0, "gated").eval()
    for gate, identity in zip(fused.gates, fused.identity, strict=True):
        torch.nn.init.normal_(gate.weight)
        torch.nn.init.normal_(identity)
    images, present = volumes(), torch.ones(2, 3, dtype=torch.bool)
    swapped = encode(fused, images[:, [1, 0, 2]], present)
    assert not torch.allclose(swapped[0], encode(fused, images, present)[0], atol=1e-3)


@torch.no_grad()
def test_equal_modalities_fuse_to_what_one_gives(fused):
    image = volumes(1)
    alone = encode(pretrained_part(fused), image, torch.ones(2, 1, dtype=torch.bool))
    together = encode(fused, image.expand(-1, 3, -1, -1, -1), torch.ones(2, 3, dtype=torch.bool))
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["replicate", "adapter", "mean", "gated"])
def test_equal_modalities_give_a_pretrained_encoder_what_it_knows(fusion):
    torch.manual_seed(3)
    trained = build_encoder("residual_unet", "tiny", 1).eval()
    encoder = build_fused("residual_unet", "tiny", 4, 0, fusion).eval()
    transfer_encoder(pretrained_part(encoder), trained.state_dict())
    image = volumes(1)
    wanted = trained(image)
    found = encode(encoder, image.expand(-1, 4, -1, -1, -1), torch.ones(2, 4, dtype=torch.bool))
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fusion", ALL)
def test_any_subset_of_modalities_gives_finite_answers_and_gradients(fusion):
    torch.manual_seed(1)
    network = SegmentationNetwork(build_fused("residual_unet", "tiny", 3, 0, fusion), 3, deep_supervision=True)
    for number in range(1, 8):
        present = torch.tensor([[bool(number >> k & 1) for k in range(3)]] * 2)
        images = volumes() * present[:, :, None, None, None]
        network.zero_grad()
        maps = network.maps(network.encode(images, present))
        sum(one.square().mean() for one in maps).backward()
        stem = network.encoder.stem.weight.grad
        assert torch.isfinite(stem).all()
        assert stem.abs().max() > 0
        assert [one.shape[2] for one in maps] == [16, 8, 4]


@torch.no_grad()
def test_features_are_pooled_inside_the_body_alone():
    inside = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    inside[:, :4] = True
    level = torch.where(inside[:, None], 3.0, 100.0).expand(1, 2, 8, 8, 8)
    coarse = torch.nn.functional.avg_pool3d(level, 4)
    found = pooled([level, coarse], inside)
    torch.testing.assert_close(found, torch.tensor([[3.0, 3, 3, 3, 100, 100]]))
    assert found.shape[1] == 2 + 2 + 2


@torch.no_grad()
def test_age_changes_the_answer_and_the_air_around_does_not():
    torch.manual_seed(0)
    network = CaseNetwork(build_encoder("residual_unet", "tiny", 1), 2, 3, hidden=8, dropout=0.5).eval()
    pyramid = network.encode(volumes(1), torch.ones(2, 1, dtype=torch.bool))
    young, old = (network.numbers(pyramid, torch.tensor([[age, 1.0]] * 2)) for age in (-1.0, 2.0))
    assert not torch.allclose(young, old)
