import math

import pytest
import torch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.segmentation import SegmentationNetwork
from napari_mmssl.networks.volume_head import VolumeNetwork


@pytest.fixture
def network():
    torch.manual_seed(0)
    return VolumeNetwork(SegmentationNetwork(build_encoder("residual_unet", "tiny", 2), 3), [(1,), (2,), (1, 2)], 2, 4)


def test_volumes_are_what_is_drawn_within_the_body(network):
    label = torch.randint(0, 3, (2, 6, 7, 8), generator=torch.Generator().manual_seed(1))
    inside = torch.zeros(2, 6, 7, 8, dtype=torch.bool)
    inside[:, 2:] = True
    drawn = torch.nn.functional.one_hot(label, 3).movedim(-1, 1).float()
    found = network.log_volumes(drawn, inside)
    for case in range(2):
        counts = [int((label[case, 2:] == value).sum()) for value in (1, 2)]
        wanted = [math.log1p(voxels) for voxels in (*counts, sum(counts))]
        assert found[case].tolist() == pytest.approx(wanted)
    assert (network.log_volumes(drawn) > found).all()


def test_only_the_line_learns_and_what_is_drawn_does_not_depend_on_it(network):
    volumes, present = torch.randn(2, 2, 16, 16, 16), torch.ones(2, 2, dtype=torch.bool)
    network.eval()
    before = network.encode(volumes, present)[0]
    network.train()
    pyramid = network.encode(volumes, present)
    torch.testing.assert_close(pyramid[0], before, rtol=0, atol=0)
    network.numbers(pyramid, torch.ones(2, 2)).square().sum().backward()
    assert {name for name, parameter in network.named_parameters() if parameter.grad is not None} == {
        "line.weight",
        "line.bias",
    }


def test_usual_volumes_are_0_and_as_far_apart_as_they_differ(network):
    log_volumes = torch.tensor([[1.0, 5.0, 2.0], [3.0, 5.0, 4.0]])
    network.standardise(log_volumes)
    known = (log_volumes - network.mean) / network.spread
    assert known.tolist() == [[-1, 0, -1], [1, 0, 1]]
