"""The baselines against slow loops: classified permutations, SwinUNETR's three, Models Genesis."""

import math

import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch

from napari_mmssl.config import resolve
from napari_mmssl.errors import ConfigError
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives.genesis_restoration import GenesisRestoration
from napari_mmssl.objectives.permutation_classification import PermutationClassification
from napari_mmssl.objectives.rotation_inpainting_contrast import RotationInpaintingContrast

SHAPE = (18, 20, 22)


def make(kind, shape=SHAPE, **changes):
    torch.manual_seed(0)
    encoder = build_encoder("residual_unet", "tiny", 1)
    return encoder, kind(kind.settings_class(**changes), encoder, VOCABULARY, shape)


def encode(encoder, views):
    with torch.no_grad():
        return {name: encoder(tensor) for name, tensor in views.inputs.items()}


def test_classified_permutations_come_from_the_fixed_set_and_the_loss_is_the_cross_entropy():
    _, objective = make(PermutationClassification, grid=(2, 2, 2), permutations=10, jitter=1)
    batch = make_batch(samples=3)
    views = objective.views(batch)
    scores = torch.randn(3, 10)
    objective.scores = lambda _puzzles, _features: scores

    losses = objective.losses(batch, views, {})

    known = [tuple(perm) for perm in objective.permutations]
    slow, right = 0.0, 0
    for row, draw in zip(scores.double().tolist(), views.memory.draws, strict=True):
        truth = known.index(tuple(draw.perm))
        slow -= math.log(math.exp(row[truth]) / sum(math.exp(score) for score in row)) / 3
        right += int(np.argmax(row)) == truth
    assert float(losses.terms["classification"]) == pytest.approx(slow, rel=1e-5)
    assert losses.metrics["permutation_accuracy"] == pytest.approx(right / 3)


def test_the_tiles_of_a_classified_puzzle_are_counted_like_those_of_the_other():
    _, objective = make(PermutationClassification, grid=(2, 2, 2), permutations=10, jitter=1)
    batch = make_batch(samples=1)
    views = objective.views(batch)
    perm = views.memory.draws[0].perm
    for answer, known in enumerate(objective.permutations):
        objective.scores = lambda _puzzles, _features, answer=answer: torch.eye(10)[[answer]] * 9
        accuracy = objective.losses(batch, views, {}).metrics["fixed_set_tile_accuracy"]
        assert accuracy == pytest.approx(float((known == perm).mean()))


def test_a_grid_with_too_few_permutations_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="2 tiles has fewer than 100 permutations"):
        resolve(PermutationClassification.settings_class, {"grid": [1, 1, 2]})


def test_genesis_loss_is_the_mean_squared_error_and_the_gain_compares_with_the_distortion():
    encoder, objective = make(GenesisRestoration)
    batch = make_batch()
    batch.foreground[0, :9] = False
    views = objective.views(batch)
    features = encode(encoder, views)
    with torch.no_grad():
        losses, answer = objective.losses(batch, views, features), objective.restore(features)

    target, given = views.memory.target.double(), views.memory.given.double()
    body = batch.foreground.unsqueeze(1)
    after = ((answer.double() - target)[body] ** 2).mean()
    before = ((given - target)[body] ** 2).mean()
    assert float(losses.terms["error"]) == pytest.approx(float(((answer.double() - target) ** 2).mean()), rel=1e-5)
    assert losses.metrics["genesis_gain"] == pytest.approx(float(1 - after / before), rel=1e-4)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({"intensity": 0, "shuffle": 0, "paint": 0}, "nothing done"),
        ({"intensity": 1, "shuffle": 0, "paint": 0}, "intensities bent"),
        ({"intensity": 0, "shuffle": 1, "paint": 0}, "voxels shuffled"),
        ({"intensity": 0, "shuffle": 0, "paint": 1, "inner": 1}, "boxes painted"),
        ({"intensity": 0, "shuffle": 0, "paint": 1, "inner": 0}, "surroundings painted"),
    ],
)
def test_each_distortion_can_be_had_alone(probabilities, expected):
    _, objective = make(GenesisRestoration, **probabilities)
    distorted = objective.views(make_batch()).memory

    assert distorted.done == [expected] * 2
    changed = (distorted.given != distorted.target).float().mean()
    assert (changed == 0) == (expected == "nothing done")
    if "painted" in expected:
        assert changed <= 0.25
    if expected == "voxels shuffled":
        assert torch.equal(distorted.given.flatten(1).sort().values, distorted.target.flatten(1).sort().values)


