"""The objectives that hide blocks, and the contrast of their views."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from patch_batches import VOCABULARY, make_batch

from napari_mmssl.errors import ConfigError
from napari_mmssl.networks.encoders import build_encoder
from napari_mmssl.objectives import objectives

SHAPE = (18, 20, 22)
RECONSTRUCTIONS = ("masked_reconstruction", "cross_modal_reconstruction", "template_distillation")


def make(name, **changes):
    torch.manual_seed(0)
    chosen = objectives.get(name)
    return chosen(chosen.settings_class(**changes), build_encoder("residual_unet", "tiny", 1), VOCABULARY, SHAPE)


def joined(**settings):
    """Objectives of one recipe that know each other."""
    parts = {name: make(name, **changes) for name, changes in settings.items()}
    for name, part in parts.items():
        part.join({other: one for other, one in parts.items() if other != name})
    return parts


def encode(views, seed=3):
    encoder = torch.manual_seed(seed) and build_encoder("residual_unet", "tiny", 1)
    return {name: encoder(tensor) for name, tensor in views.inputs.items()}


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
@pytest.mark.parametrize("region", ["all", "hidden", "body"])
def test_the_loss_equals_a_slow_loop(name, region):
    batch = make_batch()
    batch.foreground[0, :5] = False
    objective = make(name, region=region, hidden_share=0.6)
    views = objective.views(batch)
    features = encode(views)
    answer = objective.reconstruct(views.memory, features).detach().double().numpy()

    losses = objective.losses(batch, views, features)

    total, count, hidden_total, hidden_count = 0.0, 0, 0.0, 0
    kept = views.memory.kept.numpy()
    for sample, z, y, x in np.ndindex(len(batch), *SHAPE):
        truth = float(batch.volumes[sample, views.memory.channel[sample], z, y, x])
        squared = (answer[sample, 0, z, y, x] - truth) ** 2
        hidden, body = not kept[sample, 0, z, y, x], bool(batch.foreground[sample, z, y, x])
        if region == "all" or (region == "hidden" and hidden) or (region == "body" and body):
            total, count = total + squared, count + 1
        if hidden and body:
            hidden_total, hidden_count = hidden_total + squared, hidden_count + 1
    assert losses.terms["error"].item() == pytest.approx(total / count, rel=1e-5)
    assert losses.metrics[f"{objective.metric}_error"] == pytest.approx(hidden_total / hidden_count, rel=1e-5)


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_a_perfect_answer_costs_nothing_and_gains_everything(name):
    objective, batch = make(name), make_batch()
    views = objective.views(batch)
    objective.reconstruct = lambda filled, _features: filled.target

    losses = objective.losses(batch, views, {})

    assert float(losses.terms["error"]) == 0
    assert losses.metrics[f"{objective.metric}_gain"] == 1
    objective.reconstruct = lambda filled, _features: filled.filler
    assert objective.losses(batch, views, {}).metrics[f"{objective.metric}_gain"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_explained_is_what_an_answer_is_better_than_the_mean_of_each_patch_s_hidden_body(name):
    objective, batch = make(name), make_batch()
    batch.foreground[0, :5] = False
    views = objective.views(batch)
    filled = views.memory
    judged = ~filled.kept & batch.foreground.unsqueeze(1)
    means = torch.stack([filled.target[n][judged[n]].mean().expand(filled.target[n].shape) for n in range(len(batch))])

    for share in (0.0, 0.25, 1.0):
        objective.reconstruct = lambda filled, _features, share=share: means + share * (filled.target - means)
        found = objective.losses(batch, views, {}).metrics[f"{objective.metric}_explained"]
        assert found == pytest.approx(1 - (1 - share) ** 2, abs=1e-5)


def test_kept_voxels_are_the_target_and_all_others_another_modality_bit_for_bit():
    objective = make("cross_modal_reconstruction", hidden_share=0.5, block=(4, 5, 6))
    pairs = set()
    for seed in range(40):
        batch = make_batch(samples=1, seed=seed)
        batch.seed.add_(seed)
        filled = objective.hide(batch)
        shown, kept = filled.input[0, 0], filled.kept[0, 0]
        (target,) = filled.channel
        assert torch.equal(shown[kept], batch.volumes[0, target][kept])
        fitting = [n for n in range(3) if torch.equal(shown[~kept], batch.volumes[0, n][~kept])]
        assert len(fitting) == 1
        assert VOCABULARY[fitting[0]] != VOCABULARY[target]
        pairs.add((target, fitting[0]))
    assert len(pairs) == 6


def test_an_absent_modality_is_neither_target_nor_filler():
    objective = make("cross_modal_reconstruction")
    for seed in range(20):
        batch = make_batch(samples=1, absent=[(0, 1)])
        batch.seed.add_(seed)
        filled = objective.hide(batch)
        assert filled.channel[0] != 1
        assert torch.equal(filled.filler[0, 0], batch.volumes[0, 2 - filled.channel[0]])


def test_a_subject_with_one_modality_is_filled_from_its_template_or_with_0_and_counted():
    batch = make_batch(absent=[(0, 0), (0, 2)])
    alone = make("cross_modal_reconstruction")
    views = alone.views(batch)
    assert alone.losses(batch, views, encode(views)).metrics["cross_modal_fallbacks"] == 0.5
    assert not views.memory.filler[0].any()
    assert views.memory.filler[1].any()

    parts = joined(cross_modal_reconstruction={}, template_distillation={})
    batch.body_box_mm[:, 1] = 40
    with torch.no_grad():
        parts["template_distillation"].templates.parameter[1] = 2.0
    filled = parts["cross_modal_reconstruction"].hide(batch)
    assert filled.channel[0] == 1
    torch.testing.assert_close(filled.filler[0], torch.full_like(filled.filler[0], 20.0))


def test_templates_stand_in_for_the_other_modality_until_their_share_of_the_budget():
    parts = joined(cross_modal_reconstruction={"template_until": 0.2}, template_distillation={})
    batch = make_batch()
    early, late = (
        parts["cross_modal_reconstruction"].hide(replace(batch, progress=progress)) for progress in (0.19, 0.2)
    )

    assert early.fallbacks == len(batch)
    assert not early.filler.any()
    assert late.fallbacks == 0
    assert torch.equal(early.kept, late.kept)


def test_asking_for_templates_without_learning_any_is_refused():
    with pytest.raises(ConfigError, match="add the objective template_distillation"):
        joined(cross_modal_reconstruction={"template_until": 0.2})


def test_gradients_reach_the_template_at_hidden_voxels_only():
    batch = make_batch(samples=1)
    batch.patch_to_world[0] = torch.tensor([[0.0, 0, 1, 0.5], [0, 1, 0, 0.5], [1, 0, 0, 0.5], [0, 0, 0, 1]])
    batch.body_box_mm[0] = torch.tensor([[0.0, 0, 0], [22, 20, 18]])
    # With these boxes the template's voxels are the patch's.
    objective = make("template_distillation", template=SHAPE, margin=0.0, hidden_share=0.5, region="all")
    views = objective.views(batch)
    objective.losses(batch, views, encode(views)).terms["error"].backward()

    channel, kept = views.memory.channel[0], views.memory.kept[0, 0]
    gradient = objective.templates.parameter.grad
    # Placing is float32: a kept voxel's weight in a hidden neighbour is below 1e-5.
    assert gradient[channel][kept].abs().max() < 1e-4 * gradient[channel].abs().max()
    assert (gradient[channel][~kept] != 0).float().mean() > 0.99
    assert not gradient[[n for n in range(3) if n != channel]].any()


def test_the_views_hide_different_blocks_of_the_same_modality():
    parts = joined(cross_modal_reconstruction={}, template_distillation={})
    batch = make_batch()
    one, other = (part.hide(batch) for part in parts.values())

    assert one.channel == other.channel
    assert torch.equal(one.target, other.target)
    assert not torch.equal(one.kept, other.kept)


def test_equal_names_mean_equal_inputs():
    parts = joined(
        modality_contrast={},
        cross_modal_reconstruction={"hidden_share": 0.6},
        template_distillation={"block": (4, 4, 4)},
    )
    batch = make_batch(absent=[(1, 0), (1, 2)])
    inputs = [part.views(batch).inputs for part in parts.values()]

    assert inputs[0].keys() == inputs[1].keys() | inputs[2].keys()
    for own in inputs[1:]:
        assert all(torch.equal(tensor, inputs[0][name]) for name, tensor in own.items())


def test_what_is_shared_is_saved_once():
    parts = joined(modality_contrast={}, cross_modal_reconstruction={}, template_distillation={})
    kinds = {name: {key.split(".")[0] for key in part.state_dict()} for name, part in parts.items()}

    assert kinds == {
        "modality_contrast": set(),
        "cross_modal_reconstruction": {"decoder"},
        "template_distillation": {"templates"},
    }
    assert set(make("modality_contrast").state_dict()) == {"templates.parameter"}


def test_one_decoder_serves_both_reconstructions():
    parts = joined(cross_modal_reconstruction={}, template_distillation={})
    batch = make_batch()
    views = parts["template_distillation"].views(batch)
    parts["template_distillation"].losses(batch, views, encode(views)).terms["error"].backward()

    assert parts["cross_modal_reconstruction"].decoder.output.weight.grad.abs().max() > 0


@pytest.mark.parametrize("pooling", ["mean", "flatten"])
def test_contrast_compares_the_two_views_of_each_sample(pooling):
    contrast = make("modality_contrast", pooling=pooling, temperature=0.5)
    generator = torch.Generator().manual_seed(0)
    modal, template = torch.randn(2, 4, 64, 3, 3, 3, generator=generator)
    features = {"cross_modal/filled": [modal], "template/filled": [template]}
    batch = make_batch(samples=4)

    result = contrast.losses(batch, contrast.views(batch), features)

    vectors = [
        f.double().mean(dim=(2, 3, 4)) if pooling == "mean" else f.double().flatten(1) for f in (modal, template)
    ]
    total = 0.0
    for one, other in (vectors, vectors[::-1]):
        for i in range(4):
            scores = [float(torch.cosine_similarity(one[i], other[j], dim=0)) / 0.5 for j in range(4)]
            total += (np.log(np.exp(scores).sum()) - scores[i]) / 8
    assert float(result.terms["pairs"]) == pytest.approx(total, rel=1e-5)
    same = contrast.losses(batch, contrast.views(batch), {name: [modal] for name in features})
    assert same.metrics["contrast_accuracy"] == 1
    assert float(same.terms["pairs"]) < np.log(4)


def test_a_projector_learns_and_is_saved():
    contrast = make("modality_contrast", projector=16, pooling="flatten")
    batch = make_batch()
    views = contrast.views(batch)
    contrast.losses(batch, views, encode(views)).terms["pairs"].backward()

    assert contrast.project[0].weight.grad.abs().max() > 0
    assert "project.0.weight" in contrast.state_dict()


def test_masked_blocks_hold_the_mask_value():
    objective = make("masked_reconstruction", mask_value=-1.5, hidden_share=0.5)
    filled = objective.hide(make_batch())

    assert (filled.input[~filled.kept] == -1.5).all()
    assert torch.equal(filled.input[filled.kept], filled.target[filled.kept])
