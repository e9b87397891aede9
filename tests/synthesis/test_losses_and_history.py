import copy

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn

from napari_mmssl.synthesis.history import HistoryPool
from napari_mmssl.synthesis.losses import (
    as_judge,
    discriminator_loss,
    distribution_loss,
    l1_in_body,
    least_squares,
)


def patches(*values):
    return torch.stack([torch.full((1, 2, 2, 2), float(value)) for value in values])


def marks(shown):
    return [int(patch.flatten()[0]) for patch in shown]


def test_losses_equal_a_slow_loop_over_their_formulas(rng):
    scores, other = rng.normal(size=(2, 1, 3, 4, 5)), rng.normal(size=(2, 1, 3, 4, 5))
    body = rng.random((2, 1, 3, 4, 5)) < 0.4
    to_one = np.mean([(score - 1) ** 2 for score in scores.ravel()])
    to_zero = np.mean([score**2 for score in other.ravel()])
    apart = [abs(a - b) for a, b, inside in zip(scores.ravel(), other.ravel(), body.ravel(), strict=True) if inside]
    one, two = torch.from_numpy(scores), torch.from_numpy(other)
    assert float(least_squares(one, 1.0)) == pytest.approx(to_one, rel=1e-5)
    assert float(discriminator_loss(one, two)) == pytest.approx((to_one + to_zero) / 2, rel=1e-5)
    assert float(l1_in_body(one, two, torch.from_numpy(body).float())) == pytest.approx(np.mean(apart), rel=1e-5)
    assert float(l1_in_body(one, two, torch.zeros(2, 1, 3, 4, 5))) == 0


def test_the_distance_of_distributions_is_that_of_scipy_and_pulls_them_together(rng):
    made = torch.from_numpy(rng.normal(0.3, 1.0, (2, 1, 12, 12, 12))).requires_grad_()
    real = torch.from_numpy(rng.gamma(2.0, 1.0, (3, 1, 10, 10, 10)))
    bodies = [torch.from_numpy(rng.random(values.shape) < 0.7).float() for values in (made, real)]
    inside = [values.detach()[body > 0].numpy() for values, body in zip((made, real), bodies, strict=True)]
    before = distribution_loss(made, bodies[0], real, bodies[1])
    assert float(before.detach()) == pytest.approx(wasserstein_distance(*inside), rel=0.03)
    assert float(distribution_loss(real, bodies[1], real.flip(0), bodies[1].flip(0))) == 0
    before.backward()
    assert made.grad is not None
    assert (made.grad[bodies[0] == 0] == 0).all()
    after = distribution_loss(made - 500 * made.grad, bodies[0], real, bodies[1])
    assert after < before
    assert float(distribution_loss(made.detach(), bodies[0] * 0, real, bodies[1])) == 0


def test_one_backward_pass_gives_each_player_the_gradients_of_alternating_ones():
    torch.manual_seed(0)
    generator, judge = nn.Conv3d(1, 1, 3, padding=1), nn.Conv3d(1, 1, 3, padding=1)
    source, real = torch.randn(2, 1, 4, 4, 4), torch.randn(2, 1, 4, 4, 4)
    alone_g, alone_d = copy.deepcopy(generator), copy.deepcopy(judge)
    alone_made = alone_g(source)
    least_squares(alone_d(alone_made), 1.0).backward()
    alone_d.zero_grad()
    discriminator_loss(alone_d(real), alone_d(alone_made.detach())).backward()

    made = generator(source)
    with as_judge(judge):
        fooled = least_squares(judge(made), 1.0)
    (fooled + discriminator_loss(judge(real), judge(made.detach()))).backward()

    for network, alone in ((generator, alone_g), (judge, alone_d)):
        for weight, expected in zip(network.parameters(), alone.parameters(), strict=True):
            assert weight.requires_grad
            torch.testing.assert_close(weight.grad, expected.grad)


def test_a_pool_that_fills_hands_on_what_it_gets():
    pool = HistoryPool(4, (1, 2, 2, 2))
    assert marks(pool.exchange(patches(1, 2, 3), seed=0)) == [1, 2, 3]
    assert int(pool.filled) == 3


def test_a_full_pool_hands_on_new_or_old_patches_and_keeps_what_it_took():
    pool = HistoryPool(3, (1, 2, 2, 2))
    pool.exchange(patches(1, 2, 3), seed=0)
    given, shown = {1, 2, 3}, []
    for step in range(40):
        given.add(10 + step)
        kept_before = marks(pool.images)
        (mark,) = marks(pool.exchange(patches(10 + step), seed=step))
        shown.append(mark)
        expected = [10 + step if mark == old and mark != 10 + step else old for old in kept_before]
        assert marks(pool.images) == expected
    own = sum(mark == 10 + step for step, mark in enumerate(shown))
    assert 8 < own < 32, "about half are handed on themselves"
    assert set(shown) <= given
    assert len(set(shown)) == len(shown), "nobody is shown twice once exchanged"


def test_a_pool_of_none_hands_everything_on_without_gradient():
    made = patches(1).requires_grad_()
    assert not HistoryPool(0, (1, 2, 2, 2)).exchange(made, seed=0).requires_grad


def test_a_pool_restored_from_its_state_goes_on_the_same():
    one, other = HistoryPool(2, (1, 2, 2, 2)), HistoryPool(2, (1, 2, 2, 2))
    one.exchange(patches(1, 2, 3, 4), seed=5)
    other.load_state_dict(one.state_dict())
    assert marks(one.exchange(patches(7, 8, 9), 6)) == marks(other.exchange(patches(7, 8, 9), 6))
