import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates
from topology_oracle import mutual_matches

from napari_mmssl.ops.correspondence import every_nearest, invert_matches, match_plan, mutual_nearest, transport_plan
from napari_mmssl.ops.neighbours import distances_between


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def all_pairs(n, m):
    return np.ones((n, m), dtype=bool)


def plan_of(similarity, usable_first=None, usable_second=None, allowed=None, **changes):
    n, m = similarity.shape[-2:]
    return transport_plan(
        similarity,
        np.ones(n, dtype=bool) if usable_first is None else usable_first,
        np.ones(m, dtype=bool) if usable_second is None else usable_second,
        allowed=all_pairs(n, m) if allowed is None else allowed,
        **changes,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), m=st.integers(1, 12), ratio=st.sampled_from([1.0, 0.9, 0.6]))
def test_mutual_matches_equal_brute_force_and_are_one_to_one(seed, n, m, ratio):
    rng = np.random.default_rng(seed)
    first, second = unit(rng.normal(size=(n, 4))), unit(rng.normal(size=(m, 4)))
    allowed = rng.random((n, m)) < 0.7

    matches = mutual_nearest(first @ second.T, allowed, 0.2, ratio)

    np.testing.assert_array_equal(matches, mutual_matches(first, second, allowed, 0.2, ratio))
    kept = matches[matches >= 0]
    assert len(set(kept.tolist())) == len(kept)
    assert allowed[np.flatnonzero(matches >= 0), kept].all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_matching_from_the_other_side_gives_the_same_pairs(seed):
    similarity = np.random.default_rng(seed).normal(size=(9, 7))
    matches = mutual_nearest(similarity, all_pairs(9, 7), -9.0, 1.0)

    np.testing.assert_array_equal(invert_matches(matches, 7), mutual_nearest(similarity.T, all_pairs(7, 9), -9.0, 1.0))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 20))
def test_equal_features_match_themselves_either_way(seed, n):
    tokens = unit(np.random.default_rng(seed).normal(size=(n, 16)))
    similarity = tokens @ tokens.T

    np.testing.assert_array_equal(mutual_nearest(similarity, all_pairs(n, n), 0.5), np.arange(n))
    matches, mass = match_plan(plan_of(similarity, dustbin=0.95, temperature=0.005))
    np.testing.assert_array_equal(matches, np.arange(n))
    assert mass.min() > 0.5


def test_without_partiality_every_token_that_may_be_matched_is():
    rng = np.random.default_rng(5)
    similarity, allowed = rng.normal(size=(3, 6, 4)), rng.random((3, 6, 4)) < 0.5

    matches = every_nearest(similarity, allowed)

    for row, may, match in zip(similarity.reshape(-1, 4), allowed.reshape(-1, 4), matches.ravel(), strict=True):
        best = max((n for n in range(4) if may[n]), key=lambda n: row[n], default=-1)
        assert match == best
    # Every mutual match is one of them.
    mutual = mutual_nearest(similarity, allowed)
    np.testing.assert_array_equal(mutual[mutual >= 0], matches[mutual >= 0])
    assert (mutual < 0).sum() > (matches < 0).sum()


def test_a_plan_keeps_its_masses_and_gives_none_to_unusable_tokens():
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-1, 1, (3, 8, 6))
    usable_first, usable_second = rng.random((3, 8)) < 0.7, rng.random((3, 6)) < 0.7
    allowed = rng.random((3, 8, 6)) < 0.8

    plan = plan_of(similarity, usable_first, usable_second, allowed, temperature=0.1, n_iterations=200)

    np.testing.assert_allclose(plan[:, :-1].sum(axis=2), usable_first, atol=1e-6)
    np.testing.assert_allclose(plan[:, :, :-1].sum(axis=1), usable_second, atol=1e-6)
    np.testing.assert_allclose(plan[:, -1].sum(axis=1), usable_second.sum(axis=1), atol=1e-6)
    assert plan[:, :-1, :-1][~allowed].max() == 0


