import pytest
import torch

from napari_mmssl.networks.blocks import PatchEmbedding, ResidualBlock, convolution, pad_far_end


@pytest.mark.filterwarnings("ignore::FutureWarning:monai.*")
def test_a_residual_block_equals_that_of_monai_but_for_the_padding():
    segresnet = pytest.importorskip("monai.networks.nets.segresnet_ds")
    torch.manual_seed(0)
    ours = ResidualBlock(16)
    theirs = segresnet.SegResBlock(3, 16, norm=("group", {"num_groups": 4, "affine": True}))
    pairs = {"body.0": "norm1", "body.2": "conv1", "body.3": "norm2", "body.5": "conv2"}
    state = ours.state_dict()
    theirs.load_state_dict(
        {f"{pairs[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor for key, tensor in state.items()}
    )
    patch = torch.randn(2, 16, 7, 8, 9)

    assert not torch.allclose(ours(patch), theirs(patch), atol=1e-3)
    theirs.conv1.padding_mode = theirs.conv2.padding_mode = "replicate"
    torch.testing.assert_close(ours(patch), theirs(patch), atol=1e-5, rtol=1e-5)


def test_a_convolution_is_padded_by_the_values_at_the_border():
    layer = convolution(2, 3, stride=(1, 2, 2)).double()
    patch = torch.randn(1, 2, 5, 6, 7, dtype=torch.float64)
    wide = torch.zeros(1, 2, 7, 8, 9, dtype=torch.float64)
    for z in range(7):
        for y in range(8):
            for x in range(9):
                wide[..., z, y, x] = patch[..., min(max(z - 1, 0), 4), min(max(y - 1, 0), 5), min(max(x - 1, 0), 6)]

    expected = torch.nn.functional.conv3d(wide, layer.weight, layer.bias, stride=(1, 2, 2))

    torch.testing.assert_close(layer(patch), expected)


def test_the_far_end_is_filled_up_by_its_last_values():
    patch = torch.arange(10.0).reshape(1, 1, 1, 2, 5)

    filled = pad_far_end(patch, (1, 3, 2))

    assert filled[0, 0, 0].tolist() == [[0, 1, 2, 3, 4, 4], [5, 6, 7, 8, 9, 9], [5, 6, 7, 8, 9, 9]]
    assert pad_far_end(patch, (1, 2, 5)) is patch


def test_an_embedding_looks_at_each_voxel_once():
    embedding = PatchEmbedding(1, 4, (1, 2, 2))
    patch = torch.randn(1, 1, 3, 5, 4, requires_grad=True)
    embedding.reduce(pad_far_end(patch, (1, 2, 2)))[0, 0, 1, 1, 1].backward()

    assert embedding(patch).shape == (1, 4, 3, 3, 2)
    assert patch.grad.nonzero()[:, 2:].tolist() == [[1, 2, 2], [1, 2, 3], [1, 3, 2], [1, 3, 3]]
