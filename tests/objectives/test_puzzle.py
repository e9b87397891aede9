import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch

from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives import objectives
from napari_mmssl.objectives.puzzle import Puzzle, PuzzleSettings
from napari_mmssl.ops.permutations import as_matrix


def make(**changes):
    torch.manual_seed(0)
    settings = PuzzleSettings(**({"grid": (2, 2, 2), "jitter": 1} | changes))
    return Puzzle(settings, build_encoder("residual_unet", "tiny", 1), VOCABULARY, (18, 20, 22))


def losses_for(puzzle, batch, scores_of):
    """Losses when the head gives the scores that ``scores_of`` makes of the true permutation."""
    views = puzzle.views(batch)
    scores = torch.from_numpy(np.stack([scores_of(draw.perm) for draw in views.memory.draws])).float()
    puzzle.scores = lambda _puzzles, _features: scores
    return puzzle.losses(batch, views, {}), views


def test_a_perfect_answer_costs_nothing_and_the_transposed_one_does():
    right, _ = losses_for(make(), make_batch(), lambda perm: as_matrix(perm) * 1e3)
    turned, _ = losses_for(make(), make_batch(), lambda perm: as_matrix(perm).T * 1e3)

    assert float(right.terms["reconstruction"]) < 1e-9
    assert float(right.terms["matching"]) < 1e-6
    assert right.metrics["tile_accuracy"] == right.metrics["solved"] == right.metrics["kendall_tau"] == 1
    assert float(turned.terms["reconstruction"]) > 0.1
    assert turned.metrics["tile_accuracy"] < 1


def test_losses_equal_a_slow_loop_from_the_formulas():
    batch = make_batch()
    batch.foreground[0, :9] = False  # the lower half of one body is missing
    rng = np.random.default_rng(0)
    puzzle = make(temperature=0.7, rounds=30)
    result, views = losses_for(puzzle, batch, lambda perm: rng.normal(size=(8, 8)) + 2 * as_matrix(perm))
    scores = puzzle.scores(None, None).double().numpy()

    reconstruction, matching = 0.0, 0.0
    for sample, draw in enumerate(views.memory.draws):
        ordered = views.memory.ordered[sample].double().numpy()
        soft = np.exp(scores[sample] / 0.7)
        for _ in range(30):
            soft /= soft.sum(axis=1, keepdims=True)
            soft /= soft.sum(axis=0, keepdims=True)
        counted = [place for place in range(8) if views.memory.body[sample, place] >= 0.05]
        for place in counted:
            restored = sum(soft[n, place] * ordered[draw.perm[n]] for n in range(8))
            reconstruction += ((restored - ordered[place]) ** 2).mean() / len(counted) / 2
            tile = int(np.flatnonzero(draw.perm == place)[0])
            matching -= np.log(soft[tile, place]) / len(counted) / 2

    assert 4 <= len(counted) <= 8
    assert float(result.terms["reconstruction"]) == pytest.approx(reconstruction, rel=1e-4)
    assert float(result.terms["matching"]) == pytest.approx(matching, rel=1e-4)


def test_tile_accuracy_counts_places_with_body_only():
    batch = make_batch(samples=1)
    batch.foreground[:, :, :, :11] = False

    def swap_two_empty_places(perm):
        places = perm.copy()
        empty = [n for n, place in enumerate(perm) if place % 2 == 0][:2]
        places[empty] = places[empty[::-1]]
        return as_matrix(places) * 9

    result, _ = losses_for(make(), batch, swap_two_empty_places)

    assert result.metrics["tile_accuracy"] == 1
    assert result.metrics["kendall_tau"] < 1