def test_the_three_terms_equal_slow_loops():
    encoder, objective = make(
        RotationInpaintingContrast, rotation_weight=0.5, inpainting_weight=2, contrast_weight=3, temperature=0.7
    )
    batch = make_batch(samples=3)
    views = objective.views(batch)
    features = encode(encoder, views)
    with torch.no_grad():
        losses = objective.losses(batch, views, features)

    pooled = [features[name][-1].double().mean(dim=(2, 3, 4)) for name in views.inputs]
    heads = objective.double()
    rotation, contrast, projected = 0.0, 0.0, []
    for view, rows in enumerate(pooled):
        for sample, row in enumerate(rows):
            scores = heads.rotation(row).tolist()
            truth = int(views.memory.turns[view, sample])
            rotation -= math.log(math.exp(scores[truth]) / sum(map(math.exp, scores))) / 6
            unit = heads.projection(row)
            projected.append(unit / unit.norm())
    for i, one in enumerate(projected):
        scores = {k: math.exp(float(one @ other) / 0.7) for k, other in enumerate(projected) if k != i}
        contrast -= math.log(scores[(i + 3) % 6] / sum(scores.values())) / 6
    painted = [objective.decoder(features[name][-1].double(), (18, 20, 20)) for name in views.inputs]
    inpainting = sum(float((p - t).abs().mean()) for p, t in zip(painted, views.memory.target, strict=True)) / 2

    assert float(losses.terms["rotation"]) == pytest.approx(0.5 * rotation, rel=1e-4)
    assert float(losses.terms["inpainting"]) == pytest.approx(2 * inpainting, rel=1e-4)
    assert float(losses.terms["contrast"]) == pytest.approx(3 * contrast, rel=1e-4)
    judged = ~views.memory.kept & views.memory.body
    after, before = ((torch.stack(painted) - views.memory.target)[judged], views.memory.target[judged])
    assert losses.metrics["inpainting_gain"] == pytest.approx(float(1 - after.abs().mean() / before.abs().mean()), 1e-4)


def test_views_are_the_middle_turned_and_hidden_in_blocks():
    _, objective = make(RotationInpaintingContrast, block=(4, 4, 4), hidden_share=0.3)
    batch = make_batch()
    rotated = objective.views(batch).memory

    for view in range(2):
        for sample, channel in enumerate(rotated.channel):
            middle = batch.volumes[sample, channel, :, :, 1:21]
            turned = torch.rot90(middle, int(rotated.turns[view, sample]), (1, 2))
            assert torch.equal(rotated.target[view, sample, 0], turned)
    hidden = 1 - rotated.kept.float().mean(dim=(2, 3, 4, 5))
    assert ((hidden > 0.2) & (hidden < 0.4)).all()
    assert torch.equal(rotated.given[~rotated.kept], torch.zeros(int((~rotated.kept).sum())))


@pytest.mark.parametrize("task", ["rotation", "inpainting", "contrast"])
def test_a_task_of_weight_zero_has_no_head_and_no_term(task):
    encoder, objective = make(RotationInpaintingContrast, **{f"{task}_weight": 0})
    batch = make_batch()
    views = objective.views(batch)

    losses = objective.losses(batch, views, encode(encoder, views))

    assert set(losses.terms) == {"rotation", "inpainting", "contrast"} - {task}
    head = {"rotation": "rotation", "inpainting": "decoder", "contrast": "projection"}[task]
    assert not any(name.startswith(head) for name, _ in objective.named_parameters())


def test_three_tasks_of_weight_zero_are_refused():
    with pytest.raises(ConfigError, match="give one of them more"):
        resolve(
            RotationInpaintingContrast.settings_class,
            {"rotation_weight": 0, "inpainting_weight": 0, "contrast_weight": 0},
        )
