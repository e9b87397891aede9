import pytest
import torch

from napari_mmssl.networks.generators import Generator, PatchDiscriminator, generator_strides


@pytest.mark.parametrize("shape", [(16, 16, 16), (5, 13, 18), (3, 8, 9)])
@pytest.mark.parametrize(("dimensions", "thick_slices"), [("2.5d", 0), ("3d", 0), ("3d", 1), ("3d", 3)])
def test_a_generator_gives_a_patch_of_the_same_shape_within_the_limits(shape, dimensions, thick_slices):
    torch.manual_seed(0)
    generator = Generator("tiny", dimensions, thick_slices)
    made = generator(100 * torch.randn(2, 1, *shape))
    assert made.shape == (2, 1, *shape)
    assert made.abs().max() <= 5
    made.square().mean().backward()
    # The second convolutions of the blocks begin at 0 and let no gradient to the first at the very first step.
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in generator.parameters())


def test_a_patch_does_not_depend_on_who_is_beside_it_in_the_batch():
    generator = Generator("tiny")
    pair = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(generator(pair)[:1], generator(pair[:1]), atol=1e-5, rtol=1e-5)


def test_a_slab_generator_sees_two_slices_to_either_side_and_no_more():
    torch.manual_seed(0)
    generator = Generator("tiny", "2.5d")
    slab = torch.randn(1, 1, 9, 16, 16)
    changed = slab.clone()
    changed[:, :, 0] += 1
    apart = (generator(slab) - generator(changed)).abs().amax(dim=(0, 1, 3, 4))
    assert (apart[:3] > 0).all()
    assert (apart[3:] == 0).all()


def test_strides_leave_thick_slices_alone():
    assert generator_strides("2.5d", 0) == ((1, 2, 2), (1, 2, 2))
    assert generator_strides("3d", 0) == ((2, 2, 2), (2, 2, 2))
    assert generator_strides("3d", 1) == ((1, 2, 2), (2, 2, 2))
    assert generator_strides("3d", 3) == ((1, 2, 2), (1, 2, 2))


@pytest.mark.parametrize("dimensions", ["2.5d", "3d"])
def test_a_discriminator_judges_place_by_place(dimensions):
    torch.manual_seed(0)
    judge = PatchDiscriminator("tiny", dimensions)
    patch = torch.randn(1, 1, 8, 48, 48)
    changed = patch.clone()
    changed[..., :4, :4] += 2
    apart = (judge(patch) - judge(changed)).abs()[0, 0].amax(dim=0)
    assert apart[0, 0] > 0
    assert apart[-1, -1] == 0
