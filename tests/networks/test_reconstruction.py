import pytest
import torch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.networks.reconstruction import ReconstructionDecoder


@pytest.mark.parametrize(("shape", "thick"), [((16, 16, 16), 0), ((13, 25, 17), 0), ((9, 32, 24), 2)])
@pytest.mark.parametrize("size", ["tiny", "paper"])
def test_every_voxel_comes_from_the_deepest_features_alone(shape, thick, size):
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", size, 1, thick)
    decoder = ReconstructionDecoder(encoder)
    deepest = encoder(torch.randn(1, 1, *shape))[-1].detach().requires_grad_()

    patch = decoder(deepest, shape)

    assert patch.shape == (1, 1, *shape)
    patch.square().sum().backward()
    assert (deepest.grad.abs().sum(dim=1) > 0).all()


def test_a_far_change_of_the_features_changes_the_near_picture_only():
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", "tiny", 1)
    decoder = ReconstructionDecoder(encoder).eval()
    # Group normalisation looks at the whole patch; without it the decoder is local.
    for module in decoder.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda features: features
    features = torch.randn(1, 64, 8, 1, 1)
    changed = features.clone()
    changed[:, :, 0] += 1

    difference = (decoder(features, (64, 8, 8)) - decoder(changed, (64, 8, 8))).abs().amax(dim=(0, 1, 3, 4))

    assert difference[:8].max() > 0
    assert difference[40:].max() == 0
