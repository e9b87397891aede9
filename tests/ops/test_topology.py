import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from topology_oracle import intra_loss, neighbours_of, partial_loss

from napari_mmssl.ops.correspondence import mutual_nearest
from napari_mmssl.ops.neighbours import distances_between, neighbourhoods
from napari_mmssl.ops.topology import (
    anchor_rows,
    collapse_monitors,
    effective_rank,
    intra_triplets,
    partial_triplets,
    triplet_loss,
)


def make_maps(seed, n_maps=2, n_people=3, n_tokens=27, width=5, share=0.8):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(n_maps, n_people, n_tokens, width))
    maps /= np.linalg.norm(maps, axis=-1, keepdims=True)
    places = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n_tokens]
    usable = rng.random((n_people, n_tokens)) < share
    return maps, np.broadcast_to(places, (n_people, *places.shape)), usable, rng.random((n_people, n_tokens, 5))


def cosines(first, second):
    return first @ second.swapaxes(-1, -2)


def slow_neighbours(tokens, places, usable, kind="hybrid"):
    return [neighbours_of(i, tokens, places, usable, 5, kind, 1.5) for i in range(len(tokens))]


@pytest.mark.parametrize("kind", ["feature", "spatial", "hybrid"])
@pytest.mark.parametrize("seed", range(4))
def test_intra_loss_equals_a_slow_loop(kind, seed):
    (anchor, other), places, usable, uniform = make_maps(seed)
    neighbours, valid = neighbourhoods(cosines(anchor, anchor), distances_between(places, places), usable, 5, kind, 1.5)

    loss, _ = triplet_loss(cosines(other, other), intra_triplets(neighbours, valid, usable, uniform), 0.05)

    for person in range(3):
        near = slow_neighbours(anchor[person], places[person], usable[person], kind)
        expected = intra_loss(anchor[person], other[person], near, usable[person], uniform[person], 0.05)
        assert expected > 0
        assert loss[person] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.8, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_partial_loss_equals_a_slow_loop(seed, share):
    (first, second), places, usable, uniform = make_maps(seed, share=share)
    usable_second = np.roll(usable, 3, axis=1)
    second = 0.4 * second + first[:, ::-1]
    second /= np.linalg.norm(second, axis=-1, keepdims=True)
    allowed = usable[:, :, None] & usable_second[:, None, :]
    matches = mutual_nearest(cosines(first, second), allowed, 0.3)
    neighbours, valid = neighbourhoods(
        cosines(first, first), distances_between(places, places), usable, 5, "hybrid", 1.5
    )

    triplets = partial_triplets(neighbours, valid, matches, usable_second, uniform)
    loss, _ = triplet_loss(anchor_rows(cosines(second, second), matches), triplets, 0.4)

    for person in range(3):
        near = slow_neighbours(first[person], places[person], usable[person])
        expected = partial_loss(second[person], near, matches[person], usable_second[person], uniform[person], 0.4)
        assert loss[person] == pytest.approx(expected, abs=1e-12)
    assert share < 0.5 or loss.min() > 0


def test_with_all_tokens_matched_negatives_come_from_the_rest():
    (first, _), places, _, uniform = make_maps(5)
    usable = np.ones((3, 27), dtype=bool)
    matches = np.broadcast_to(np.arange(27)[::-1], (3, 27)).copy()
    neighbours, valid = neighbourhoods(cosines(first, first), distances_between(places, places), usable, 5, "feature")

    triplets = partial_triplets(neighbours, valid, matches, usable, uniform)

    assert triplets.counted.all()
    far = triplets.far[..., :, None]
    assert not (far == triplets.near[..., None, :]).any()
    assert not (triplets.far == matches[..., None]).any()
    near = slow_neighbours(first[0], places[0], usable[0], "feature")
    loss, _ = triplet_loss(anchor_rows(cosines(first[:, ::-1], first[:, ::-1]), matches), triplets, 0.4)
    assert loss[0] == pytest.approx(partial_loss(first[0, ::-1], near, matches[0], usable[0], uniform[0], 0.4))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_negatives_are_never_neighbours_nor_the_token_itself_nor_background(seed):
    (anchor, _), places, usable, uniform = make_maps(seed)
    neighbours, valid = neighbourhoods(cosines(anchor, anchor), distances_between(places, places), usable, 5, "feature")

    triplets = intra_triplets(neighbours, valid, usable, uniform)

    for person, i, slot in np.argwhere(triplets.counted):
        far = triplets.far[person, i, slot]
        assert far != i
        assert far not in neighbours[person, i]
        assert usable[person, far]


