import math

import pytest
import torch
from monai.losses import DiceLoss

from napari_mmssl.networks.losses import cross_entropy, dice_loss, hazard_loss, segmentation_losses
from napari_mmssl.tasks.partial_labels import SOME_CLASS, UNKNOWN


def drawn(classes=4, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, size, size, size, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, classes, (2, size, size, size), generator=generator)


def test_dice_equals_that_of_monai():
    logits, label = drawn()
    monai = DiceLoss(include_background=False, softmax=True, to_onehot_y=True, batch=True, smooth_nr=1, smooth_dr=1)
    assert float(dice_loss(logits, label)) == pytest.approx(float(monai(logits.float(), label[:, None])), rel=1e-5)


def test_cross_entropy_with_unknown_voxels_is_that_of_the_known_ones():
    logits, label = drawn()
    hidden = torch.zeros_like(label, dtype=torch.bool)
    hidden[:, :3] = True
    found = cross_entropy(logits, torch.where(hidden, UNKNOWN, label))
    wanted = torch.nn.functional.cross_entropy(logits.movedim(1, -1)[~hidden].float(), label[~hidden])
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_what_unknown_voxels_say_changes_no_loss_and_gets_no_gradient():
    logits, label = drawn()
    label[0, :3] = UNKNOWN
    logits.requires_grad_()
    terms = segmentation_losses([logits], label)
    (gradient,) = torch.autograd.grad(terms["dice"] + terms["cross_entropy"], logits)
    assert gradient[0, :, :3].abs().max() == 0
    assert gradient[0, :, 3:].abs().max() > 0


def test_some_class_asks_for_the_union_and_not_for_which():
    label = torch.full((1, 2, 2, 2), SOME_CLASS)
    one = torch.full((1, 3, 2, 2, 2), -9.0)
    other = one.clone()
    one[:, 1], other[:, 2] = 9.0, 9.0
    background = one.clone()
    background[:, 1], background[:, 0] = -9.0, 9.0
    for loss in (cross_entropy, dice_loss):
        assert float(loss(one, label)) == pytest.approx(float(loss(other, label)))
        assert float(loss(background, label)) > float(loss(one, label)) + 0.1
    assert float(cross_entropy(one, label)) == pytest.approx(0, abs=1e-6)


def test_cross_entropy_of_some_class_is_that_of_the_sum_of_probabilities():
    logits, label = drawn()
    label[0] = torch.where(label[0] > 0, SOME_CLASS, 0)
    probability = logits.softmax(dim=1)
    total = 0.0
    for voxel in torch.cartesian_prod(*(torch.arange(n) for n in label.shape)).tolist():
        here = probability[voxel[0], :, voxel[1], voxel[2], voxel[3]]
        truth = int(label[tuple(voxel)])
        total -= math.log(float(here[1:].sum() if truth == SOME_CLASS else here[truth]))
    assert float(cross_entropy(logits, label)) == pytest.approx(total / label.numel(), rel=1e-5)


def test_nothing_known_is_no_loss():
    logits, label = drawn()
    assert float(cross_entropy(logits, torch.full_like(label, UNKNOWN))) == 0


def test_coarser_maps_count_half_of_the_finer_ones():
    logits, label = drawn(size=8)
    coarse = torch.randn(2, 4, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    both = segmentation_losses([logits, coarse], label)["cross_entropy"]
    # The nearest voxel to the middle of a 2x2x2 block is its far one.
    wanted = (2 * cross_entropy(logits, label) + cross_entropy(coarse, label[:, 1::2, 1::2, 1::2])) / 3
    assert float(both) == pytest.approx(float(wanted), rel=1e-5)


def test_hazard_loss_equals_the_likelihood_written_out():
    logits = torch.tensor([[0.3, -1.0, 0.5], [1.0, 0.2, -0.4], [-2.0, 0.0, 2.0]])
    hazard = torch.sigmoid(logits).tolist()
    interval, observed = torch.tensor([1, 2, 3]), torch.tensor([True, False, False])
    likelihood = [
        (1 - hazard[0][0]) * hazard[0][1],  # died in the second interval
        (1 - hazard[1][0]) * (1 - hazard[1][1]),  # alive after two
        (1 - hazard[2][0]) * (1 - hazard[2][1]) * (1 - hazard[2][2]),  # alive after all
    ]
    wanted = -sum(math.log(one) for one in likelihood) / 3
    assert float(hazard_loss(logits, interval, observed)) == pytest.approx(wanted, rel=1e-6)


def test_the_best_constant_hazards_are_those_of_kaplan_and_meier():
    # 10 people: 3 die in the first interval, 2 are censored there, 2 die in the second, 3 live on.
    interval = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2, 2])
    observed = torch.tensor([1, 1, 1, 0, 0, 1, 1, 0, 0, 0], dtype=torch.bool)
    logits = torch.zeros(2, requires_grad=True)
    for _ in range(400):
        (gradient,) = torch.autograd.grad(hazard_loss(logits.expand(10, 2), interval, observed), logits)
        with torch.no_grad():
            logits -= 2 * gradient
    assert torch.sigmoid(logits).tolist() == pytest.approx([3 / 8, 2 / 5], abs=1e-3)