def test_puzzles_that_are_all_but_solved_are_told_of():
    classification = objectives.get("permutation_classification")
    arm = classification(
        classification.settings_class(grid=(2, 2, 2)),
        build_encoder("residual_unet", "tiny", 1),
        VOCABULARY,
        (18, 20, 22),
    )
    for objective, name, metric in (
        (make(), "puzzle", "tile_accuracy"),
        (arm, "permutation_classification", "fixed_set_tile_accuracy"),
    ):
        batch = make_batch()
        views = objective.views(batch)
        features = {name: [torch.randn(len(view), 64, 1, 1, 1)] for name, view in views.inputs.items()}
        before = objective.losses(batch, views, features).metrics
        assert objective.warning(before, before) is None
        assert objective.warning(before, before | {metric: 0.89}) is None
        assert f"puzzles of '{name}' are all but solved" in objective.warning(before, before | {metric: 0.95})


def test_the_answer_does_not_depend_on_the_order_in_which_tiles_are_given():
    puzzle = make().eval()
    batch = make_batch(samples=1)
    views = puzzle.views(batch)
    features = {"puzzle/tiles": [torch.randn(8, 64, 1, 1, 1)]}
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    scores = puzzle.scores(views.memory, features)[0]
    moved = puzzle.scores(views.memory, {"puzzle/tiles": [features["puzzle/tiles"][0][order]]})[0]

    torch.testing.assert_close(moved, scores[order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("weight", ["reconstruction_weight", "matching_weight"])
def test_a_term_of_weight_zero_is_left_out(weight):
    result, _ = losses_for(make(**{weight: 0}), make_batch(), as_matrix)

    assert list(result.terms) == [{"reconstruction_weight": "matching", "matching_weight": "reconstruction"}[weight]]


def test_gumbel_noise_is_off_in_evaluation_and_repeatable_in_training():
    puzzle = make(gumbel_noise=1.0)
    batch = make_batch()
    scores = torch.zeros(2, 8, 8)

    noisy = puzzle._with_noise(scores, batch)
    assert torch.equal(noisy, puzzle._with_noise(scores, batch))
    assert noisy.std() > 0.5
    assert torch.equal(puzzle.eval()._with_noise(scores, batch), scores)


def test_thick_slices_can_be_left_uncut():
    puzzle = make(grid=(1, 3, 3))

    assert puzzle.views(make_batch((20, 30, 30))).inputs["puzzle/tiles"].shape == (18, 1, 20, 9, 9)


@pytest.mark.parametrize(
    ("grid", "shape"),
    [((2, 2, 2), (18, 20, 22)), ((5, 4, 3), (20, 21, 22)), ((4, 4, 4), (18, 20, 22)), ((1, 5, 5), (7, 25, 25))],
)
@pytest.mark.parametrize("mode", ["mixed", "pair", "single"])
def test_any_grid_from_two_to_five_and_any_mode_teaches(grid, shape, mode):
    encoder = build_encoder("residual_unet", "tiny", 1)
    puzzle = Puzzle(PuzzleSettings(grid=grid, mode=mode, jitter=1, gumbel_noise=0.5), encoder, VOCABULARY, shape)
    batch = make_batch(shape)
    views = puzzle.views(batch)

    losses = puzzle.losses(batch, views, {name: encoder(tensor) for name, tensor in views.inputs.items()})
    sum(losses.terms.values()).backward()

    assert len(views.memory.draws[0].perm) == np.prod(grid)
    assert len(set(views.memory.draws[0].modality)) in {"mixed": (2, 3), "pair": (2,), "single": (1,)}[mode]
    assert float(encoder.stem.weight.grad.abs().max()) > 0
    assert losses.metrics["doubly_stochastic_error"] < 0.05


def test_gumbel_noise_makes_the_likeliest_place_win_as_often_as_its_score_says():
    puzzle = make(gumbel_noise=1.0)
    scores = torch.tensor([0.0, 1.0, 2.0, -1.0]).expand(1, 40_000, 4)

    winners = puzzle._with_noise(scores, make_batch()).argmax(dim=2)

    # The maximum of scores with Gumbel noise falls on each with the probability of its softmax.
    often = torch.bincount(winners.flatten(), minlength=4) / winners.numel()
    torch.testing.assert_close(often, torch.softmax(scores[0, 0], dim=0), atol=0.01, rtol=0)