def test_equal_maps_of_separated_clusters_cost_nothing_and_a_shuffled_one_does():
    # Four tight clusters of eight tokens; the five nearest of a token lie in its own cluster.
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.eye(4, 16), 8, axis=0) + 0.02 * rng.normal(size=(32, 16))
    tokens = (clusters / np.linalg.norm(clusters, axis=1, keepdims=True))[None]
    usable = np.ones((1, 32), dtype=bool)
    neighbours, valid = neighbourhoods(cosines(tokens, tokens), np.zeros((1, 32, 32)), usable, 7, "feature")
    triplets = intra_triplets(neighbours, valid, usable, rng.random((1, 32, 7)))

    loss, right = triplet_loss(cosines(tokens, tokens), triplets, 0.05)
    shuffled = tokens[:, rng.permutation(32)]
    worse, chance = triplet_loss(cosines(shuffled, shuffled), triplets, 0.05)

    assert loss[0] == 0
    assert right[0] == pytest.approx(1)
    assert worse[0] > 0.1
    assert chance[0] < 0.9


def test_the_gradient_of_the_hinge_is_the_numerical_one():
    maps, places, usable, uniform = make_maps(1, n_people=1)
    anchor, other = (torch.from_numpy(one) for one in maps)
    distances = distances_between(torch.from_numpy(places.copy()), torch.from_numpy(places.copy()))
    usable = torch.from_numpy(usable)
    neighbours, valid = neighbourhoods(anchor @ anchor.mT, distances, usable, 5, "feature")
    triplets = intra_triplets(neighbours, valid, usable, torch.from_numpy(uniform))

    assert torch.autograd.gradcheck(
        lambda tokens: triplet_loss(tokens @ tokens.mT, triplets, 0.05)[0], other.requires_grad_()
    )


def test_weights_of_anchors_weigh_their_triplets():
    maps, places, usable, uniform = make_maps(2, n_people=1)
    rows = cosines(maps[1], maps[1])
    neighbours, valid = neighbourhoods(
        cosines(maps[0], maps[0]), distances_between(places, places), usable, 5, "feature"
    )
    triplets = intra_triplets(neighbours, valid, usable, uniform)
    weight = np.zeros((1, 27))
    weight[0, [3, 8]] = 0.5, 1.5

    far, near = (np.take_along_axis(rows[0], of[0], axis=1) for of in (triplets.far, triplets.near))
    hinge = np.maximum(0, far - near + 0.05)
    counted = triplets.counted[0]
    expected = (weight[0][:, None] * hinge * counted).sum() / (weight[0][:, None] * counted).sum()
    assert triplet_loss(rows, triplets, 0.05, weight)[0][0] == pytest.approx(expected)


def test_no_usable_token_costs_nothing():
    maps, places, usable, uniform = make_maps(3)
    nobody = np.zeros_like(usable)
    neighbours, valid = neighbourhoods(cosines(maps[0], maps[0]), distances_between(places, places), nobody, 5)

    loss, right = triplet_loss(cosines(maps[1], maps[1]), intra_triplets(neighbours, valid, nobody, uniform), 0.05)

    assert (loss == 0).all()
    assert (right == 0).all()


def test_effective_rank_counts_directions_that_are_used_alike():
    assert effective_rank(np.eye(6, 9)) == pytest.approx(6)
    assert effective_rank(np.ones((5, 9))) == pytest.approx(1)
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))
    assert effective_rank(np.zeros((4, 3))) == 0


def test_monitors_tell_collapsed_tokens_from_spread_ones():
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(2000, 8))
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    collapsed = np.broadcast_to(spread[0], spread.shape)

    healthy, dead = collapse_monitors(spread), collapse_monitors(collapsed)

    pairs = spread @ spread.T
    assert healthy["token_cosine"] == pytest.approx(pairs[np.triu_indices(2000, k=1)].mean())
    assert healthy["token_std"] == pytest.approx(1, abs=0.01)
    assert healthy["effective_rank"] == pytest.approx(8, abs=0.1)
    assert dead == pytest.approx({"token_std": 0, "effective_rank": 1, "token_cosine": 1}, abs=1e-6)
    assert set(collapse_monitors(spread[:1]).values()) == {0.0}