def test_a_plan_is_the_best_one():
    """The gradient of the objective is equal along every way of moving mass round a rectangle of the plan."""
    rng = np.random.default_rng(1)
    similarity = rng.uniform(-1, 1, (5, 4))
    plan = plan_of(similarity, dustbin=0.3, temperature=0.2, n_iterations=2000)
    scores = np.pad(similarity, (0, 1), constant_values=0.3)
    gradient = scores - 0.2 * np.log(plan)

    rectangles = gradient[:, None, :, None] + gradient[None, :, None, :]
    rectangles = rectangles - rectangles.transpose(0, 1, 3, 2)
    np.testing.assert_allclose(rectangles, 0, atol=1e-8)


def test_tokens_less_alike_than_the_dustbin_stay_unmatched():
    similarity = np.array([[0.9, 0.1], [0.1, 0.4]])
    matches, mass = match_plan(plan_of(similarity, dustbin=0.5, temperature=0.01))

    np.testing.assert_array_equal(matches, [0, -1])
    assert mass[1] == 0


def test_no_usable_token_gives_an_empty_plan_and_no_match():
    nobody = np.zeros(4, dtype=bool)
    plan = plan_of(np.ones((4, 4)), nobody, nobody, np.zeros((4, 4), dtype=bool))

    assert plan.max() == 0
    assert (match_plan(plan)[0] == -1).all()


def test_torch_gives_the_same_plan_and_matches():
    similarity = np.random.default_rng(2).uniform(-1, 1, (2, 6, 5))
    usable = np.ones((2, 6), dtype=bool), np.ones((2, 5), dtype=bool)
    allowed = np.ones((2, 6, 5), dtype=bool)
    tensors = [torch.from_numpy(array) for array in (similarity, *usable, allowed)]

    plan = transport_plan(similarity, *usable, allowed=allowed)
    as_tensor = transport_plan(*tensors[:3], allowed=tensors[3])

    np.testing.assert_allclose(plan, as_tensor.numpy(), rtol=1e-10)
    np.testing.assert_array_equal(match_plan(plan)[0], match_plan(as_tensor)[0].numpy())


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature"):
        plan_of(np.ones((2, 2)), temperature=0)


def deformed_tokens(rng, size=32, cells=8, width=24):
    """One smooth anatomy with position features, and a copy bent by up to about two cells, as unit tokens."""
    features = np.stack([gaussian_filter(rng.normal(size=(size,) * 3), 4, mode="nearest") for _ in range(width)])
    features /= features.std(axis=(1, 2, 3), keepdims=True)
    bend = np.stack([gaussian_filter(rng.normal(size=(size,) * 3), 6, mode="nearest") for _ in range(3)])
    bend *= 10 / np.abs(bend).max()
    places = np.stack(np.meshgrid(*[np.arange(float(size))] * 3, indexing="ij")) + bend
    copy = np.stack([map_coordinates(channel, places, order=1, mode="nearest") for channel in features])
    cut = slice(size // cells // 2, None, size // cells)
    tokens = [unit(one[:, cut, cut, cut].reshape(width, -1).T) for one in (features, copy)]
    centres = np.stack(np.meshgrid(*[np.arange(float(cells))] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    truth = centres + bend[:, cut, cut, cut].reshape(3, -1).T * cells / size
    return tokens, centres, truth


@pytest.mark.parametrize("matching", ["mutual", "transport"])
def test_matches_between_two_deformed_anatomies_land_within_one_cell(matching):
    (first, second), centres, truth = deformed_tokens(np.random.default_rng(4))
    similarity = second @ first.T
    allowed = distances_between(centres, centres) <= 3

    if matching == "mutual":
        matches = mutual_nearest(similarity, allowed, 0.5)
    else:
        matches, _ = match_plan(plan_of(similarity, allowed=allowed))

    # Token n of the bent copy shows what lies at truth[n] in the anatomy.
    matched = np.flatnonzero(matches >= 0)
    apart = np.linalg.norm(centres[matches[matched]] - truth[matched], axis=1)
    assert np.linalg.norm(truth - centres, axis=1).max() > 1.7
    assert len(matched) > 0.4 * len(first)
    assert (apart <= 1).mean() > 0.8
