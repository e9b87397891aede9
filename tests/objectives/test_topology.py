from dataclasses import replace

import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch
from topology_oracle import intra_loss, mutual_matches, neighbours_of, partial_loss

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives import objectives
from napari_mmssl.objectives.cross_modal_triplet import CrossModalTriplet
from napari_mmssl.objectives.neighbourhood_alignment import NeighbourhoodAlignment
from napari_mmssl.objectives.topology_tokens import (
    FIRST,
    SECOND,
    body_shares,
    cell_centres,
    choose_level,
    draw_modalities,
    to_tokens,
    variance_hinge,
)
from napari_mmssl.randomness import counted_rng
from napari_mmssl.training.pretraining import resolve_objectives
from napari_mmssl.workflows.configure import read_recipe

SHAPE = (16, 16, 24)


def make(kind, **changes):
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", "tiny", 1)
    return kind(kind.settings_class(**({"level": 2} | changes)), encoder, VOCABULARY, SHAPE)


def make_features(objective, batch, seed=1):
    """Random features in float64 at the level that tokens come from: 4 x 4 x 6 cells of 4 voxels."""
    generator = torch.Generator().manual_seed(seed)
    grid = [-(-size // step) for size, step in zip(batch.volumes.shape[2:], objective.stride, strict=True)]
    pyramid = {}
    for name in (FIRST, SECOND):
        features = torch.randn(len(batch), 6, *grid, generator=generator, requires_grad=True)
        pyramid[name] = [None] * objective.level + [features]
    return pyramid


def as_arrays(pyramid):
    return [to_tokens(pyramid[name][-1].detach()).double().numpy() for name in (FIRST, SECOND)]


def places_of(batch, objective):
    grid = [size // step for size, step in zip(SHAPE, objective.stride, strict=True)]
    voxels = np.stack(np.meshgrid(*[np.arange(n) * 4 + 1.5 for n in grid], indexing="ij"), axis=-1).reshape(-1, 3)
    return voxels


def test_a_token_is_one_place_and_not_some_channels_of_all_places():
    features = torch.randn(2, 5, 3, 4, 2)
    changed = features.clone()
    changed[1, :, 2, 1, 0] += 1

    different = (to_tokens(features) != to_tokens(changed)).any(dim=2)

    assert torch.nonzero(different).tolist() == [[1, 2 * 8 + 1 * 2 + 0]]
    torch.testing.assert_close(to_tokens(features)[1, 18], features[1, :, 2, 1, 0])


@pytest.mark.parametrize("projector", [False, True])
def test_perturbing_one_cell_of_the_features_changes_exactly_one_token(projector):
    objective = make(CrossModalTriplet, projector=projector)
    batch = make_batch(SHAPE)
    width = objective.projector[0].in_features if projector else 16
    features = {name: [None, None, torch.randn(2, width, 4, 4, 6)] for name in (FIRST, SECOND)}
    before = objective.tokens(batch, features)
    features[FIRST][2] = features[FIRST][2].clone()
    features[FIRST][2][0, :, 1, 2, 3] += torch.randn(width)
    after = objective.tokens(batch, features)

    different = (before.first != after.first).any(dim=2)
    assert torch.nonzero(different).tolist() == [[0, 1 * 24 + 2 * 6 + 3]]
    assert torch.equal(before.second, after.second)


def test_tokens_lie_where_their_cells_are():
    batch = make_batch(SHAPE)
    affine = torch.tensor([[0.0, 0, 2, 5], [0, 2, 0, -3], [3, 0, 0, 1], [0, 0, 0, 1]], dtype=torch.float64)
    batch = replace(batch, patch_to_world=affine.repeat(2, 1, 1))
    objective = make(CrossModalTriplet)
    tokens = objective.tokens(batch, make_features(objective, batch))

    # Cell (1, 2, 3) holds voxels 4-7, 8-11, 12-15.
    assert tokens.places_mm[0, 1 * 24 + 2 * 6 + 3].tolist() == pytest.approx([13.5 * 2 + 5, 9.5 * 2 - 3, 5.5 * 3 + 1])
    assert tokens.body_places[1, 0].tolist() == pytest.approx([(1.5 * 2 + 5) / 20, (1.5 * 2 - 3) / 20, (4.5 + 1) / 20])
    assert tokens.cell_mm.tolist() == pytest.approx([(12 * 8 * 8) ** (1 / 3)] * 2)
    assert float(tokens.first.detach().norm(dim=2).max()) == pytest.approx(1)


def test_cells_at_the_far_end_count_the_voxels_they_have():
    foreground = torch.zeros(1, 5, 4, 4, dtype=torch.bool)
    foreground[0, 4, :2] = True

    assert body_shares(foreground, (4, 4, 4)).flatten().tolist() == [0.0, 0.5]
    assert cell_centres((2, 1, 1), (4, 4, 4)).tolist() == [[1.5, 1.5, 1.5], [5.5, 1.5, 1.5]]


def test_tokens_come_from_the_coarsest_level_that_has_enough():
    strides = ((1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 8))

    assert choose_level(strides, (32, 32, 32)) == 3
    assert choose_level(strides, (48, 48, 48)) == 3
    assert choose_level(strides, (18, 20, 22)) == 2
    assert choose_level(strides, (2, 2, 2)) == 0


def test_two_different_modalities_are_drawn_where_there_are_two_and_all_pairs_occur():
    batch = make_batch(samples=400, shape=(1, 1, 1), absent=[(n, 1) for n in range(100)] + [(0, 2)])
    drawn = draw_modalities(batch)

    assert drawn.first[0] == drawn.second[0] == 0
    assert all(first != second for first, second in zip(drawn.first[1:], drawn.second[1:], strict=True))
    assert {*drawn.first[1:100], *drawn.second[1:100]} == {0, 2}
    assert len(set(zip(drawn.first[100:], drawn.second[100:], strict=True))) == 6


@pytest.mark.parametrize("kind", ["feature", "spatial", "hybrid"])
def test_the_triplet_loss_equals_a_slow_loop_over_the_batch(kind):
    batch = make_batch(SHAPE, samples=3, absent=[(1, 0), (1, 2)])
    batch.foreground[2, :6] = False
    objective = make(CrossModalTriplet, neighbourhood=kind, radius=1.5, neighbours=4)
    pyramid = make_features(objective, batch)
    result = objective.losses(batch, objective.views(batch), pyramid)
    maps, places = as_arrays(pyramid), places_of(batch, objective) / 4
    usable = body_shares(batch.foreground, (4, 4, 4)).flatten(1).numpy() >= 0.05

    expected = []
    for n in (0, 2):  # the second person has one modality
        uniform = counted_rng(int(batch.seed[n]), purpose="topology/intra").random((2, len(places), 4))
        for direction in range(2):
            anchor, other = maps[direction][n], maps[1 - direction][n]
            near = [neighbours_of(i, anchor, places, usable[n], 4, kind, 1.5) for i in range(len(places))]
            expected.append(intra_loss(anchor, other, near, usable[n], uniform[direction], 0.05))

    assert usable.sum() == 3 * 96 - 24
    assert result.terms["triplet"].item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert result.metrics["intra_subjects"] == 2


def test_triplets_from_one_modality_teach_the_other_only():
    batch = make_batch(SHAPE, samples=1)
    objective = make(CrossModalTriplet)
    pyramid = make_features(objective, batch)
    tokens = objective.tokens(batch, pyramid)
    first = pyramid[FIRST][-1]

    # With the second map held fast, first -> second has nothing left to teach.
    held = replace(tokens, second=tokens.second.detach())
    (alone,) = torch.autograd.grad(objective._triplets(batch, held, [0])[0], first, retain_graph=True)
    (whole,) = torch.autograd.grad(objective._triplets(batch, tokens, [0])[0], first)

    assert alone.abs().max() > 0
    torch.testing.assert_close(alone, whole)


def test_people_with_one_modality_alone_cost_exactly_nothing():
    batch = make_batch(SHAPE, absent=[(n, c) for n in range(2) for c in (0, 2)])
    objective = make(CrossModalTriplet)
    pyramid = make_features(objective, batch)
    result = objective.losses(batch, objective.views(batch), pyramid)
    result.terms["triplet"].backward()

    assert result.terms["triplet"].item() == 0
    assert result.metrics["intra_subjects"] == 0
    assert pyramid[FIRST][-1].grad.abs().max() == 0


@pytest.mark.parametrize("reach", [0.0, 0.4])
def test_the_alignment_loss_equals_a_slow_loop_over_pairs(reach):
    batch = make_batch(SHAPE, samples=3)
    batch.foreground[1, :, :6] = False
    batch.patch_to_world[2, :3, 3] = torch.tensor([3.0, -2.0, 1.0])
    objective = make(NeighbourhoodAlignment, least_cosine=0.3, reach=reach, neighbourhood="feature", pairs=4)
    pyramid = make_features(objective, batch)
    views = objective.views(batch)
    result = objective.losses(batch, views, pyramid)
    (first, second), voxels = as_arrays(pyramid), places_of(batch, objective)
    usable = body_shares(batch.foreground, (4, 4, 4)).flatten(1).numpy() >= 0.05
    body = [(voxels + batch.patch_to_world[n, :3, 3].numpy()) / 20 for n in range(3)]
    near = {
        (which, n): [neighbours_of(i, tokens[n], voxels, usable[n], 5, "feature", 9) for i in range(len(voxels))]
        for which, tokens in (("first", first), ("second", second))
        for n in range(3)
    }

    pairs = objective.pairs(batch, views.memory)
    expected, n_matched, n_same, n_usable = [], 0, 0, 0
    for p, q in pairs:
        apart = np.linalg.norm(body[p][:, None] - body[q][None], axis=2)
        allowed = usable[p][:, None] & usable[q][None] & ((apart <= reach) if reach else True)
        there = mutual_matches(first[p], second[q], allowed, 0.3)
        back = np.array([list(there).index(u) if u in there else -1 for u in range(len(voxels))])
        uniform = counted_rng(*batch.seed[[p, q]].tolist(), purpose="topology/inter").random((2, len(voxels), 5))
        expected.append(partial_loss(second[q], near["first", p], there, usable[q], uniform[0], 0.4))
        expected.append(partial_loss(first[p], near["second", q], back, usable[p], uniform[1], 0.4))
        n_matched += 2 * (there >= 0).sum()
        n_usable += usable[p].sum() + usable[q].sum()

        n_same += 2 * (there == np.arange(len(voxels))).sum()

    assert len(pairs) == 4
    assert min(expected) > 0
    assert result.metrics["inter_same_cell"] == pytest.approx(n_same / n_matched)
    assert result.terms["alignment"].item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert result.metrics["inter_matched"] == pytest.approx(n_matched / n_usable)


def test_pairs_are_of_different_people_by_name():
    batch = replace(make_batch(SHAPE, samples=4), subject=("a", "b", "a", "a"))
    objective = make(NeighbourhoodAlignment, pairs=100)
    drawn = draw_modalities(batch)

    assert objective.pairs(batch, drawn) == [(0, 1), (1, 0), (1, 2), (1, 3), (2, 1), (3, 1)]
    apart = make(NeighbourhoodAlignment, pairs=100, same_modality=False).pairs(batch, drawn)
    assert all(drawn.first[p] != drawn.second[q] for p, q in apart)


def test_no_more_pairs_are_drawn_than_asked_for_and_other_steps_draw_others():
    batch = make_batch(SHAPE, samples=5)
    objective = make(NeighbourhoodAlignment, pairs=3)
    drawn = draw_modalities(batch)
    chosen = set()
    for seed in range(60):
        batch.seed[0] = seed
        assert len(objective.pairs(batch, drawn)) == 3
        chosen |= set(objective.pairs(batch, drawn))

    assert len(chosen) == 20


@pytest.mark.parametrize("subjects", [("a",), ("a", "a", "a")])
def test_a_batch_of_one_person_costs_exactly_nothing_and_says_so(subjects):
    batch = replace(make_batch(SHAPE, samples=len(subjects)), subject=subjects)
    objective = make(NeighbourhoodAlignment)
    pyramid = make_features(objective, batch)
    views = objective.views(batch)
    result = objective.losses(batch, views, pyramid)
    result.terms["alignment"].backward()
    items, details = objective.picture(batch, views, pyramid)

    assert result.terms["alignment"].item() == 0
    assert result.metrics["inter_pairs"] == 0
    assert [item.name for item in items] == ["first", "matches", "unmatched"]
    assert len(details["cases"]) == 1


def test_people_whose_bodies_show_different_places_are_not_matched():
    batch = make_batch(SHAPE)
    batch.patch_to_world[1, 2, 3] = 100.0
    objective = make(NeighbourhoodAlignment, least_cosine=-1)
    result = objective.losses(batch, objective.views(batch), make_features(objective, batch))

    assert result.terms["alignment"].item() == 0
    assert result.metrics["inter_pairs"] == 2
    assert result.metrics["inter_matched"] == 0


def test_a_mirrored_patch_is_matched_by_where_it_lies_in_the_body():
    batch = make_batch(SHAPE)
    mirror = torch.diag(torch.tensor([1.0, 1, -1, 1], dtype=torch.float64))
    mirror[2, 3] = SHAPE[2] - 1
    batch.patch_to_world[1] = mirror
    objective = make(NeighbourhoodAlignment, reach=0.01, least_cosine=-1)
    tokens = objective.tokens(batch, make_features(objective, batch))
    matches = objective.match(tokens, [(0, 1)]).matches[0].reshape(4, 4, 6)

    expected = torch.arange(96).reshape(4, 4, 6).flip(2)
    assert torch.equal(matches, expected)


@pytest.mark.parametrize("matching", ["mutual", "transport", "nearest"])
def test_equal_people_are_matched_token_by_token(matching):
    batch = make_batch(SHAPE)
    objective = make(NeighbourhoodAlignment, matching=matching, least_cosine=0.9, temperature=0.01)
    pyramid = make_features(objective, batch)
    pyramid[SECOND][-1] = pyramid[FIRST][-1].flip(0)
    tokens = objective.tokens(batch, pyramid)
    found = objective.match(tokens, [(0, 1), (1, 0)])

    assert torch.equal(found.matches, torch.arange(96).repeat(4, 1))
    assert found.mass.min() > 0.5


def test_constant_features_show_in_the_monitors_and_in_the_guard():
    batch = make_batch(SHAPE)
    objective = make(CrossModalTriplet, variance_weight=2.0)
    healthy = make_features(objective, batch)
    dead = {name: [None, None, torch.ones_like(levels[-1])] for name, levels in healthy.items()}
    views = objective.views(batch)
    good, bad = objective.losses(batch, views, healthy), objective.losses(batch, views, dead)

    assert good.metrics["intra_effective_rank"] > 5.5
    assert bad.metrics["intra_effective_rank"] == pytest.approx(1, abs=1e-3)
    assert bad.metrics["intra_token_std"] == pytest.approx(0, abs=1e-6)
    assert bad.metrics["intra_token_cosine"] == pytest.approx(1, abs=1e-6)
    assert bad.terms["variance"].item() == pytest.approx(2, abs=0.02)
    assert good.terms["variance"].item() < 0.2


def test_the_guard_pushes_tokens_apart_and_is_off_by_default():
    tokens = torch.nn.functional.normalize(1 + 0.01 * torch.randn(50, 6, dtype=torch.float64), dim=1).requires_grad_()
    hinge = variance_hinge(tokens)
    hinge.backward()
    moved = torch.nn.functional.normalize(tokens.detach() - 10 * tokens.grad, dim=1)

    assert variance_hinge(moved) < hinge
    assert set(make(CrossModalTriplet).guard(None)) == set()


def test_the_picture_of_matches_draws_lines_between_places_in_the_world():
    batch = make_batch(SHAPE)
    batch.patch_to_world[:, :3, :3] = torch.tensor([[0.0, 0, 2], [0, 2, 0], [2, 0, 0]], dtype=torch.float64)
    batch.patch_to_world[1, :3, 3] = torch.tensor([4.0, 1.0, 6.0])
    batch.body_box_mm[:, 1] = 48
    objective = make(NeighbourhoodAlignment, least_cosine=-1, reach=0.3)
    views = objective.views(batch)
    pyramid = make_features(objective, batch)
    items, details = objective.picture(batch, views, pyramid)
    shown = {item.name: item for item in items}
    matches = objective.match(objective.tokens(batch, pyramid), [(0, 1)]).matches[0].numpy()
    voxels = places_of(batch, objective)

    ends = [
        np.concatenate([one, np.ones((len(one), 1))], axis=1) @ shown["matches"].affine.T
        for one in shown["matches"].array.transpose(1, 0, 2)
    ]
    moved = np.array(details["second_moved_mm"])
    second = np.concatenate([voxels, np.ones((96, 1))], axis=1) @ batch.patch_to_world[1].numpy().T
    matched = np.flatnonzero(matches >= 0)
    assert len(matched) > 10
    np.testing.assert_allclose(ends[1][:, :3], second[matches[matched], :3] + moved)
    np.testing.assert_array_equal(shown["matches"].array[:, 0], voxels[matched])
    assert moved[1] == moved[2] == 0
    # The first patch ends at 47 mm, the second begins 10 mm further on.
    assert shown["second"].affine[0, 3] - 1 == pytest.approx(47 + 10)


@pytest.mark.parametrize("name", ["taco2026", "taco2026_released"])
def test_both_recipes_hold_the_weights_and_margins_of_the_release(name):
    resolved = resolve_objectives(read_recipe(name)[0]["objectives"])
    rebuilt, intra, inter = (
        resolved[key] for key in ("auto_encoding", "cross_modal_triplet", "neighbourhood_alignment")
    )

    assert (rebuilt[0].weight, intra[0].weight, inter[0].weight) == (1, 10, 10)
    assert (intra[1].margin, inter[1].margin) == (0.05, 0.4)
    assert intra[1].neighbours == inter[1].neighbours == 5
    assert inter[1].pairs == 6
    released = name.endswith("released")
    assert (inter[1].reach == 0 and inter[1].least_cosine == -1) == released
    assert (intra[1].neighbourhood == inter[1].neighbourhood == "feature") == released


def test_transport_weighs_matches_by_their_mass_and_teaches():
    batch = make_batch(SHAPE)
    objective = make(NeighbourhoodAlignment, matching="transport", least_cosine=0.2, reach=0.0)
    pyramid = make_features(objective, batch)
    tokens = objective.tokens(batch, pyramid)
    found = objective.match(tokens, [(0, 1)])
    result = objective.losses(batch, objective.views(batch), pyramid)
    result.terms["alignment"].backward()

    there, back = found.matches
    matched = torch.nonzero(there >= 0).flatten()
    assert len(matched) > 10
    assert torch.equal(back[there[matched]], matched)
    assert ((found.mass > 0) == (found.matches >= 0)).all()
    assert found.mass.max() <= 1.001
    assert result.terms["alignment"].item() > 0
    assert all(pyramid[name][-1].grad.abs().max() > 0 for name in (FIRST, SECOND))


@pytest.mark.parametrize(("kind", "prefix"), [(CrossModalTriplet, "intra"), (NeighbourhoodAlignment, "inter")])
def test_equal_tokens_and_a_fallen_rank_are_warned_of_and_healthy_ones_are_not(kind, prefix):
    batch = make_batch(SHAPE)
    objective = make(kind)
    pyramid = make_features(objective, batch)
    healthy = objective.losses(batch, objective.views(batch), pyramid).metrics
    for name in (FIRST, SECOND):
        pyramid[name][-1] = torch.ones_like(pyramid[name][-1])
    equal = objective.losses(batch, objective.views(batch), pyramid).metrics
    halved = healthy | {f"{prefix}_effective_rank": 0.4 * healthy[f"{prefix}_effective_rank"]}

    assert objective.warning(healthy, healthy) is None
    assert objective.warning({}, healthy) is None
    assert "are collapsing" in objective.warning(equal, equal)
    assert f"tokens of '{objective.name}' are collapsing" in objective.warning(healthy, halved)


def test_an_objective_warns_under_the_name_it_is_registered_by():
    for kind in (CrossModalTriplet, NeighbourhoodAlignment):
        assert objectives.get(kind.name) is kind
