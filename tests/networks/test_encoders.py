"""Contracts over every registered encoder; a new file is covered the day it lands."""

import pytest
import torch

from napari_mmssl.errors import CheckpointError, ConfigError
from napari_mmssl.networks.decoder import UNetDecoder
from napari_mmssl.networks.encoders import build_encoder, encoders
from napari_mmssl.networks.transfer import transfer_encoder

NAMES = [entry.name for entry in encoders.entries()]
BATCH_STATISTICS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(16, 16, 16), (9, 17, 21), (4, 24, 24)])
@pytest.mark.parametrize("thick_slices", [0, 2])
def test_the_pyramid_is_as_declared(name, shape, thick_slices):
    encoder = build_encoder(name, "tiny", 2, thick_slices)
    shape = tuple(max(edge, least) for edge, least in zip(shape, encoder.smallest_input, strict=True))

    features = encoder(torch.randn(2, 2, *shape))

    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, *(-(-edge // step) for edge, step in zip(shape, strides, strict=True)))
        for channels, strides in zip(encoder.channels, encoder.strides, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_batch_statistics(name):
    encoder = build_encoder(name, "tiny", 1).eval()
    patches = torch.randn(3, 1, 16, 16, 16)

    assert not any(isinstance(module, BATCH_STATISTICS) for module in encoder.modules())
    together, alone = encoder(patches)[-1][1], encoder(patches[1:2])[-1][0]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_place_in_the_patch_leaves_no_trace(name):
    # Otherwise objectives that compare places are satisfied by a code for the place in the patch.
    encoder = build_encoder(name, "tiny", 1).eval()

    for features in encoder(torch.full((1, 1, 18, 20, 22), 0.7)):
        everywhere = features.mean(dim=(2, 3, 4), keepdim=True).expand_as(features)
        torch.testing.assert_close(features, everywhere, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 5)])
def test_patches_below_the_smallest_input_still_have_a_pyramid(name, shape):
    for features in build_encoder(name, "tiny", 1)(torch.randn(1, 1, *shape)):
        assert torch.isfinite(features).all()
        assert min(features.shape) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_voxel_is_felt_at_its_own_place_on_every_level(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, "tiny", 1).eval()
    patch = torch.zeros(1, 1, 16, 24, 32)
    changed = patch.clone()
    changed[..., 5, 13, 22] = 1

    for features, other, stride in zip(encoder(patch), encoder(changed), encoder.strides, strict=True):
        difference = (other - features).abs().sum(dim=1)[0]
        place = tuple(at // step for at, step in zip((5, 13, 22), stride, strict=True))
        far = torch.ones_like(difference, dtype=torch.bool)
        far[tuple(slice(max(0, at - 1), at + 2) for at in place)] = False
        assert difference[place] > 0
        # Group normalisation and global attention spread a little of it everywhere.
        assert not far.any() or difference[~far].max() > difference[far].max()


@pytest.mark.parametrize("name", NAMES)
def test_one_case_is_learned_by_heart(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, "tiny", 2)
    network = torch.nn.Sequential(encoder, UNetDecoder(encoder, 2))
    chance = torch.Generator().manual_seed(1)
    anatomy = torch.nn.functional.interpolate(
        torch.randn(1, 2, 4, 4, 4, generator=chance), size=(12, 12, 12), mode="trilinear"
    )
    patch = anatomy + 0.3 * torch.randn(anatomy.shape, generator=chance)
    truth = (anatomy.sum(dim=1) > 0.5).long()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)

    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(patch), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    answer = network(patch).argmax(dim=1)
    dice = 2 * float((answer * truth).sum()) / float(answer.sum() + truth.sum())
    assert 0.05 < float(truth.float().mean()) < 0.5
    assert dice > 0.85


@pytest.mark.parametrize("name", NAMES)
def test_sizes_grow(name):
    counts = [sum(p.numel() for p in build_encoder(name, size, 1).parameters()) for size in ("tiny", "small", "paper")]

    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient_through_the_decoder(name):
    encoder = build_encoder(name, "tiny", 1)
    decoder = UNetDecoder(encoder, 3)

    decoder(encoder(torch.randn(1, 1, 16, 16, 16))).square().mean().backward()

    dead = [
        n for n, p in (*encoder.named_parameters(), *decoder.named_parameters()) if p.grad is None or not p.grad.any()
    ]
    assert dead == []


def test_an_unknown_encoder_is_named_with_its_neighbours():
    with pytest.raises(ConfigError, match="residual_unet"):
        build_encoder("residual_unt", "tiny", 1)


@pytest.mark.parametrize("name", NAMES)
def test_transfer_copies_every_tensor_and_converts_the_stem(name):
    torch.manual_seed(0)
    single, multi = build_encoder(name, "tiny", 1), build_encoder(name, "tiny", 4)

    reports = transfer_encoder(multi, single.state_dict())

    assert [report.outcome for report in reports].count("converted") == 1
    assert all(report.outcome in ("loaded", "converted") for report in reports)
    stem = next(report.name for report in reports if report.outcome == "converted")
    for key, tensor in single.state_dict().items():
        if key != stem:
            assert torch.equal(tensor, multi.state_dict()[key])


@pytest.mark.parametrize("name", NAMES)
def test_equal_channels_give_the_activations_of_one(name):
    torch.manual_seed(0)
    single, multi = build_encoder(name, "tiny", 1).eval(), build_encoder(name, "tiny", 4).eval()
    transfer_encoder(multi, single.state_dict())
    patch = torch.randn(1, 1, 16, 16, 16)

    for one, four in zip(single(patch), multi(patch.expand(1, 4, 16, 16, 16)), strict=True):
        torch.testing.assert_close(one, four, atol=1e-5, rtol=1e-4)


def test_weights_of_another_size_are_refused():
    with pytest.raises(CheckpointError, match="another network"):
        transfer_encoder(
            build_encoder("residual_unet", "tiny", 1), build_encoder("residual_unet", "small", 1).state_dict()
        )


def test_thick_slices_leave_the_slice_axis_alone_at_first():
    assert build_encoder("residual_unet", "tiny", 1, 2).strides == ((1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8))
